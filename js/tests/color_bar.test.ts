import { beforeEach, describe, expect, it } from 'vitest';

import { ColorBarModel, ColorBarView } from '../src/color_bar';
import { catalogOf, header, imageRecord, listenerCount, make, stats, world } from './models';
import { all, colorsOf, fakeCanvas, nextFrame, shown, texts } from './page';

beforeEach(fakeCanvas);

const histogram = (sampled = false) => ({
  ...header({ record: 0, kind: 'histogram', page: 0 }, [1, 1, 4], 'float64'),
  data: Float64Array.of(1, 2, 4, 1),
  lo: Float64Array.of(-1),
  hi: Float64Array.of(3),
  sampled,
});

function bar({ mode = 'layer', vmin = 0, vmax = 1, sampled = false, loud = {} } = {}) {
  const record = { ...imageRecord(1, 2), stats: { ...stats(-1, 3), ...loud } };
  const { store, selection } = world(catalogOf(record), undefined, { pages: [histogram(sampled)] });
  const colors = colorsOf(selection, { mode, vmin, vmax });
  const model = make(ColorBarModel, { colors });
  return { store, selection, colors, model, view: shown(ColorBarView, model) };
}

it('has numbers at both ends and between', () => {
  expect(texts(bar().view.el, '.memviz-bar-tick')).toEqual(['−1', '0', '1', '2', '3']);
});

it('is described in words, with what the histogram is', () => {
  const scale = bar().view.el.querySelector('[role=img]');
  expect(scale?.getAttribute('aria-label')).toMatch(/^\S+ colours from −1 to 3, histogram of the layer.*square root/);
});

it('follows the range', async () => {
  const { view, colors } = bar();
  colors.set({ mode: 'fixed', vmin: 0, vmax: 2 });
  await nextFrame();
  expect(texts(view.el, '.memviz-bar-tick')[0]).toBe('0');
});

describe('the legend', () => {
  it('counts the loud colours that occur, and no others', () => {
    const { view } = bar({ loud: { nan: 1234, neginf: 1 } });
    expect(texts(view.el, '.memviz-bar-loud')).toEqual(['1,234 NaN', '1 −Inf']);
    expect(all(view.el, '.memviz-bar-swatch')[0].style.backgroundColor).toBe('rgb(255, 0, 255)');
  });

  it('tells the shares that the range cuts off', () => {
    const { view } = bar({ mode: 'fixed', vmin: 0, vmax: 2 });
    expect(texts(view.el, '.memviz-bar-clipped')).toEqual(['◂ 13 % below', '13 % above ▸']);
  });

  it('says when the histogram is of a sample', () => {
    expect(texts(bar({ sampled: true }).view.el, '.memviz-bar-legend')).toEqual(['histogram of a sample']);
  });
});

it('leaves no listener behind', () => {
  const { view, model, colors, store } = bar();
  const count = () => [colors, store].map(listenerCount);
  const before = count();
  shown(ColorBarView, model).remove();
  expect(count()).toEqual(before);
  view.remove();
  expect(listenerCount(colors)).toBeLessThan(before[0]);
});
