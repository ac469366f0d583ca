import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { VALUE_WAIT_MS } from '../src/cell_values';
import { FrameStoreModel } from '../src/frame_store';
import { REQUEST_WAIT_MS, WAITING_NOTICE_MS } from '../src/page_requests';
import type { PageName } from '../src/pages';
import { attentionOf, attentionWorld, mapPage } from './attention_world';
import { FakeComm, answer, answerAll, catalogOf, framePage, header, imageRecord, make, settled, stats, stepped, world } from './models';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const wantsOf = (message: Record<string, unknown>) =>
  (message.wants as PageName[]).map((want) => `${want.record}/${want.kind}/${want.page}`);

/** Answers until the store asks for nothing more; gives the number of requests. */
async function answerUntilQuiet(store: FrameStoreModel, comm: FakeComm): Promise<number> {
  let answered = 0;
  for (; answered < 50; answered++) {
    await settled();
    if (comm.custom.length === answered) {
      break;
    }
    answerAll(store, comm.custom[answered]);
  }
  return answered;
}

describe('asking for pages', () => {
  it('asks for the visible page first, then outward from the cursor, then for the neighbours', async () => {
    const comm = new FakeComm();
    const { selection } = world(catalogOf(imageRecord(1, 10), imageRecord(1, 10)), comm);
    selection.set('channel', 5);
    await settled();
    expect(comm.custom).toHaveLength(1);
    expect(wantsOf(comm.custom[0])).toEqual([
      '0/frame/2',
      '0/histogram/0',
      '0/frame/3',
      '0/frame/1',
      '0/frame/4',
      '0/frame/0',
      '1/frame/2',
    ]);
  });

  it('asks for the other samples after the selected one', async () => {
    const comm = new FakeComm();
    const { selection } = world(catalogOf(imageRecord(3, 4)), comm);
    selection.set('sample', 1);
    await settled();
    const frames = wantsOf(comm.custom[0]).filter((want) => want.includes('frame'));
    expect(frames).toEqual(['0/frame/2', '0/frame/3', '0/frame/1', '0/frame/4', '0/frame/0', '0/frame/5']);
  });

  it('asks for the neighbouring steps and calls after the selected record', async () => {
    const comm = new FakeComm();
    const records = [imageRecord(1, 1), imageRecord(1, 1), imageRecord(1, 1), imageRecord(1, 1)];
    const { selection } = world({ ...catalogOf(...records), layers: [stepped('a', [[0], [1, 2], [], [3]])] }, comm);
    selection.set({ step: 1 });
    await settled();
    expect(wantsOf(comm.custom[0])).toEqual(['1/frame/0', '1/histogram/0', '0/frame/0', '2/frame/0']);
  });

  it('asks for the other steps of a training, nearest first, before the other samples', async () => {
    const comm = new FakeComm();
    const records = Array.from({ length: 5 }, () => imageRecord(2, 1, 1));
    const layers = [stepped('a', [[0], [1], [2], [], [4]]), stepped('b', [[], [], [], [3], []])];
    const { selection } = world({ ...catalogOf(...records), layers, step_labels: ['v', 'w', 'x', 'y', 'z'] }, comm);
    selection.set({ step: 1 });
    await settled();
    expect(wantsOf(comm.custom[0])).toEqual([
      '1/frame/0',
      '1/histogram/0',
      '2/frame/0',
      '0/frame/0',
      '4/frame/0',
      '1/frame/1',
    ]);
  });

  it('has no step of a training computed again for a guess', async () => {
    const comm = new FakeComm();
    const records = [imageRecord(1, 1), imageRecord(1, 1), { ...imageRecord(1, 1), on_demand: true }];
    world({ ...catalogOf(...records), layers: [stepped('a', [[0], [1], [2]])], step_labels: ['x', 'y', 'z'] }, comm);
    await settled();
    expect(wantsOf(comm.custom[0])).toEqual(['0/frame/0', '0/histogram/0', '1/frame/0']);
  });

  it('asks for nothing in a step in which the layer did not run', async () => {
    const comm = new FakeComm();
    const layers = [stepped('a', [[0], []])];
    const { selection } = world({ ...catalogOf(imageRecord(1, 1)), layers }, comm, { pages: [] });
    selection.set({ step: 1 });
    await settled();
    expect(comm.custom).toEqual([]);
  });

  it('has nothing computed again for a guess', async () => {
    const comm = new FakeComm();
    world(catalogOf(imageRecord(1, 1), { ...imageRecord(1, 1), kept: false, on_demand: true }), comm);
    await settled();
    expect(wantsOf(comm.custom[0])).toEqual(['0/frame/0', '0/histogram/0']);
  });

  it('has nothing computed again that was scrubbed past', async () => {
    const comm = new FakeComm();
    const again = { ...imageRecord(1, 1), kept: false, on_demand: true };
    const { store, selection } = world(catalogOf(again, again, again), comm);
    await settled();
    for (const layer of [1, 2]) {
      selection.set({ layer });
      store.frame(layer, 'frame', 0); // as a view does when it draws
    }
    answerAll(store, comm.custom[0]);
    await settled();
    expect(wantsOf(comm.custom[1])).toEqual(['2/frame/0', '2/histogram/0']);
  });

  it('says when a whole record is here', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 4)), comm);
    await settled();
    expect(store.complete(0)).toBe(false);
    expect(store.complete(7)).toBe(false);
  });

  it('has one request in flight and takes the next wants from the cursor when it is answered', async () => {
    const comm = new FakeComm();
    const { store, selection } = world(catalogOf(imageRecord(1, 4), imageRecord(1, 4)), comm, { budget_bytes: 150 });
    await settled();
    selection.set('layer', 1);
    selection.set('channel', 3);
    await settled();
    expect(comm.custom).toHaveLength(1);
    answerAll(store, comm.custom[0]);
    await settled();
    expect(comm.custom).toHaveLength(2);
    expect(wantsOf(comm.custom[1])[0]).toBe('1/frame/1');
  });

  it('makes one request of many steps in one event', async () => {
    const comm = new FakeComm();
    const { selection } = world(catalogOf(imageRecord(1, 8)), comm);
    [1, 2, 3, 4].forEach((channel) => selection.set('channel', channel));
    await settled();
    expect(comm.custom).toHaveLength(1);
  });

  it('asks no more once everything is here', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(2, 6), imageRecord(1, 6)), comm);
    expect(await answerUntilQuiet(store, comm)).toBe(1);
  });

  it('limits one request to about a mebibyte', async () => {
    const comm = new FakeComm();
    const record = imageRecord(1, 20, 1);
    record.frame = { ...record.frame!, rows: 600, cols: 600 };
    world(catalogOf(record), comm);
    await settled();
    expect(wantsOf(comm.custom[0])).toEqual(['0/frame/0', '0/histogram/0', '0/frame/1']);
  });

  it('asks for a page that a view missed before it prefetches', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(4, 4)), comm);
    expect(store.frame(0, 'frame', 15)).toBeNull();
    await settled();
    expect(wantsOf(comm.custom[0]).slice(0, 3)).toEqual(['0/frame/0', '0/histogram/0', '0/frame/7']);
  });
});

