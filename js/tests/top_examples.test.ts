import { beforeEach, describe, expect, it } from 'vitest';

import type { RecordEntry } from '../src/catalog';
import { NEUTRAL_PIXEL } from '../src/paint';
import { NO_EXAMPLES, OTHER_CHANNEL, TopExamplesModel, TopExamplesView } from '../src/top_examples';
import { catalogOf, framePage, imageRecord, listenerCount, make, picture, world } from './models';
import { all, colorsOf, fakeCanvas, nextFrame, pixelsOf, press, shown, texts } from './page';

beforeEach(fakeCanvas);

/** Ten samples of 3 channels, tiles of 2 x 2 cells whose codes are the number of the tile: channel + 3 * sample. */
function recordWithSheet(): RecordEntry {
  return { ...imageRecord(10, 3), sheet: picture([['sample', 10], ['channel', 3]], 2, 2, 30), channels: 3 };
}

const TILES = { ...framePage({ record: 0, kind: 'sheet', page: 0 }, [30, 2, 2]) };
const TOP = { record: 0, channel: 0, samples: [7, 2], values: ['3.5', '+Inf'], places: ['(0, 1)', ''] };

function strip(state: object = TOP, pages: object[] = [TILES], record = recordWithSheet()) {
  const { store, selection } = world(catalogOf(record), undefined, { pages });
  const colors = colorsOf(selection);
  const model = make(TopExamplesModel, { selection, colors, ...state });
  const view = shown(TopExamplesView, model);
  return { store, selection, colors, model, view, buttons: () => all(view.el, 'button') as HTMLButtonElement[] };
}

describe('the strip', () => {
  it('names channel, samples and values, as text and to a screen reader', () => {
    const { view, buttons } = strip();
    expect(texts(view.el, '.memviz-top-title')[0]).toMatch(/^What excites channel 0 of /);
    expect(texts(view.el, '.memviz-top-sample')).toEqual(['sample 7', 'sample 2']);
    expect(texts(view.el, '.memviz-top-value')).toEqual(['3.5', '+Inf']);
    expect(buttons().map((button) => button.getAttribute('aria-label'))).toEqual(['sample 7, 3.5 at (0, 1)', 'sample 2, +Inf']);
  });

  it('draws the tile of each sample in the colours of the heatmap', () => {
    const { store, selection, colors, view } = strip();
    const place = selection.place();
    const tile = store.frame(0, 'sheet', 7 * 3);
    const canvas = view.el.querySelector('canvas') as HTMLCanvasElement;
    if (!place || !tile) {
      throw new Error('no tile');
    }
    const [vmin, vmax] = colors.range(place, null);
    const table = colors.table(tile, vmin, vmax);
    expect([...(pixelsOf.get(canvas) ?? [])]).toEqual([...tile.codes].map((code) => table[code]));
    expect(canvas.dataset.state).toBe('ready');
  });

  it('is neutral until a tile comes', () => {
    const { view } = strip(TOP, []);
    const canvas = view.el.querySelector('canvas') as HTMLCanvasElement;
    expect([pixelsOf.get(canvas)?.[0], canvas.dataset.state]).toEqual([NEUTRAL_PIXEL, 'loading']);
  });

  it('has no map where a channel is one number', () => {
    const single = { ...recordWithSheet(), sheet: picture([['sample', 10], ['channel', 3]], 1, 1, 30) };
    const { view } = strip(TOP, [], single);
    expect(all(view.el, 'canvas').every((canvas) => canvas.hidden)).toBe(true);
  });

  it('says so when the examples are of another channel, and when there are none', async () => {
    const { selection, model, view, buttons } = strip();
    selection.set('channel', 2);
    await nextFrame();
    expect([texts(view.el, '.memviz-note'), buttons().length]).toEqual([[OTHER_CHANNEL], 0]);
    model.set({ channel: 2, samples: [], values: [], places: [] });
    await nextFrame();
    expect(texts(view.el, '.memviz-note')).toEqual([NO_EXAMPLES]);
    model.set({ samples: [1], values: ['1'], places: [''] });
    await nextFrame();
    expect([texts(view.el, '.memviz-note'), buttons().length]).toEqual([[''], 1]);
  });
});

describe('a choice', () => {
  it('moves the sample by click and by the arrow keys, and is marked', async () => {
    const { selection, buttons } = strip();
    buttons()[1].click();
    expect(selection.get('sample')).toBe(2);
    await nextFrame();
    expect(buttons().map((button) => button.getAttribute('aria-pressed'))).toEqual(['false', 'true']);
    press(buttons()[1], 'ArrowLeft');
    expect(selection.get('sample')).toBe(7);
    expect([document.activeElement, buttons().map((button) => button.tabIndex)]).toEqual([buttons()[0], [0, -1]]);
    press(buttons()[0], 'End');
    expect(selection.get('sample')).toBe(2);
  });

  it('leaves keys alone that are not its own', () => {
    const { buttons, selection } = strip();
    expect(press(buttons()[0], 'ArrowRight', { ctrlKey: true }).defaultPrevented).toBe(false);
    expect(press(buttons()[0], 'x').defaultPrevented).toBe(false);
    expect(selection.get('sample')).toBe(0);
  });
});

it('leaves nothing behind', async () => {
  const { store, selection, colors, model, view } = strip();
  const count = () => [selection, store, colors].map(listenerCount);
  const before = count();
  shown(TopExamplesView, model).remove();
  expect(count()).toEqual(before);
  view.remove();
  await nextFrame();
  expect(listenerCount(colors)).toBeLessThan(before[2]);
});
