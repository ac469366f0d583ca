import { beforeEach, describe, expect, it, vi } from 'vitest';

import { HeadGridView } from '../src/head_grid';
import { NEUTRAL_PIXEL } from '../src/paint';
import type { PageName } from '../src/pages';
import { THREE, gridOf, headsCatalog, headsPage, tilesPage } from './head_grid_world';
import { FakeComm, answer, catalogOf, imageRecord, listenerCount, settled, stepped } from './models';
import { all, fakeCanvas, nextFrame, pixelsOf, press, shown, texts } from './page';

beforeEach(() => {
  document.body.replaceChildren();
  fakeCanvas();
});

const PAGES = [tilesPage(1, 0, 3), headsPage(1, 0, THREE), tilesPage(2, 0, 3), headsPage(2, 0, THREE)];

/** Two layers of three heads, all pages there. */
const twoLayers = (order = 'index') => gridOf(headsCatalog(2, 3), { pages: PAGES, order });

const rowOf = (cell: HTMLElement) => cell.closest<HTMLElement>('[role=row]')?.dataset.row;
const selectedCells = (grid: HTMLElement) =>
  all(grid, '[aria-selected=true]').map((cell) => [rowOf(cell), cell.dataset.head]);
const heads = (grid: HTMLElement, row: number) =>
  all(grid, `.memviz-heads-row[data-row='${row}'] .memviz-head`).map((cell) => Number(cell.dataset.head));
const stops = (grid: HTMLElement) => all(grid, "[tabindex='0']");

describe('rows', () => {
  it('are the attention layers in the order of the catalog, with their whole name on hover', () => {
    const { grid } = twoLayers();
    const names = all(grid, '.memviz-heads-name');
    expect(names.map((name) => name.textContent)).toEqual(['h.0.attn', 'h.1.attn']);
    expect(names[0]!.innerHTML).toBe('h.<wbr>0.<wbr>attn'); // a narrow column breaks it after a dot
    expect(names.map((name) => name.title)).toEqual(['h.0.attn attention', 'h.1.attn attention']);
    expect(heads(grid, 1)).toEqual([0, 1, 2]);
  });

  it('have one canvas each, not one per head', () => {
    const { grid } = twoLayers();
    expect(all(grid, 'canvas').map((canvas) => canvas.dataset.state)).toEqual(['ready', 'ready']);
  });

  it('are neutral until their maps come', () => {
    const { grid } = gridOf(headsCatalog(1, 3), { comm: new FakeComm() });
    const canvas = grid.querySelector('canvas') as HTMLCanvasElement;
    expect([canvas.dataset.state, pixelsOf.get(canvas)?.[0]]).toEqual(['loading', NEUTRAL_PIXEL]);
  });

  it('follow the sample', async () => {
    const { grid, selection } = gridOf(headsCatalog(1, 3), { pages: [tilesPage(1, 0, 3), tilesPage(1, 1, 3)] });
    selection.set({ layer: 1, sample: 1 });
    await nextFrame();
    expect(grid.querySelector('canvas')?.dataset).toMatchObject({ state: 'ready', sample: '1' });
  });

  it('say that a layer did not run in this step', async () => {
    const catalog = headsCatalog(2, 3);
    const late = { ...stepped('h.1.attn attention', [[], [2]]), path: 'h.1.attn', kind: 'attention' };
    const { grid } = gridOf({ ...catalog, layers: [catalog.layers[0], catalog.layers[1], late] }, { pages: PAGES });
    expect(texts(grid, '.memviz-heads-note')).toEqual(['', 'did not run in step 0']);
    expect(heads(grid, 1)).toEqual([]);
  });

  it('give way to one sentence where the model has no attention', () => {
    const { view, grid } = gridOf(catalogOf(imageRecord(1, 1)));
    const sentence =
      'No attention was found in this recording: nothing in it multiplied the result of a softmax with values.';
    expect([view.el.textContent, grid.hidden]).toEqual([sentence, true]);
  });
});