describe('answers', () => {
  it('gives frames as views into the page, with their own range', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 4)), comm);
    await settled();
    answerAll(store, comm.custom[0]);
    const frame = store.frame(0, 'frame', 3);
    expect(frame).toMatchObject({ rows: 2, cols: 3, lo: 1, hi: 2 });
    expect(Array.from(frame!.codes)).toEqual([6, 7, 8, 9, 10, 11]);
    expect(frame!.codes.buffer.byteLength).toBe(12);
  });

  it('tells views which record and kind have come', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 2)), comm);
    const seen = vi.fn();
    store.on('pages', seen);
    await settled();
    answerAll(store, comm.custom[0]);
    expect(seen.mock.calls).toEqual([
      [0, 'frame'],
      [0, 'histogram'],
    ]);
  });

  it('drops an answer that comes after its request was forgotten', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 2)), comm);
    await settled();
    vi.advanceTimersByTime(REQUEST_WAIT_MS);
    await settled();
    expect(comm.custom).toHaveLength(2);
    answerAll(store, comm.custom[0]);
    expect(store.frame(0, 'frame', 0)).toBeNull();
    answerAll(store, comm.custom[1]);
    expect(store.frame(0, 'frame', 0)).not.toBeNull();
  });

  it('remembers a refusal and does not ask again', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 2)), comm);
    await settled();
    const { id } = comm.custom[0];
    answer(store, { type: 'refused', id, record: 0, kind: 'frame', page: 0, message: 'not kept: raise budget=' });
    answer(store, { type: 'refused', id, record: 0, kind: 'histogram', page: 0, message: 'not kept' });
    answer(store, { type: 'done', id });
    expect(store.frame(0, 'frame', 0)).toBeNull();
    await settled();
    expect(store.refusal(0, 'frame')).toBe('not kept: raise budget=');
    expect(comm.custom).toHaveLength(1);
  });

  it('takes a want that was silently left out for refused', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 2)), comm);
    await settled();
    answer(store, { type: 'done', id: comm.custom[0].id });
    await settled();
    expect(comm.custom).toHaveLength(1);
    expect(store.refusal(0, 'frame')).toContain('The kernel sent nothing');
  });

  it('shows a page of the wrong size as a problem', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 2)), comm);
    await settled();
    const page = { type: 'page', id: comm.custom[0].id, ...header({ record: 0, kind: 'frame', page: 0 }, [2, 2, 3]) };
    answer(store, page, [new Uint8Array(5), new Float64Array(2), new Float64Array(2)]);
    expect(store.get('problem')).toBe(
      'Error: page 0/frame/0 came with buffers of 5, 16, 16 bytes; expected 3, the first of 12',
    );
  });
});

