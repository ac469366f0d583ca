import { beforeEach, describe, expect, it, vi } from 'vitest';

import { ASK_AFTER_MS } from '../src/cell_readout';
import { MemoryPanelsView } from '../src/memory_panels';
import { NEUTRAL_PIXEL } from '../src/paint';
import { palette } from '../src/palette';
import type { PageName } from '../src/pages';
import {
  ALL_PAGES,
  STEPS,
  frames,
  lieAt,
  memoryCatalog,
  mouse,
  panelsOf,
  part,
  partLayer,
  timePage,
  unitsPage,
} from './memory_panels_world';
import { FakeComm, answer, catalogOf, imageRecord, listenerCount, settled } from './models';
import { all, fakeCanvas, nextFrame, pixelsOf, press, shown, texts } from './page';

beforeEach(() => {
  document.body.replaceChildren();
  fakeCanvas();
});

const whole = (order = 'index', more: object[] = []) => panelsOf(memoryCatalog(), { pages: [...ALL_PAGES, ...more], order });
const canvases = (el: HTMLElement) => all(el, 'canvas') as HTMLCanvasElement[];
const selected = (el: HTMLElement) => all(el, '[aria-selected=true]').map((row) => row.dataset.row);
const tooltip = (el: HTMLElement) => texts(el, '.memviz-tooltip')[0];

describe('strips', () => {
  it('are the parts of the memory, each head its own, with name, range and size', () => {
    const { view } = whole();
    const names = ['cell state', 'forget gate f', 'read weights, head 0 of 2', 'read weights, head 1 of 2'];
    expect(texts(view.el, '.memviz-panel-title')).toEqual(names);
    const facts = ['−3 to 3, 3 units', '0 to 1, 3 units', '0 to 1, 2 slots', '0 to 1, 2 slots'];
    expect(texts(view.el, '.memviz-panel-facts')).toEqual(facts);
    expect(view.el.querySelector('.memviz-panel')?.getAttribute('aria-label')).toBe('cell state, −3 to 3, 3 units');
  });

  it('are diverging about 0 for signed values and sequential for gates', () => {
    const [cell, gate] = canvases(whole().view.el);
    // code 0: -1 in -3..3 is entry 85 of 256 of vik; 0 in 0..1 is entry 0 of viridis
    expect([pixelsOf.get(cell)?.[0], pixelsOf.get(gate)?.[0]]).toEqual([palette('vik')[85], palette('viridis')[0]]);
  });

  it('show the selected sample and head', async () => {
    const { view, selection } = whole();
    const first = pixelsOf.get(canvases(view.el)[0])?.[0];
    selection.set({ layer: 1, sample: 1 });
    await nextFrame();
    expect(pixelsOf.get(canvases(view.el)[0])?.[0]).not.toBe(first);
    expect(texts(view.el, '.memviz-panels-caption')[0]).toContain('Memory enc, sample 1 of 2.');
  });

  it('are neutral until their pages come, and then drawn once for all of them', async () => {
    const { view, store } = panelsOf(memoryCatalog(), { comm: new FakeComm() });
    const [cell] = canvases(view.el);
    expect([cell.dataset.state, pixelsOf.get(cell)?.[0]]).toEqual(['loading', NEUTRAL_PIXEL]);
    store.set('pages', ALL_PAGES);
    await nextFrame();
    expect(canvases(view.el).map((canvas) => [canvas.dataset.state, canvas.dataset.painted])).toEqual(
      [2, 2, 2, 2].map((painted) => ['ready', String(painted)]),
    );
  });

  it('say why there is no picture: one timestep, not run, not kept', () => {
    const catalog = memoryCatalog();
    const short = part(['batch', 'time', 'channel'], [1, 1, 3], frames('channel', null), { time: 1, channel: 3 });
    const lost = { ...part(['batch', 'time', 'channel'], [1, 9, 3], frames('channel', null), {}), message: 'too large <b>' };
    const layers = [partLayer('cell', 0), partLayer('hidden', 1), { ...partLayer('keep', 0), records: [[]] }];
    const memory = { ...catalog.memories[0], layers: [0, 1, 2], content: 0 };
    const { view } = panelsOf({ ...catalog, layers, records: [short, lost], memories: [memory] });
    const notes = ['1 timestep: nothing to see over time', 'too large <b>', 'did not run in step 0'];
    expect(texts(view.el, '.memviz-panel-note')).toEqual(notes);
    expect(view.el.querySelector('b')).toBeNull();
  });

  it('give way to one sentence where the model has no memory', () => {
    const { view } = panelsOf(catalogOf(imageRecord(1, 1)));
    expect(view.el.textContent).toContain('No memory was found in this recording');
    expect(view.el.querySelector<HTMLElement>('.memviz-panels-body')?.hidden).toBe(true);
  });

  it('say that recovered values are not to be trusted', () => {
    const doubtful = { ...timePage(1, 2, 3), residual: 0.003 };
    const { view } = panelsOf(memoryCatalog(), { pages: [doubtful, timePage(2, 2, 3), timePage(3, 4, 2)] });
    expect(texts(view.el, '.memviz-panel-facts')[0]).toBe('not trusted: off by up to 0.003, −3 to 3, 3 units');
    expect(texts(view.el, '.memviz-panel-facts')[1]).not.toContain('not trusted');
  });
});