describe('pages', () => {
  const wanted = (comm: FakeComm, kind: string) =>
    comm.custom.flatMap((request) => request.wants as PageName[]).filter((want) => want.kind === kind);

  it('are asked for rows in view only, and for the others when they come into view', async () => {
    const comm = new FakeComm();
    const { grid, store } = gridOf(headsCatalog(40, 12), { comm });
    await settled();
    const records = wanted(comm, 'tiles').map(({ record }) => record);
    expect(records).toContain(1);
    expect(records).not.toContain(40);
    answer(store, { type: 'done', id: comm.custom[0].id }); // refused: asked for no more
    const heights = all(grid, '[role=row]').map((row) => parseFloat(row.style.height));
    vi.spyOn(grid, 'scrollTop', 'get').mockReturnValue(heights.reduce((sum, height) => sum + height, -480));
    grid.dispatchEvent(new Event('scroll'));
    await nextFrame();
    await settled();
    expect([...wanted(comm, 'tiles'), ...wanted(comm, 'heads')].filter(({ record }) => record === 40)).toHaveLength(2);
    expect(heads(grid, 20)).toEqual([]);
  });

  it('that are refused say why', async () => {
    const comm = new FakeComm();
    const { view, store } = gridOf(headsCatalog(1, 3), { comm });
    await settled();
    const { id } = comm.custom[0];
    answer(store, { type: 'refused', id, record: 1, kind: 'tiles', page: 0, message: 'weights <b>gone</b>' });
    await nextFrame();
    expect(texts(view.el, ':scope > .memviz-note')).toEqual(['weights <b>gone</b>']);
  });
});

describe('order', () => {
  it('is by the measure within each row, largest first, and the value stands under the map', async () => {
    const { grid, model } = twoLayers('entropy');
    expect(heads(grid, 0)).toEqual([1, 2, 0]);
    expect(texts(grid, '.memviz-head-value').slice(0, 3)).toEqual(['0.9', '0.5', '0.2']);
    model.set('order', 'sink');
    await nextFrame();
    expect(heads(grid, 1)).toEqual([2, 1, 0]);
    model.set('order', 'distance');
    await nextFrame();
    expect(heads(grid, 1)).toEqual([1, 0, 2]); // equal ones by number
  });

  it('leaves heads in their place where the measure is not defined, and says so', () => {
    const { grid } = twoLayers('induction');
    expect(heads(grid, 0)).toEqual([0, 1, 2]);
    expect(texts(grid, '.memviz-head-value').slice(0, 3)).toEqual(['–', '–', '–']);
  });

  it('has its meaning below the grid', async () => {
    const { view, model } = twoLayers();
    const [plain] = texts(view.el, '.memviz-heads-caption');
    expect(plain).toBe(
      'Colours: from 0 (dark) to the largest weight of each head (bright); exactly 0 is empty. ' +
        'P previous token, S sink: conventions, not findings.',
    );
    model.set('order', 'sink');
    await nextFrame();
    expect(texts(view.el, '.memviz-heads-caption')[0]).toContain(
      'Sorted by sink, largest first: the share of attention on the first key, 0 to 1.',
    );
  });
});

it('says below the grid that only some queries were read', () => {
  const sampled = { ...tilesPage(1, 0, 3), sampled: true };
  const caption = (pages: object[]) => texts(gridOf(headsCatalog(1, 3), { pages }).view.el, '.memviz-heads-caption')[0];
  expect(caption([sampled])).toContain('Sampled: maps and measures are from some of the 2 queries, evenly spread.');
  expect(caption([tilesPage(1, 0, 3)])).not.toContain('Sampled');
});