describe('the byte budget', () => {
  it('lets the least recently seen pages go, never the visible one', async () => {
    const comm = new FakeComm();
    // A page of two frames is 12 codes + 2 * 16 bytes = 44; the histogram page is 528.
    const { store, selection } = world(catalogOf(imageRecord(1, 8)), comm, { budget_bytes: 640 });
    await answerUntilQuiet(store, comm);
    for (const channel of [2, 4, 6]) {
      selection.set('channel', channel);
      await settled();
      comm.custom.slice(1).forEach((request) => answerAll(store, request));
    }
    expect(store.heldBytes).toBeLessThanOrEqual(640);
    expect(store.frame(0, 'frame', 6)).not.toBeNull();
    expect(store.frame(0, 'frame', 0)).toBeNull();
  });

  it('does not chase its own evictions when the budget is smaller than one page', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 8), imageRecord(1, 8)), comm, { budget_bytes: 10 });
    expect(await answerUntilQuiet(store, comm)).toBeLessThan(3);
    expect(store.frame(0, 'frame', 0)).not.toBeNull();
  });
});

describe('waiting for the kernel', () => {
  it('says so after a while and stops with the answer', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 2)), comm);
    const changed = vi.fn();
    store.on('waiting', changed);
    await settled();
    vi.advanceTimersByTime(WAITING_NOTICE_MS - 1);
    expect(store.waiting).toBe(false);
    vi.advanceTimersByTime(1);
    expect(store.waiting).toBe(true);
    answerAll(store, comm.custom[0]);
    expect(store.waiting).toBe(false);
    expect(changed).toHaveBeenCalledTimes(2);
  });

  it('waits when the kernel is dead, without an exception, and asks again later', async () => {
    const comm = new FakeComm();
    comm.failing = true;
    const { store } = world(catalogOf(imageRecord(1, 2)), comm);
    await settled();
    vi.advanceTimersByTime(WAITING_NOTICE_MS);
    expect(store.waiting).toBe(true);
    comm.failing = false;
    vi.advanceTimersByTime(REQUEST_WAIT_MS);
    await settled();
    expect(comm.custom).toHaveLength(1);
  });

  it('sends nothing while the comm is not live, and goes on when it is', async () => {
    const comm = new FakeComm();
    const { store, selection } = world(catalogOf(imageRecord(1, 2)), comm);
    store.comm_live = false;
    selection.set('channel', 1);
    await settled();
    expect(comm.custom).toHaveLength(0);
    expect(store.refusal(0, 'frame')).toContain('no kernel');
    store.comm_live = true;
    await settled();
    expect(comm.custom).toHaveLength(1);
  });
});

