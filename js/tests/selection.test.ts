import { describe, expect, it, vi } from 'vitest';

import { FrameStoreModel } from '../src/frame_store';
import { KERNEL_LAG_MS, SelectionModel } from '../src/selection';
import { FakeComm, catalogOf, imageRecord, layer, listenerCount, make, stepped, world } from './models';

const twoLayers = () => catalogOf(imageRecord(2, 16), imageRecord(1, 4));

describe('the selected record', () => {
  it('is found by layer and call', () => {
    const catalog = { ...twoLayers(), layers: [layer('rnn', [0, 1])] };
    const { selection } = world(catalog);
    expect(selection.place()).toMatchObject({ index: 0, layer: { label: 'rnn' } });
    selection.set('call', 1);
    expect(selection.place()!.index).toBe(1);
    expect(selection.extent('call')).toBe(2);
    expect(selection.extent('layer')).toBe(1);
  });

  it('is null without a layer and without a store', () => {
    expect(world(catalogOf()).selection.place()).toBeNull();
    const orphan = make(SelectionModel, {});
    expect(orphan.place()).toBeNull();
    expect(orphan.extent('channel')).toBe(0);
    orphan.move('channel', 3);
  });
});

/** "a" runs with 16 channels in step 0 and twice with 4 in step 3, "b" in step 1 alone. */
function threeRuns() {
  const records = [imageRecord(1, 16), imageRecord(1, 8), imageRecord(1, 4), imageRecord(1, 4)];
  const layers = [stepped('a', [[0], [], [], [2, 3]]), stepped('b', [[], [1], [], []])];
  return world({ ...catalogOf(...records), layers }).selection;
}

describe('steps', () => {
  it('choose the record, and how many calls there are', () => {
    const selection = threeRuns();
    expect([selection.extent('step'), selection.extent('call')]).toEqual([4, 1]);
    selection.set({ step: 3, call: 1 });
    expect([selection.place()!.index, selection.extent('call')]).toEqual([3, 2]);
    selection.move('step', 0);
    expect([selection.place()!.index, selection.get('call')]).toEqual([0, 0]);
  });

  it('without the layer have no record, say so, and leave the other indices where they are', () => {
    const selection = threeRuns();
    selection.set({ channel: 12, step: 1 });
    expect([selection.place(), selection.absence()]).toEqual([null, 'a did not run in step 1']);
    expect([selection.get('channel'), selection.extent('channel'), selection.extent('call')]).toEqual([12, 16, 1]);
    selection.move('step', 3);
    expect([selection.place()!.index, selection.get('channel')]).toEqual([2, 3]);
  });

  it('before the first run of a layer have the extents of that run', () => {
    const selection = threeRuns();
    selection.set({ layer: 1 });
    expect([selection.place(), selection.extent('channel'), selection.extent('call')]).toEqual([null, 8, 1]);
  });

  it('are announced, also from one without a record to the next', () => {
    const selection = threeRuns();
    const moved = vi.fn();
    selection.on('place', moved);
    [1, 2, 3].forEach((step) => selection.move('step', step));
    expect(moved).toHaveBeenCalledTimes(3);
    selection.move('step', 99);
    expect([moved.mock.calls.length, selection.get('step')]).toEqual([3, 3]);
  });
});

it('says that nothing was recorded', () => {
  expect(world(catalogOf()).selection.absence()).toBe('nothing was recorded');
});

