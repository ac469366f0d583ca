import { beforeEach, describe, expect, it, vi } from 'vitest';

import type { RecordEntry } from '../src/catalog';
import { ContactSheetModel, ContactSheetView } from '../src/contact_sheet';
import { NEUTRAL_PIXEL } from '../src/paint';
import { attentionCatalog, catalogOf, framePage, header, imageRecord, listenerCount, make, picture, stepped, world } from './models';
import { all, colorsOf, fakeCanvas, nextFrame, pixelsOf, press, shown, texts } from './page';

beforeEach(fakeCanvas);

/** Two samples of 6 channels, tiles of 1 x 1 cell whose code is channel + 6 * sample. */
function recordWithSheet(): RecordEntry {
  const sheet = picture([['sample', 2], ['channel', 6]], 1, 1, 12);
  return { ...imageRecord(2, 6), sheet, channels: 6 };
}

/** Time x channel: the cell (t, c) of the main frame belongs to channel c. */
function recordOverTime(): RecordEntry {
  const frame = { ...picture([], 3, 4, 1), row_trait: 'time', col_trait: 'channel', row_dim: 'time', col_dim: 'channel' };
  return { ...imageRecord(1, 4), frame, extents: { time: 3, channel: 4 }, channels: 4 };
}

const MEASURES = Float32Array.of(1, 5, 2, 5, 0, NaN, ...Array<number>(12).fill(0.5));
const measures = { ...header({ record: 0, kind: 'channels', page: 0 }, [3, 1, 6], 'float32'), data: MEASURES };
const none = new Float64Array(0);
const SHEET_PAGES = [
  framePage({ record: 0, kind: 'sheet', page: 0 }, [12, 1, 1]),
  { ...measures, lo: none, hi: none },
];

function sheet(record = recordWithSheet(), pages: object[] = SHEET_PAGES, state: object = {}) {
  const { store, selection } = world(catalogOf(record, { ...imageRecord(1, 1), channels: 0 }), undefined, { pages });
  const colors = colorsOf(selection);
  const model = make(ContactSheetModel, { selection, colors, ...state });
  const view = shown(ContactSheetView, model);
  const canvas = view.el.querySelector('canvas') as HTMLCanvasElement;
  const box = view.el.querySelector('.memviz-sheet-tiles') as HTMLElement;
  return { store, selection, colors, model, view, canvas, box };
}

describe('tiles', () => {
  it('come from the sheet frames of the current sample', () => {
    const { selection, canvas } = sheet();
    expect(canvas.dataset).toMatchObject({ state: 'ready', first: '0', count: '6', columns: '6' });
    selection.set('sample', 1);
    expect(canvas.dataset.painted).toBe('1'); // in the next frame, not now
  });

  it('come from the main frame where its cells are channels, without a page of their own', async () => {
    const main = framePage({ record: 0, kind: 'frame', page: 0 }, [1, 3, 4]);
    const { store, selection, canvas } = sheet(recordOverTime(), [main]);
    const asked = vi.spyOn(store, 'frame');
    selection.set('time', 2);
    await nextFrame();
    expect(asked.mock.calls.every(([, kind]) => kind === 'frame')).toBe(true);
    expect(canvas.dataset).toMatchObject({ state: 'ready', painted: '2', count: '4' });
  });

  it('are neutral until they come', () => {
    const { canvas } = sheet(recordWithSheet(), []);
    expect(canvas.dataset.state).toBe('loading');
    expect(pixelsOf.get(canvas)?.[0]).toBe(NEUTRAL_PIXEL);
  });

  it('stay as they are when only the channel changes; the ring moves', async () => {
    const { selection, canvas, view } = sheet();
    const ring = view.el.querySelector('.memviz-sheet-ring') as HTMLElement;
    const before = ring.style.left;
    selection.set('channel', 3);
    await nextFrame();
    expect([canvas.dataset.painted, canvas.dataset.selected]).toEqual(['1', '3']);
    expect(ring.style.left).not.toBe(before);
  });

  it('give way to one line for weights of attention and where the layer did not run', async () => {
    const { selection, store } = world(attentionCatalog());
    const view = shown(ContactSheetView, make(ContactSheetModel, { selection, colors: colorsOf(selection) }));
    expect(texts(view.el, '.memviz-note')).toEqual(['no channels in these weights']);
    store.set('catalog', { ...attentionCatalog(), layers: [stepped('conv', [[], [0]])] });
    await nextFrame();
    expect(texts(view.el, '.memviz-note')).toEqual(['']);
  });

  it('give way to one line where a layer has no channels', async () => {
    const { selection, view, box } = sheet();
    selection.set('layer', 1);
    await nextFrame();
    expect([texts(view.el, '.memviz-note'), box.hidden]).toEqual([['no channels in this output'], true]);
  });
});

describe('order', () => {
  it('is by the measure, largest first, NaN last', () => {
    const { box, selection } = sheet(undefined, undefined, { order: 'magnitude' });
    const visited = ['Home', 'ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowRight', 'End'].map((key) => {
      press(box, key);
      return selection.get('channel') as number;
    });
    expect(visited).toEqual([1, 3, 2, 0, 4, 5]);
  });

  it('names the measure of a channel', async () => {
    const { view, model, selection } = sheet(undefined, undefined, { order: 'magnitude' });
    selection.set('channel', 2);
    await nextFrame();
    expect(texts(view.el, '[role=option]')).toEqual(['channel 2, mean |x| 2']);
    model.set('order', 'zeros');
    await nextFrame();
    expect(texts(view.el, '[role=option]')).toEqual(['channel 2, zeros 50 %']);
  });
});

describe('pages', () => {
  it('follow the selected channel and turn without selecting', async () => {
    const { view, selection } = sheet(undefined, undefined, { tiles_per_page: 4 });
    selection.set('channel', 5);
    await nextFrame();
    expect(texts(view.el, '.memviz-sheet-page')).toEqual(['5–6 of 6']);
    all(view.el, 'button')[0].click();
    await nextFrame();
    expect(texts(view.el, '.memviz-sheet-page')).toEqual(['1–4 of 6']);
    expect(selection.get('channel')).toBe(5);
  });

  it('have no buttons when one is enough', () => {
    expect(sheet().view.el.querySelector<HTMLElement>('.memviz-sheet-pager')?.hidden).toBe(true);
  });
});

it('tells a screen reader which channel of how many', () => {
  const { box } = sheet();
  expect(box.getAttribute('aria-label')).toBe('channels of a, 0 of 6 selected');
  const option = box.querySelector('[role=option]');
  expect(box.getAttribute('aria-activedescendant')).toBe(option?.id);
  expect([option?.getAttribute('aria-setsize'), option?.getAttribute('aria-posinset')]).toEqual(['6', '1']);
});

it('selects the tile that is clicked', () => {
  const { canvas, box, selection } = sheet();
  const { width, height } = { width: 6 * 20 - 2, height: 18 };
  vi.spyOn(canvas, 'getBoundingClientRect').mockReturnValue(new DOMRect(100, 50, width, height));
  box.dispatchEvent(new MouseEvent('click', { clientX: 100 + 2 * 20 + 5, clientY: 55 }));
  expect(selection.get('channel')).toBe(2);
});

it('leaves nothing behind', async () => {
  const { view, selection, store, colors } = sheet();
  const count = () => [selection, store, colors].map(listenerCount);
  const before = count();
  shown(ContactSheetView, view.model).remove();
  expect(count()).toEqual(before);
  view.remove();
  await nextFrame();
  expect(listenerCount(colors)).toBeLessThan(before[2]);
});