describe('maps of an attention', () => {
  const record = { ...attentionOf({ queries: 2, keys: 2, heads: 2 }), stats: null };
  const ends = { lo: Float64Array.of(-3), hi: Float64Array.of(-1) };
  const pages = [mapPage(record, [0, 0, 0, 0]), mapPage(record, [1, 1, 1, 1], { kind: 'log', ...ends })];

  it('are told from the frames of the record, and so are their ranges', () => {
    const { store } = attentionWorld(record, pages);
    expect([store.frame(0, 'frame', 0)?.codes[0], store.frame(0, 'log', 0)?.codes[0]]).toEqual([0, 1]);
    expect([store.seenRange(0), store.seenRange(0, 'log')]).toEqual([{ min: 0, max: 1 }, { min: -3, max: -1 }]);
    expect(store.seenRange(0, 'mean')).toEqual({ min: null, max: null });
  });

  it('are complete each for itself', () => {
    const { store } = attentionWorld(record, [mapPage(record, [0, 0, 0, 0], { kind: 'mean' })]);
    expect([store.complete(0), store.complete(0, 'mean')]).toEqual([false, true]);
  });

  it('are refused each for itself', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(record), comm);
    store.frame(0, 'rollout', 0);
    store.frame(0, 'mean', 0);
    await settled();
    const { id } = comm.custom[0] as { id: number };
    answer(store, { type: 'refused', id, ...header({ record: 0, kind: 'mean', page: 0 }, [0, 0, 0]), message: 'too large' });
    expect([store.refusal(0, 'mean'), store.refusal(0, 'frame')]).toEqual(['too large', '']);
  });
});

describe('exact values', () => {
  const value = { text: '0.25', number: 0.25, index: [0, 1] };

  it('gives the answer to the newest question only', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 2)), comm);
    const first = store.askValue(0, 0, 0, 0);
    const second = store.askValue(0, 0, 0, 1);
    const [one, two] = comm.custom.map((message) => message.id);
    answer(store, { type: 'value', id: one, ...value, text: 'stale' });
    answer(store, { type: 'value', id: two, ...value });
    expect(await first).toBeNull();
    expect(await second).toEqual(value);
  });

  it('is asked of the frame, or of another map of the record', () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 2)), comm);
    void store.askValue(0, 1, 2, 3);
    void store.askValue(0, 1, 2, 3, 'mean');
    expect(comm.custom.map(({ id: _id, ...asked }) => asked)).toEqual(
      ['frame', 'mean'].map((kind) => ({ type: 'value', record: 0, frame: 1, row: 2, col: 3, kind, pooled_by: 'largest' })));
  });

  it('is null when refused, when nobody answers, and without a kernel', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 2)), comm);
    const refused = store.askValue(0, 0, 0, 0);
    answer(store, { type: 'refused', id: comm.custom[0].id, message: 'closed' });
    expect(await refused).toBeNull();
    const unanswered = store.askValue(0, 0, 0, 0);
    vi.advanceTimersByTime(VALUE_WAIT_MS);
    expect(await unanswered).toBeNull();
    const { store: restored } = world(catalogOf(imageRecord(1, 2)));
    expect(await restored.askValue(0, 0, 0, 0)).toBeNull();
  });
});

