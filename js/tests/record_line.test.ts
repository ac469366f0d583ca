import { describe, expect, it, vi } from 'vitest';

import type { RecordEntry } from '../src/catalog';
import { BUSY_MESSAGE, ON_DEMAND, RecordLineModel, RecordLineView, poolingNote, recordFacts } from '../src/record_line';
import type { Grain } from '../src/tensor_image_model';
import { FakeComm, catalogOf, foreign, framePage, imageRecord, listenerCount, make, picture, stats, stepped, world } from './models';
import { nextFrame, shown, texts } from './page';

const PAGES = [framePage({ record: 0, kind: 'frame', page: 0 }, [2, 2, 3])];

function line(record: RecordEntry = imageRecord(1, 2), state: object = { pages: PAGES }, comm?: FakeComm) {
  const { store, selection } = world(catalogOf(record), comm, state);
  const model = make(RecordLineModel, { selection });
  return { store, selection, model, view: shown(RecordLineView, model) };
}

describe('the facts', () => {
  it('are shape with dims, dtype, bytes and statistics', () => {
    const record = { ...imageRecord(1, 2), stats: { ...stats(-2.1, 3.4), mean: 0.02, std: 0.7, zeros: 0.51, nan: 3 } };
    expect(texts(line(record).view.el, '.memviz-record-facts')).toEqual([
      '(1, 2, 2, 3) batch × channel × height × width · float32 · 48 B · min −2.1 max 3.4 mean 0.02 std 0.7 · 51 % zeros · 3 NaN',
    ]);
  });

  it('leave out what there is not', () => {
    const nothing = { ...imageRecord(1, 2), shape: [5], dims: ['channel'], stats: null };
    expect(recordFacts(nothing)).toEqual(['(5,) channel', 'float32', '48 B']);
    const allNaN = { ...stats(null, null), mean: null, std: null, nan: 12 };
    expect(recordFacts({ ...nothing, shape: [], dims: [], stats: allNaN })).toEqual(['()', 'float32', '48 B', '0 % zeros', '12 NaN']);
  });
});

it('says of a record on demand what a look at it costs, as a fact', () => {
  const record = { ...imageRecord(1, 2), kept: false, on_demand: true };
  expect(recordFacts(record).at(-1)).toBe(ON_DEMAND);
  expect(texts(line(record).view.el, '.memviz-record-message')).toEqual([]);
});

it('says when the layer did not run in the step, and keeps the notices', async () => {
  const catalog = { ...catalogOf(imageRecord(1, 2)), layers: [stepped('conv', [[0], []])] };
  const { selection } = world(catalog, undefined, { pages: PAGES, notice: 'a takes no hooks' });
  const { el } = shown(RecordLineView, make(RecordLineModel, { selection }));
  selection.set('step', 1);
  await nextFrame();
  expect(texts(el, '.memviz-record-facts')).toEqual(['conv did not run in step 1']);
  expect(texts(el, '.memviz-record-message')).toEqual(['a takes no hooks']);
});