describe('pages', () => {
  const wanted = (comm: FakeComm) =>
    comm.custom.flatMap((request) => request.wants as PageName[]).filter(({ kind }) => kind === 'time');

  it('are asked for strips in view only', async () => {
    const catalog = memoryCatalog();
    const records = Array.from({ length: 60 }, () => catalog.records[1]);
    const layers = records.map((_, record) => partLayer('gate.f', record, `l${record}`));
    const memory = { ...catalog.memories[0], layers: records.map((_, layer) => layer), content: 0 };
    const comm = new FakeComm();
    panelsOf({ ...catalog, records, layers, memories: [memory] }, { comm });
    await settled();
    const found = wanted(comm).map(({ record }) => record);
    expect([found.includes(0), found.includes(59)]).toEqual([true, false]);
  });

  it('that are refused say why in their row', async () => {
    const comm = new FakeComm();
    const { view, store } = panelsOf(memoryCatalog(), { comm });
    await settled();
    const { id } = comm.custom[0];
    answer(store, { type: 'refused', id, record: 1, kind: 'time', page: 0, message: 'gone' });
    await nextFrame();
    expect(texts(view.el, '.memviz-panel-note')).toEqual(['gone', '', '', '']);
    expect(view.el.querySelector<HTMLElement>('.memviz-panel-strip')?.hidden).toBe(true);
  });
});

describe('the cursor', () => {
  const line = (el: HTMLElement) => el.querySelector('.memviz-panels-cursor') as HTMLElement;

  it('is one line through all strips that moves without painting anything again', async () => {
    const { view, selection } = whole();
    expect(view.el.querySelectorAll('.memviz-panels-cursor')).toHaveLength(1);
    selection.set({ layer: 1, time: 2 });
    await nextFrame();
    // 4 + 136 for the names + (2 + 1/2) * 464 / 4
    expect([line(view.el).style.left, line(view.el).dataset.time]).toEqual(['430px', '2']);
    expect(canvases(view.el).map((canvas) => canvas.dataset.painted)).toEqual(['1', '1', '1', '1']);
  });

  it('marks the selected part and its unit', async () => {
    const { view, selection } = whole();
    selection.set({ layer: 3, head: 1, slot: 1 });
    await nextFrame();
    expect(selected(view.el)).toEqual(['3']);
    const mark = all(view.el, '.memviz-panel-mark').find((each) => !each.hidden);
    expect(mark?.style.top).toBe('7px'); // the lower half of 14
  });
});