describe('saved widget state', () => {
  const page = { record: 0, kind: 'frame', page: 0 } as const;

  it('shows its pictures without a kernel, and asks for nothing', async () => {
    const saved = framePage(page, [2, 2, 3]);
    const asBuffers = { ...saved, data: (saved.data as Uint8Array).slice().buffer, lo: (saved.lo as Float64Array).slice().buffer };
    const { store, selection } = world(catalogOf(imageRecord(1, 4)), undefined, { pages: [asBuffers] });
    expect(store.frame(0, 'frame', 1)).toMatchObject({ lo: 1, hi: 2 });
    selection.move('channel', 3);
    expect(store.frame(0, 'frame', 3)).toBeNull();
    expect(store.refusal(0, 'frame')).toContain('no kernel');
    await settled();
    expect(store.waiting).toBe(false);
  });

  it('holds the pages that the page has then, newest first, also when defaults are dropped', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 4)), comm);
    await settled();
    answerAll(store, comm.custom[0]);
    store.frame(0, 'frame', 0);
    const state = store.serialize(store.get_state(true) as Record<string, unknown>) as unknown as { pages: PageName[] };
    expect(state.pages.map((saved) => `${saved.kind}/${saved.page}`)).toEqual(['frame/0', 'frame/1', 'histogram/0']);
    const restored = make(FrameStoreModel, { catalog: store.get('catalog'), pages: state.pages });
    expect(Array.from(restored.frame(0, 'frame', 3)!.codes)).toEqual([6, 7, 8, 9, 10, 11]);
  });

  it('reads float64 ranges that start at an odd byte', () => {
    const bytes = new Uint8Array(3 + 16);
    bytes.set(new Uint8Array(Float64Array.of(-2.5, 7).buffer), 3);
    const state = { ...framePage(page, [2, 2, 3]), lo: new DataView(bytes.buffer, 3, 16) };
    const { store } = world(catalogOf(imageRecord(1, 4)), undefined, { pages: [state] });
    expect(store.frame(0, 'frame', 0)!.lo).toBe(-2.5);
    expect(store.frame(0, 'frame', 1)!.lo).toBe(7);
  });

  it('never travels back to the kernel', () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 4)), comm, { pages: [framePage(page, [2, 2, 3])] });
    store.save();
    expect(comm.updates[0]).toHaveProperty('budget_bytes');
    expect(comm.updates[0]).not.toHaveProperty('pages');
  });
});

it('sends a reported error and nothing else', () => {
  const comm = new FakeComm();
  const { store } = world(catalogOf(imageRecord(1, 4)), comm);
  store.report(new Error('odd'));
  expect(comm.updates).toEqual([{ problem: 'Error: odd' }]);
});

describe('how cells are pooled', () => {
  it('is said with every question; other pages are asked for, and those of before are forgotten', async () => {
    const comm = new FakeComm();
    const { store } = world(catalogOf(imageRecord(1, 2)), comm);
    await answerUntilQuiet(store, comm);
    expect(store.frame(0, 'frame', 0)).not.toBeNull();
    const before = comm.custom.length;
    store.set('pooled_by', 'mean');
    expect(store.frame(0, 'frame', 0)).toBeNull();
    await settled();
    expect(comm.custom.slice(before).map(({ type, pooled_by }) => [type, pooled_by])).toEqual([['pages', 'mean']]);
    expect(wantsOf(comm.custom[before])).toContain('0/frame/0');
  });

  it('stays as it is without a kernel, and the view says why', async () => {
    const { store } = world(catalogOf(imageRecord(1, 2)), undefined, {
      pages: [framePage({ record: 0, kind: 'frame', page: 0 }, [2, 2, 3])], pooled_by: 'mean',
    });
    store.set('pooled_by', 'largest');
    await settled();
    expect([store.trait('pooled_by'), store.frame(0, 'frame', 0)?.rows]).toEqual(['mean', 2]);
    expect(store.trait('problem')).toMatch(/no kernel to pool/);
  });
});

it('forgets pages and refusals with a new catalog, and keeps the pages that came with it', async () => {
  const comm = new FakeComm();
  const { store } = world(catalogOf(imageRecord(1, 4)), comm);
  await settled();
  answerAll(store, comm.custom[0]);
  const record = imageRecord(1, 4);
  record.stats = stats(0, 9);
  store.set_state({ pages: [framePage({ record: 0, kind: 'frame', page: 1 }, [2, 2, 3])], catalog: catalogOf(record) });
  expect(store.frame(0, 'frame', 0)).toBeNull();
  expect(store.frame(0, 'frame', 2)).not.toBeNull();
});
