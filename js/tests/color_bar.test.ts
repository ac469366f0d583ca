import { beforeEach, describe, expect, it } from 'vitest';

import { ColorBarModel, ColorBarView } from '../src/color_bar';
import { MemoryChoiceModel } from '../src/memory_choice';
import { PictureChoiceModel } from '../src/picture_choice';
import { attentionOf, attentionWorld, mapPage } from './attention_world';
import { LAYERS, memoryPage, memoryWorld } from './memory_world';
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

describe('of a map of attention', () => {
  const record = attentionOf({ queries: 2, keys: 2, heads: 4 });
  const ends = { lo: Float64Array.of(-2.5), hi: Float64Array.of(-0.1) };
  const mapBar = (kind: PictureChoiceModel['kind']) => {
    const pages = [mapPage(record, [0, 253, 9, 9]), mapPage(record, [0, 253, 9, 9], { kind: 'log', ...ends }), histogram()];
    const { selection } = attentionWorld(record, pages);
    const choice = make(PictureChoiceModel, { selection, kind });
    return { choice, el: shown(ColorBarView, make(ColorBarModel, { colors: colorsOf(selection, { choice }) })).el };
  };
  const said = (el: HTMLElement) => el.querySelector('[role=img]')?.getAttribute('aria-label');

  it('says which map it is', async () => {
    const { el, choice } = mapBar('mean');
    expect(texts(el, '.memviz-bar-caption')).toEqual(['mean of 4 heads']);
    choice.set({ kind: 'difference', other_head: 2 });
    await nextFrame();
    expect(texts(el, '.memviz-bar-caption')).toEqual(['head 0 minus head 2']);
  });

  it('has the histogram of the weights, and none for another map', () => {
    expect(said(mapBar('weights').el)).toMatch(/histogram of the layer/);
    const { el } = mapBar('mean');
    expect(said(el)).not.toMatch(/histogram/);
    expect(el.querySelector<HTMLElement>('.memviz-bar-histogram')?.hidden).toBe(true);
  });

  it('writes the numbers of a logarithm as weights', () => {
    const { el } = mapBar('log');
    expect(texts(el, '.memviz-bar-tick')).toEqual(['0.001', '0.01', '0.1', '1']);
    expect(said(el)).toMatch(/colours from 0\.001 to 1, logarithmic/);
  });

  it('says what an empty cell is', () => {
    expect(texts(mapBar('weights').el, '.memviz-bar-loud')).toEqual(['exactly 0: masked or never attended']);
  });
});

it('of a memory says what is shown, and what an empty cell of who wrote what is', async () => {
  const page = memoryPage({ kind: 'wrote' }, [4, 4], [252, 253, 253, 253, ...Array(12).fill(63)], 0, 0.8);
  const { selection } = memoryWorld([page]);
  selection.set('layer', LAYERS.CELL);
  const choice = make(MemoryChoiceModel, { selection, map: 'wrote' });
  const { el } = shown(ColorBarView, make(ColorBarModel, { colors: colorsOf(selection, { choice }) }));
  expect(texts(el, '.memviz-bar-loud')).toEqual(['exactly 0: nothing that was written then is in it']);
  expect(texts(el, '.memviz-bar-caption')).toEqual(['cell of enc l0, which step wrote what it holds, in shares of each row']);
  expect(texts(el, '.memviz-bar-tick').at(-1)).toBe('0.8');
  expect(el.querySelector<HTMLElement>('.memviz-bar-histogram')?.hidden).toBe(true);
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
