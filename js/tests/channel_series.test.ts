import { describe, expect, it, vi } from 'vitest';

import type { RecordEntry } from '../src/catalog';
import { ChannelSeriesModel, curveOf } from '../src/channel_series';
import { catalogOf, foreign, header, imageRecord, listenerCount, make, picture, world } from './models';

const page = { record: 0, kind: 'series', page: 0 } as const;

/** Three channels over four timesteps, each value = 10 * channel + timestep. */
function recordOverTime(pool = 1): RecordEntry {
  const series = { ...picture([['channel', 3]], 1, 4, 3), pool_cols: pool };
  return { ...imageRecord(1, 3), extents: { time: 4 * pool, channel: 3 }, series };
}

function pageOf(values: number[]) {
  const none = new Float64Array(0);
  return { ...header(page, [3, 1, 4], 'float32'), data: Float32Array.from(values), lo: none, hi: none };
}

const VALUES = [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23];

function shown({ pool = 1, values = VALUES } = {}) {
  const { store, selection } = world(catalogOf(recordOverTime(pool), imageRecord(1, 2)), undefined, { pages: [pageOf(values)] });
  const [lines, cursor, y_axis] = [foreign({ x: [0], y: [0] }), foreign({ x: [0], y: [0] }), foreign({ label: '' })];
  const series = make(ChannelSeriesModel, { selection, lines, cursor, y_axis });
  const points = (mark: typeof lines) => [Array.from(mark.get('x')), Array.from(mark.get('y'))];
  return { store, selection, lines, cursor, y_axis, series, points };
}

const nextFrame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 5)));

describe('the line', () => {
  it('is the selected channel over time, with the cursor across its range', async () => {
    const { selection, lines, cursor, y_axis, points } = shown();
    selection.set({ channel: 1, time: 2 });
    await nextFrame();
    expect(points(lines)).toEqual([[0, 1, 2, 3], [10, 11, 12, 13]]);
    expect(points(cursor)).toEqual([[2, 2], [10, 13]]);
    expect(y_axis.get('label')).toBe('channel 1');
  });

  it('stays as it is when only the timestep moves', async () => {
    const { selection, lines, cursor, points } = shown();
    const redrawn = vi.fn();
    lines.on('change', redrawn);
    selection.set('time', 3);
    await nextFrame();
    expect(points(cursor)[0]).toEqual([3, 3]);
    expect(redrawn).not.toHaveBeenCalled();
  });

  it('is scaled by the pool window', () => {
    const { lines, points } = shown({ pool: 5 });
    expect(points(lines)[0]).toEqual([0, 5, 10, 15]);
  });

  it('is empty for a record without series, and back afterwards', async () => {
    const { selection, lines, cursor, points } = shown();
    selection.set('layer', 1);
    await nextFrame();
    expect([points(lines), points(cursor)]).toEqual([[[], []], [[], []]]);
    selection.set('layer', 0);
    await nextFrame();
    expect(points(lines)[1]).toEqual([0, 1, 2, 3]);
  });

  it('comes when its page has come', async () => {
    const { store, selection, lines, points } = shown();
    store.set_state({ catalog: catalogOf(recordOverTime()) });
    await nextFrame();
    expect(points(lines)[0]).toEqual([]);
    store.set_state({ pages: [pageOf(VALUES)] });
    await nextFrame();
    expect(points(lines)[0]).toEqual([0, 1, 2, 3]);
    expect(selection.get('time')).toBe(0);
  });
});

describe('values that are no finite number', () => {
  it('break the line and leave the axis alone', () => {
    const curve = curveOf(Float32Array.of(1, NaN, Infinity, 4), 1);
    expect(Array.from(curve.y)).toEqual([1, NaN, NaN, 4]);
    expect([curve.low, curve.high]).toEqual([1, 4]);
  });

  it('may be all there is', () => {
    const { cursor, lines, points } = shown({ values: VALUES.map(() => NaN) });
    expect([points(cursor), points(lines)]).toEqual([[[0, 0], [-0.5, 0.5]], [[], []]]); // bqplot makes no axis of NaN
  });
});

it('keeps float32 values exact', () => {
  const values = Float32Array.of(0.1, -1e-30, 3e38, 0);
  expect(Array.from(curveOf(values, 1).y)).toEqual(Array.from(values));
});

it('leaves no listener and no frame behind when it is closed', async () => {
  const { series, selection, store, lines } = shown();
  selection.set('channel', 2);
  await series.close();
  const before = [listenerCount(selection), listenerCount(store)];
  await nextFrame();
  expect(Array.from(lines.get('y'))).toEqual([0, 1, 2, 3]);
  await make(ChannelSeriesModel, { selection, lines, cursor: lines }).close();
  expect([listenerCount(selection), listenerCount(store)]).toEqual(before);
});