describe('messages', () => {
  it('are spoken politely: what the record says', () => {
    const { view } = line({ ...imageRecord(1, 2), message: 'all values are equal' });
    expect(texts(view.el, '[role=status] div')).toEqual(['all values are equal']);
  });

  it('say why a picture will not come', () => {
    expect(texts(line(undefined, {}).view.el, '.memviz-record-message')[0]).toMatch(/no kernel/);
  });

  it('say that the kernel is busy, and stop', async () => {
    const { view, store } = line();
    const waiting = vi.spyOn(store, 'waiting', 'get').mockReturnValue(true);
    store.trigger('waiting');
    await nextFrame();
    expect(texts(view.el, '.memviz-record-message')).toEqual([BUSY_MESSAGE]);
    waiting.mockReturnValue(false);
    store.trigger('waiting');
    await nextFrame();
    expect(texts(view.el, '.memviz-record-message')).toEqual([]);
  });

  it('show a problem as an error', async () => {
    const { view, store } = line();
    store.report(new TypeError('no such cell'));
    await nextFrame();
    expect(texts(view.el, '[role=alert]')).toEqual(['TypeError: no such cell']);
  });

  it('say what the capture left out, a line each', () => {
    const { view } = line(imageRecord(1, 2), { pages: PAGES, notice: 'a takes no hooks\nb was rewritten' });
    expect(texts(view.el, '.memviz-record-message')).toEqual(['a takes no hooks', 'b was rewritten']);
  });

  it('tell what pooling hides', () => {
    expect(poolingNote({ ...picture([], 2, 3, 1), pool_rows: 8, pool_cols: 4 })).toBe('1 of 8 × 4 cells shown: largest |x|');
    expect([poolingNote(picture([], 2, 3, 1)), poolingNote(null)]).toEqual(['', '']);
  });

  it('tell of a zoomed picture what is drawn of it', () => {
    const pooled = { ...picture([], 2, 3, 1), pool_rows: 8, pool_cols: 4 };
    expect(poolingNote(pooled, { detail: [2, 1], crowded: false })).toBe('zoomed: 1 of 2 × 1 cells shown: largest |x|');
    expect(poolingNote(pooled, { detail: [1, 1], crowded: false })).toBe('zoomed: every cell of this part is shown');
  });

  it('tell that there are more cells than pixels', () => {
    expect(poolingNote(picture([], 2, 3, 1), { detail: null, crowded: true })).toMatch(/^the screen has fewer pixels/);
  });

  it('follow the zoom of the heatmap', async () => {
    const record = { ...imageRecord(1, 2), frame: { ...picture([], 2, 3, 1), pool_rows: 8, pool_cols: 8 } };
    const { selection } = world(catalogOf(record), undefined, { pages: PAGES });
    const image = Object.assign(foreign({}), { grain: { detail: null, crowded: false } as Grain });
    const { el } = shown(RecordLineView, make(RecordLineModel, { selection, image }));
    expect(texts(el, '.memviz-record-message')).toEqual(['1 of 8 × 8 cells shown: largest |x|']);
    image.grain = { detail: [1, 1], crowded: false };
    image.trigger('grain');
    await nextFrame();
    expect(texts(el, '.memviz-record-message')).toEqual(['zoomed: every cell of this part is shown']);
  });
});

describe('recovered values', () => {
  const recovered = (residual: number) => ({ pages: [{ ...framePage({ record: 0, kind: 'frame', page: 0 }, [2, 2, 3]), residual }] });
  const facts = (view: RecordLineView) => texts(view.el, '.memviz-record-fact');
  const warnings = (view: RecordLineView) => texts(view.el, '.memviz-record-warning');

  it('have their largest error among the facts', () => {
    const { view } = line(imageRecord(1, 2), recovered(1.23e-7));
    expect([facts(view).at(-1), warnings(view)]).toEqual([' · residual 1.2e−7', []]);
  });

  it.each([
    [1e-4, []],
    [3e-3, ['not trusted: recovered values differ by up to 0.003 from what the module returned']],
    [Number.MAX_VALUE, ['not trusted: recovered values differ by up to NaN from what the module returned']],
  ])('with an error of %f are warned of: %j', (residual, expected) => {
    expect(warnings(line(imageRecord(1, 2), recovered(residual)).view)).toEqual(expected);
  });

  it('are warned of once, where the record says so itself', () => {
    const message = 'not trusted: recovered values differ by up to 3e-3 from what the module returned';
    expect(warnings(line({ ...imageRecord(1, 2), message }, recovered(3e-3)).view)).toEqual([message]);
  });
});

it('leaves no listener behind', () => {
  const { view, model, selection, store } = line();
  const count = () => [selection, store].map(listenerCount);
  const before = count();
  shown(RecordLineView, model).remove();
  expect(count()).toEqual(before);
  view.remove();
  expect(count().every((left, i) => left < before[i])).toBe(true);
});