describe('a click', () => {
  it('selects part, time, unit and head in one step', () => {
    const { selection, strip } = whole();
    const changes = vi.fn();
    selection.on('change', changes);
    lieAt(strip(3), STEPS, 2);
    mouse(strip(3), 'click', 1, 2);
    expect(['layer', 'time', 'slot', 'head'].map((axis) => selection.get(axis))).toEqual([3, 2, 1, 1]);
    expect(changes).toHaveBeenCalledTimes(1);
  });

  it('finds the timestep itself where a column stands for several', () => {
    const pool = { full_cols: 8, pool_cols: 2 };
    const catalog = memoryCatalog({}, pool);
    catalog.records[1].extents.time = 8;
    const { selection, strip } = panelsOf(catalog, { pages: ALL_PAGES });
    lieAt(strip(0), 8, 3);
    mouse(strip(0), 'click', 0, 5);
    expect(selection.get('time')).toBe(5);
  });

  it('in another order selects the unit that stands there', () => {
    const pages = [timePage(1, 2, 3, -1, 3, 'timescale'), unitsPage(1, [2, 0, 1])];
    const { selection, strip } = panelsOf(memoryCatalog(), { pages, order: 'timescale' });
    lieAt(strip(0), STEPS, 3);
    mouse(strip(0), 'click', 0, 1);
    expect([selection.get('channel'), selection.get('time')]).toEqual([2, 1]);
  });
});

describe('the value', () => {
  it('is said under the pointer, first about, then exactly', async () => {
    const comm = new FakeComm();
    const { view, strip, store } = panelsOf(memoryCatalog(), { pages: ALL_PAGES, comm });
    lieAt(strip(0), STEPS, 3);
    mouse(strip(0), 'pointermove', 1, 2); // code 6 * 20 of -1..3
    expect(tooltip(view.el)).toBe('cell state, time 2, channel 1: ≈ 0.9048');
    await new Promise((done) => setTimeout(done, ASK_AFTER_MS + 20));
    const asked = comm.custom.find(({ type }) => type === 'value') as Record<string, unknown>;
    expect(asked).toMatchObject({ record: 1, frame: 0, row: 1, col: 2, kind: 'time' });
    answer(store, { type: 'value', id: asked.id, text: '0.9', number: 0.9, index: [0, 2, 1] });
    await settled();
    expect(tooltip(view.el)).toBe('cell state, time 2, channel 1: 0.9');
  });

  it('names the token and the unit in its own order', () => {
    const catalog = { ...memoryCatalog({ tokens: { sequence: 0, offset: 0 } }), tokens: [[['a', '<b>', 'c', 'd']]] };
    const pages = [timePage(1, 2, 3, -1, 3, 'similarity'), unitsPage(1, [2, 0, 1])];
    const { view, strip } = panelsOf(catalog, { pages, order: 'similarity' });
    lieAt(strip(0), STEPS, 3);
    mouse(strip(0), 'pointermove', 0, 1);
    expect(tooltip(view.el)).toBe('cell state, time 1 “\u2068<b>\u2069”, channel 2: ≈ −0.6825');
  });
});

it('is no longer said of a strip that shows something else', async () => {
  const { view, strip, selection } = whole();
  lieAt(strip(0), STEPS, 3);
  mouse(strip(0), 'pointermove', 1, 2);
  const shownStill = () => !view.el.querySelector<HTMLElement>('.memviz-tooltip')?.hidden;
  selection.set({ layer: 1, time: 3 });
  await nextFrame();
  expect(shownStill()).toBe(true);
  selection.set({ sample: 1 });
  await nextFrame();
  expect(shownStill()).toBe(false);
});