describe('a head', () => {
  it('has a code for what it does, and the words on hover and for screen readers', () => {
    const { cell } = twoLayers();
    expect(texts(cell(0, 1), '.memviz-head-number, .memviz-head-kind')).toEqual(['1', 'P']);
    const words = 'head 1, previous token 0.8; entropy 0.9, distance 3 tokens, on the first key 0.2';
    expect([cell(0, 1).title, cell(0, 1).getAttribute('aria-label')]).toEqual([words, words]);
    expect(cell(0, 0).querySelector<HTMLElement>('.memviz-head-kind')?.hidden).toBe(true);
  });

  it('is marked when it is the selected one, wherever the cursor is', async () => {
    const { grid, selection } = twoLayers();
    expect(selectedCells(grid)).toEqual([['0', '0']]); // the cursor is at conv: the next attention is shown
    selection.set({ layer: 2, head: 2 });
    await nextFrame();
    expect(selectedCells(grid)).toEqual([['1', '2']]);
  });

  it('is selected by a click, layer and head in one step', async () => {
    const { grid, cell, selection } = twoLayers('entropy');
    const changes = vi.fn();
    selection.on('change', changes);
    cell(1, 2).querySelector<HTMLElement>('.memviz-head-map')?.click();
    expect([selection.get('layer'), selection.get('head'), changes.mock.calls.length]).toEqual([2, 2, 1]);
    await nextFrame();
    expect(selectedCells(grid)).toEqual([['1', '2']]);
  });

  it('is not painted again when another one is selected', async () => {
    const { grid, selection } = twoLayers();
    selection.set({ layer: 1, head: 1 });
    await nextFrame();
    expect(all(grid, 'canvas').map((canvas) => canvas.dataset.painted)).toEqual(['1', '1']);
  });
});

describe('keys', () => {
  it('move the focus without selecting; Enter selects', async () => {
    const { grid, cell, selection } = twoLayers();
    expect(stops(grid)).toEqual([cell(0, 0)]);
    cell(0, 0).focus();
    press(cell(0, 0), 'ArrowRight');
    expect([document.activeElement, stops(grid)]).toEqual([cell(0, 1), [cell(0, 1)]]);
    press(cell(0, 1), 'ArrowDown');
    press(cell(1, 1), 'End');
    expect(document.activeElement).toBe(cell(1, 2));
    expect(selection.get('layer')).toBe(0);
    press(cell(1, 2), 'Enter');
    expect([selection.get('layer'), selection.get('head')]).toEqual([2, 2]);
    await nextFrame();
    expect(stops(grid)).toEqual([cell(1, 2)]);
  });

  it('reach rows that were out of view', () => {
    const { grid, cell } = gridOf(headsCatalog(40, 3));
    cell(0, 0).focus();
    for (let row = 0; row < 36; row += 4) {
      press(document.activeElement as Element, 'PageDown');
    }
    expect(document.activeElement).toBe(cell(36, 0));
    press(cell(36, 0), 'ArrowUp');
    expect([document.activeElement, stops(grid)]).toEqual([cell(35, 0), [cell(35, 0)]]);
  });

  it('of the host are left to it', () => {
    const { cell } = twoLayers();
    expect(press(cell(0, 0), 'Enter', { shiftKey: true }).defaultPrevented).toBe(false);
    expect(press(cell(0, 0), 'ArrowRight', { ctrlKey: true }).defaultPrevented).toBe(false);
    expect(press(cell(0, 0), 'a').defaultPrevented).toBe(false);
    expect(press(cell(0, 0), 'ArrowRight').defaultPrevented).toBe(true);
  });
});

it('shows names and sentences as text', () => {
  const catalog = headsCatalog(1, 3);
  const named = { ...catalog.layers[1], label: '<img src=x onerror=alert(1)> attention', path: '<img src=x>' };
  const marked = { ...catalog, layers: [catalog.layers[0], named], head_kinds: ['<b>', 'sink'] };
  const { view } = gridOf(marked, { pages: PAGES });
  expect(view.el.querySelector('img, b')).toBeNull();
  expect(texts(view.el, '.memviz-heads-name')).toEqual(['<img src=x onerror=alert(1)>']);
});

it('leaves nothing behind', async () => {
  const { view, selection, store } = twoLayers();
  const count = () => [selection, store].map(listenerCount);
  const before = count();
  shown(HeadGridView, view.model).remove();
  expect(count()).toEqual(before);
  view.remove();
  await nextFrame();
  expect(listenerCount(store)).toBeLessThan(before[1]);
});
