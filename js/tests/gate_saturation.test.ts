import { describe, expect, it, vi } from 'vitest';

import { GateSaturationModel } from '../src/gate_saturation';
import { foreign, listenerCount, make } from './models';
import { memoryWorld, numbers, partRecord } from './reading_world';

const SIZE = { units: 3, steps: 4, samples: 2 };
// shares below 0.1 of units 0, 1, 2, then those above 0.9
const SHARES = [0, 0.25, 1, 0.75, 0.5, 0];
const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 5)));

async function saturation({ kinds = ['cell', 'gate.f'], shares = SHARES, gates = true } = {}) {
  const records = kinds.map((kind) => partRecord(SIZE, { saturation: gates && kind.startsWith('gate') }));
  const first = { record: kinds.indexOf('gate.f') };
  const pages = [0, 1].map((page) => numbers('saturation', [2, 1, 3], page ? SHARES.map(() => 0) : shares, { ...first, page }));
  const { store, selection } = memoryWorld(kinds, records, gates ? pages : []);
  const [dots, x_axis, y_axis] = [foreign({ x: [0], y: [0], selected: null }), foreign({ label: '' }), foreign({ label: '' })];
  const model = make(GateSaturationModel, { selection, dots, x_axis, y_axis });
  await frame();
  const points = () => [Array.from(dots.get('x')), Array.from(dots.get('y'))];
  const selected = () => dots.get('selected') && Array.from(dots.get('selected'));
  return { store, selection, dots, x_axis, y_axis, model, points, selected };
}

describe('the dots', () => {
  it('are the units of the first gate of the memory, by how often it is shut and open', async () => {
    const { dots, points, x_axis, y_axis } = await saturation();
    expect(points()).toEqual([[0, 0.25, 1], [0.75, 0.5, 0]]);
    expect(dots.get('names')).toEqual(['channel 0', 'channel 1', 'channel 2']);
    expect(x_axis.get('label')).toBe('enc gate.f, sample 0: share of steps < 0.1');
    expect(y_axis.get('label')).toBe('share of steps > 0.9');
  });

  it('are those of the selected gate', async () => {
    const { selection, x_axis } = await saturation({ kinds: ['cell', 'gate.i', 'gate.f'] });
    selection.set('layer', 2);
    await frame();
    expect(x_axis.get('label')).toContain('enc gate.f');
    selection.set('layer', 1);
    await frame();
    expect(x_axis.get('label')).toContain('enc gate.i');
  });

  it('follow the sample', async () => {
    const { selection, points, x_axis } = await saturation();
    selection.set('sample', 1);
    await frame();
    expect(points()).toEqual([[0, 0, 0], [0, 0, 0]]);
    expect(x_axis.get('label')).toContain('sample 1');
  });

  it('stay as they are when only the timestep moves', async () => {
    const { selection, dots } = await saturation();
    const redrawn = vi.fn();
    dots.on('change', redrawn);
    selection.set('time', 2);
    await frame();
    expect(redrawn).not.toHaveBeenCalled();
  });

  it('leave out a unit without data, and still select the right one', async () => {
    const { points, dots, selection } = await saturation({ shares: [0, NaN, 1, 0.75, NaN, 0] });
    expect(points()).toEqual([[0, 1], [0.75, 0]]);
    expect(dots.get('names')).toEqual(['channel 0', 'channel 2']);
    dots.set('selected', Uint32Array.of(1));
    expect(selection.get('channel')).toBe(2);
  });

  it('are none where no gate lies between 0 and 1, and the axis says so', async () => {
    const { points, x_axis } = await saturation({ gates: false });
    expect(points()).toEqual([[], []]);
    expect(x_axis.get('label')).toBe('this memory has no gate between 0 and 1');
  });
});

describe('the selected unit', () => {
  it('is the selected dot', async () => {
    const { selection, selected } = await saturation();
    expect(selected()).toEqual([0]);
    selection.set('channel', 2);
    await frame();
    expect(selected()).toEqual([2]);
  });

  it('is set by a click on a dot', async () => {
    const { selection, dots } = await saturation();
    dots.set('selected', Uint32Array.of(1)); // as bqplot does
    expect([selection.get('channel'), selection.get('layer')]).toEqual([1, 0]);
  });

  it('stays when bqplot deselects', async () => {
    const { selection, dots, selected } = await saturation();
    selection.set('channel', 1);
    await frame();
    dots.set('selected', null);
    await frame();
    expect([selection.get('channel'), selected()]).toEqual([1, [1]]);
  });

  it('is set from a layer that has none, by going to the gate', async () => {
    const { selection, dots } = await saturation();
    selection.set('layer', 2);
    await frame();
    dots.set('selected', Uint32Array.of(2));
    expect([selection.get('layer'), selection.get('channel')]).toEqual([1, 2]);
  });
});

it('leaves no listener and no frame behind when it is closed', async () => {
  const { selection, store, dots, x_axis, model } = await saturation();
  await model.close();
  const before = [selection, store, dots].map(listenerCount);
  selection.set('channel', 1);
  await frame();
  expect(Array.from(dots.get('selected'))).toEqual([0]);
  await make(GateSaturationModel, { selection, dots, x_axis, y_axis: x_axis }).close();
  expect([selection, store, dots].map(listenerCount)).toEqual(before);
});