describe('keys', () => {
  it('move time, and say the value of the selected unit', () => {
    const { view, selection, rows } = whole();
    selection.set({ layer: 1, channel: 2, time: 1 });
    rows()[0].focus();
    expect(press(rows()[0], 'ArrowRight').defaultPrevented).toBe(true);
    expect([selection.get('layer'), selection.get('time'), selection.get('channel')]).toEqual([1, 2, 2]);
    expect(texts(view.el, '.memviz-spoken')[0]).toBe('cell state, time 2, channel 2: ≈ 2.175');
    press(rows()[0], 'End');
    expect(selection.get('time')).toBe(3);
  });

  it('move between strips with one of them in the order of Tab; Enter selects it', async () => {
    const { view, selection, rows } = whole();
    const stops = () => all(view.el, "[tabindex='0']").map((row) => row.dataset.row);
    rows()[0].focus();
    press(rows()[0], 'ArrowDown');
    await nextFrame();
    expect([document.activeElement, stops()]).toEqual([rows()[1], ['1']]);
    expect(selection.get('layer')).toBe(0);
    press(rows()[1], 'Enter');
    expect(selection.get('layer')).toBe(2);
  });

  it('take the part along where the selected layer has no time', () => {
    const { selection, rows } = whole();
    rows()[1].focus();
    press(rows()[1], 'ArrowRight');
    expect([selection.get('layer'), selection.get('time')]).toEqual([2, 1]);
  });

  it('of the host are left to it', () => {
    const { rows } = whole();
    expect(press(rows()[0], 'ArrowRight', { ctrlKey: true }).defaultPrevented).toBe(false);
    expect(press(rows()[0], 'a').defaultPrevented).toBe(false);
  });
});

describe('the time axis', () => {
  const ticks = (el: HTMLElement) => texts(el, '.memviz-panels-tick');

  it('has the texts of the tokens, as text', () => {
    const catalog = { ...memoryCatalog({ tokens: { sequence: 0, offset: 0 } }), tokens: [[['<i>', 'b', 'c', 'd']]] };
    const { view } = panelsOf(catalog, { pages: ALL_PAGES });
    expect(ticks(view.el)).toEqual(['<i>', 'b', 'c', 'd'].map((text) => `\u2068${text}\u2069`));
    expect(view.el.querySelector('i')).toBeNull();
  });

  it('has the steps where there are no tokens, and says so', () => {
    const { view } = whole();
    expect(ticks(view.el)).toEqual(['0', '1', '2', '3']);
    expect(texts(view.el, '.memviz-panels-axis-name')).toEqual(['time, in steps']);
  });
});

describe('the steps that wrote', () => {
  const lit = (el: HTMLElement) => el.querySelector('.memviz-panels-lit') as HTMLElement;

  it('stand as bars above the strips, and the largest share is said', async () => {
    const { view, selection } = whole();
    expect(lit(view.el).hidden).toBe(true);
    selection.set({ lit: [0, 0.25, 0.5, 0] });
    await nextFrame();
    expect([lit(view.el).hidden, lit(view.el).title]).toEqual([false, 'the largest share, 0.5, was written at time 2']);
    const bars = lit(view.el).querySelector('path')?.getAttribute('d') ?? '';
    // steps 1 and 2 of 4 on 464 pixels, half as high and 18 pixels high
    expect([bars.match(/v-9.00/g)?.length, bars.match(/v-18.00/g)?.length]).toEqual([116, 116]);
  });

  it('go when nothing is lit', async () => {
    const { view, selection } = whole();
    selection.set({ lit: [1, 0, 0, 0] });
    selection.set({ lit: [] });
    await nextFrame();
    expect(lit(view.el).hidden).toBe(true);
  });
});

it('says below the strips what the colours mean, the order and the law', async () => {
  const { view, model } = whole();
  expect(texts(view.el, '.memviz-panels-caption')[0]).toBe(
    'Memory enc, sample 0 of 2. Gates and weights: dark 0, bright 1. Other parts: up to their own largest |x|; signed ' +
      'ones white at 0, blue below, orange above. Units by index, 0 on top. cell_t = f_t · cell_{t-1} + i_t · g_t.',
  );
  model.set('order', 'timescale');
  await nextFrame();
  expect(texts(view.el, '.memviz-panels-caption')[0]).toContain('Units by timescale, the slowest on top.');
});

it('leaves nothing behind', async () => {
  const { view, selection, store } = whole();
  const count = () => [selection, store].map(listenerCount);
  const before = count();
  shown(MemoryPanelsView, view.model).remove();
  expect(count()).toEqual(before);
  view.remove();
  await nextFrame();
  expect(listenerCount(store)).toBeLessThan(before[1]);
});
