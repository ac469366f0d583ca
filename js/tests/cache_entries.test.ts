import { beforeEach, describe, expect, it } from 'vitest';

import type { RecordEntry } from '../src/catalog';
import { CacheEntriesModel, CacheEntriesView } from '../src/cache_entries';
import { attentionRecord, imageRecord, layer, listenerCount, make } from './models';
import { all, nextFrame, press, shown, texts } from './page';
import { ENTRY_MEASURES, WORDS, memoryWorld, numbers, partRecord } from './reading_world';

beforeEach(() => document.body.replaceChildren());

const [HEADS, STEPS] = [2, 4];
const flat = (row: (head: number, step: number) => number) =>
  Array.from({ length: HEADS * STEPS }, (_, cell) => row(Math.floor(cell / STEPS), cell % STEPS));
const ROWS: Record<string, number[]> = {
  'key norm': flat((head, step) => 10 * head + step + 1),
  'value norm': flat(() => 1),
  'attention received': flat((_, step) => 4 - step),
  'uniform baseline': flat((_, step) => 2 - step / 2),
  'held until': flat((_, step) => Math.min(3, step + 2)), // a window of 3: entry 0 is gone in step 3
  bytes: flat((_, step) => 1024 * Math.min(3, step + 1)),
};

function keyRecord(): RecordEntry {
  const record = partRecord({ units: 8, steps: STEPS }, { entries: HEADS, tokens: { sequence: 0, offset: 0 } });
  return { ...record, dims: ['batch', 'head', 'time', 'channel'], extents: { ...record.extents, head: HEADS } };
}

function entries({ state = {}, rows = ROWS, record = keyRecord(), kind = 'key', attention = -1 } = {}) {
  const values = ENTRY_MEASURES.flatMap((name) => rows[name]);
  const pages = [numbers('entries', [ENTRY_MEASURES.length, HEADS, STEPS], values)];
  const { store, selection } = memoryWorld([kind], [record], pages, { tokens: [[WORDS]], form: 'kv', attention });
  const model = make(CacheEntriesModel, { selection, ...state });
  const view = shown(CacheEntriesView, model);
  const stage = view.el.querySelector('.memviz-entries-stage') as HTMLElement;
  stage.getBoundingClientRect = () => ({ left: 0, width: 400, top: 0, height: 100 }) as DOMRect;
  const text = (name: string) => view.el.querySelector(`.memviz-entries-${name}`)?.textContent?.replace(/[\u2068\u2069]/g, '');
  const path = (name: string) => view.el.querySelector(`.memviz-entries-${name}`)?.getAttribute('d') ?? '';
  return { store, selection, model, view, stage, text, path };
}

const bars = (path: string) => [...path.matchAll(/v(-[\d.]+)/g)].map((match) => Number(match[1]));
const at = (type: string, x: number) => new MouseEvent(type, { clientX: x, bubbles: true });

describe('the bars', () => {
  it('are the norms of the keys, evicted entries apart', () => {
    const { path, text, view } = entries();
    expect([bars(path('evicted')), bars(path('held'))]).toEqual([[-25], [-50, -75, -100]]);
    expect(text('caption')).toBe(
      'Length |k| of the key of each entry, KV head 0 of 2, enc key; grey: 1 of 4 entries evicted before the last step',
    );
    expect(text('top')).toBe('4');
    expect(view.el.querySelector('svg')?.getAttribute('viewBox')).toBe('0 0 4 100');
  });

  it('are those of the selected head', async () => {
    const { selection, text } = entries();
    selection.set('head', 1);
    await nextFrame();
    expect([text('top'), text('caption')?.includes('KV head 1 of 2')]).toEqual(['14', true]);
  });

  it('of attention stand beside the uniform baseline', async () => {
    const { model, path, text } = entries();
    model.set('measure', 'attention received');
    await nextFrame();
    expect([bars(path('evicted')), bars(path('held'))]).toEqual([[-100], [-75, -50, -25]]);
    expect(path('baseline')).toBe('M0 50h1M1 62.5h1M2 75h1M3 87.5h1');
    expect(text('caption')).toContain('line: the same for uniform attention over what each query could see');
    expect(text('readout')).toBe('entry 0 “the”: attention received 4 = 2 × uniform attention; evicted after step 2');
  });

  it('are none for attention that nobody recorded, and that is said', () => {
    const rows = { ...ROWS, 'attention received': flat(() => NaN) };
    const { path, text } = entries({ rows, state: { measure: 'attention received' } });
    expect([path('held'), path('evicted')]).toEqual(['', '']);
    expect(text('caption')).toBe(
      'No attention received here: no attention of this recording was found that reads this cache. KV head 0 of 2, enc key',
    );
  });

  it('are none for attention that is too much to be summed, and that is said', () => {
    const rows = { ...ROWS, 'attention received': flat(() => NaN) };
    const { text } = entries({ rows, state: { measure: 'attention received' }, attention: 0 });
    expect(text('caption')).toContain('too many to be summed while you wait');
  });

  it('have the tokens under them', () => {
    const { view } = entries();
    expect(texts(view.el, '.memviz-entries-tick').map((tick) => tick?.replace(/[\u2068\u2069]/g, ''))).toEqual(WORDS);
    expect(all(view.el, '.memviz-entries-tick').map((tick) => tick.style.left)).toEqual(['12.5%', '37.5%', '62.5%', '87.5%']);
  });
});