describe('moving into the record', () => {
  it('clamps every index in the step that changes the layer', () => {
    const { selection } = world(twoLayers());
    selection.set({ channel: 12, sample: 1 });
    const events: string[] = [];
    selection.on('all', (name: string) => events.push(name));
    selection.set('layer', 1);
    expect(selection.get('channel')).toBe(3);
    expect(selection.get('sample')).toBe(0);
    expect(events).toEqual(['place', 'change:layer', 'change:sample', 'change:channel', 'change']);
  });

  it('reaches the kernel as one message, a little later', () => {
    vi.useFakeTimers();
    const comm = new FakeComm();
    const store = make(FrameStoreModel, { catalog: twoLayers() });
    const selection = make(SelectionModel, { store, channel: 12 }, comm);
    selection.move('layer', 1);
    selection.move('channel', 2);
    expect(comm.updates).toEqual([]);
    vi.advanceTimersByTime(KERNEL_LAG_MS);
    expect(comm.updates).toEqual([{ layer: 1, channel: 2 }]);
    selection.move('layer', 1);
    vi.advanceTimersByTime(KERNEL_LAG_MS);
    expect(comm.updates).toHaveLength(1);
    vi.useRealTimers();
  });

  it('is not undone by an echo of the move before', () => {
    vi.useFakeTimers();
    const { selection } = world(twoLayers());
    selection.move('channel', 7);
    selection.set_state({ channel: 6, sample: 1 });
    expect([selection.get('channel'), selection.get('sample')]).toEqual([7, 1]);
    vi.advanceTimersByTime(KERNEL_LAG_MS);
    selection.set_state({ channel: 2 });
    expect(selection.get('channel')).toBe(2);
    vi.useRealTimers();
  });

  it('says "change" once, also when a listener answers with the same value or with another', () => {
    const { selection } = world(twoLayers());
    const changed = vi.fn();
    selection.on('change', changed);
    selection.on('change:channel', () => selection.move('channel', selection.get('channel') as number));
    selection.move('channel', 3);
    expect(changed).toHaveBeenCalledTimes(1);
    selection.on('change:channel', () => selection.move('sample', 1));
    selection.move('channel', 4);
    expect(changed).toHaveBeenCalledTimes(2);
  });

  it('keeps values from outside the record out of it', () => {
    const { selection } = world(twoLayers());
    selection.move('channel', 99);
    expect(selection.get('channel')).toBe(15);
    selection.move('layer', -4);
    expect(selection.get('layer')).toBe(0);
  });

  it('waits for a catalog that comes later', () => {
    const store = make(FrameStoreModel, {});
    const selection = make(SelectionModel, { store, layer: 1, channel: 12 });
    expect(selection.get('channel')).toBe(12);
    const moved = vi.fn();
    selection.on('place', moved);
    store.set('catalog', twoLayers());
    expect(selection.get('layer')).toBe(1);
    expect(selection.get('channel')).toBe(3);
    expect(moved).toHaveBeenCalledTimes(1);
  });
});

it('gives the flat frame index row-major over the axes of the picture', () => {
  const { selection } = world(twoLayers());
  selection.set({ sample: 1, channel: 5 });
  const picture = selection.place()!.record.frame!;
  expect(selection.flat(picture)).toBe(1 * 16 + 5);
  expect(selection.flat(picture, { channel: 2 })).toBe(18);
  expect(selection.flat(picture, { channel: 99 })).toBe(31);
});

it('announces another record once, however it was reached', () => {
  const catalog = { ...twoLayers(), layers: [layer('a', [0, 1]), layer('b', [1])] };
  const { selection } = world(catalog);
  const moved = vi.fn();
  selection.on('place', moved);
  selection.set('channel', 3);
  expect(moved).toHaveBeenCalledTimes(0);
  selection.set({ layer: 0, call: 1 });
  expect(moved).toHaveBeenCalledTimes(1);
  selection.set({ layer: 1, call: 0 });
  expect(moved).toHaveBeenCalledTimes(1);
});

it('carries which steps are lit up, is told so once, and knows them as no axis', async () => {
  vi.useFakeTimers();
  const comm = new FakeComm();
  const store = make(FrameStoreModel, { catalog: twoLayers() });
  const selection = make(SelectionModel, { store }, comm);
  const changed = vi.fn();
  selection.on('change:lit', changed);
  selection.set({ lit: [0, 0.5] });
  selection.set({ lit: [0, 0.5], channel: 1 });
  vi.advanceTimersByTime(KERNEL_LAG_MS);
  expect([selection.get('lit'), selection.extent('lit'), changed.mock.calls.length]).toEqual([[0, 0.5], 0, 1]);
  expect(comm.updates.at(-1)).toMatchObject({ lit: [0, 0.5] });
  vi.useRealTimers();
});

it('leaves no listener behind when it is closed', async () => {
  const store = make(FrameStoreModel, { catalog: twoLayers() });
  const before = listenerCount(store);
  const selection = make(SelectionModel, { store });
  expect(listenerCount(store)).toBeGreaterThan(before);
  await selection.close();
  expect(listenerCount(store)).toBe(before);
  expect(listenerCount(selection)).toBe(0);
  await store.close();
  expect(listenerCount(store)).toBe(0);
});