it('says how the cache grows', () => {
  const { text } = entries();
  expect(text('growth')).toBe('adds 1 KiB per step; 3 KiB after 3 steps, and from then on, as old entries make room');
});

describe('looking and selecting', () => {
  it('hover says the entry, and leaves the selection', async () => {
    const { stage, text, selection } = entries();
    stage.dispatchEvent(at('pointermove', 250));
    await nextFrame();
    expect([text('readout'), selection.get('time')]).toEqual(['entry 2 “sat”: key norm 3', 0]);
    stage.dispatchEvent(at('pointerleave', 250));
    await nextFrame();
    expect(text('readout')).toBe('entry 0 “the”: key norm 1; evicted after step 2');
  });

  it('a click selects the timestep', async () => {
    const { stage, selection, view } = entries();
    stage.dispatchEvent(at('click', 399));
    await nextFrame();
    expect(selection.get('time')).toBe(3);
    expect((view.el.querySelector('.memviz-entries-cursor') as HTMLElement).style.left).toBe('87.5%');
  });

  it('the arrow keys go from entry to entry', async () => {
    const { stage, selection } = entries();
    const event = press(stage, 'ArrowRight');
    expect([selection.get('time'), event.defaultPrevented]).toEqual([1, true]);
    ['End', 'ArrowRight', 'ArrowLeft'].forEach((key) => press(stage, key));
    await nextFrame();
    expect([selection.get('time'), stage.getAttribute('aria-valuenow')]).toEqual([2, '2']);
    expect(press(stage, 'a').defaultPrevented).toBe(false);
  });

  it('selects the key, and reads the head of its group, while an attention is selected', async () => {
    const { store, selection, stage, text } = entries();
    const { catalog } = store;
    const attention = { ...attentionRecord(1, 4), attention: {} as never };
    const weights = { ...layer('attn', [1]), path: 'enc', kind: 'attention' };
    attention.extents = { sample: 1, head: 4, query: 4, key: 4, time: 4 };
    const pages = store.savedPages();
    store.set_state({ catalog: { ...catalog, layers: [catalog.layers[0], weights], records: [catalog.records[0], attention] }, pages });
    selection.set({ layer: 1, head: 2, time: 1 });
    await nextFrame();
    expect(text('caption')).toContain('KV head 1 of 2'); // 4 heads of queries share 2
    stage.dispatchEvent(at('click', 399));
    expect([selection.get('key'), selection.get('time'), selection.get('layer')]).toEqual([3, 1, 1]);
  });
});

describe('what cannot be shown', () => {
  it('without a cache says that there is none', () => {
    const { text, view } = entries({ record: partRecord({ units: 2, steps: 4 }), kind: 'cell' });
    expect(text('caption')).toBe('No KV cache here: no attention in this recording keeps its keys and values from step to step.');
    expect([view.el.dataset.state, (view.el.querySelector('.memviz-entries-plot') as HTMLElement).hidden]).toEqual(['message', true]);
  });

  it('says why entries will not come', async () => {
    const { store, text, selection } = entries();
    store.set_state({ catalog: { ...store.catalog, records: [keyRecord(), imageRecord(1, 1)] } });
    selection.set('time', 1);
    await nextFrame();
    expect(text('caption')).toBe('This picture is not in the page, and there is no kernel to ask for it.');
  });
});

it('leaves no listener behind when it is removed', () => {
  const { view, selection, store } = entries();
  const before = [listenerCount(selection), listenerCount(store)];
  view.remove();
  expect(listenerCount(selection)).toBeLessThan(before[0]);
  expect(listenerCount(store)).toBeLessThan(before[1]);
});
