import { describe, expect, it, vi } from 'vitest';

import { RetentionLinesModel } from '../src/retention_lines';
import { foreign, listenerCount, make } from './models';
import { memoryWorld, numbers, partRecord } from './reading_world';

const SIZE = { units: 2, steps: 4 };
// f = 0.5 and f = 0.25: survival f ** lag; the first row is their mean
const SURVIVAL = [1, 0.375, 0.15625, 0.0703125, 1, 0.5, 0.25, 0.125, 1, 0.25, 0.0625, 0.015625];
const CONSTANTS = [1 / Math.LN2, 1 / Math.log(4), 0, 1, 0, 1];
const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 5)));

async function retention({ survival = SURVIVAL, lags = 4, constants = CONSTANTS } = {}) {
  const records = [partRecord(SIZE, { lags }), partRecord(SIZE, { saturation: true })];
  const measured = [numbers('retention', [3, 1, 4], survival), numbers('units', [3, 1, 2], constants)];
  const pages = lags ? measured : [];
  const { store, selection } = memoryWorld(['cell', 'gate.f'], records, pages);
  const [lines, horizon] = [foreign({ x: [0], y: [0] }), foreign({ x: [0], y: [0] })];
  const [x_axis, y_axis] = [foreign({ label: '' }), foreign({ label: '' })];
  const model = make(RetentionLinesModel, { selection, lines, horizon, x_axis, y_axis });
  await frame();
  const curves = () => Array.from(lines.get('y') as Float64Array[], (curve) => Array.from(curve));
  return { store, selection, lines, horizon, x_axis, y_axis, model, curves };
}

describe('the curves', () => {
  it('are the mean over all units and the selected one, by lag', async () => {
    const { lines, curves, selection } = await retention();
    expect(Array.from(lines.get('x'))).toEqual([0, 1, 2, 3]);
    expect(curves()).toEqual([SURVIVAL.slice(0, 4), SURVIVAL.slice(4, 8)]);
    selection.set('channel', 1);
    await frame();
    expect(curves()[1]).toEqual(SURVIVAL.slice(8));
  });

  it('are those of the content while a gate is selected', async () => {
    const { selection, curves } = await retention();
    selection.set({ layer: 1, channel: 1 });
    await frame();
    expect(curves()[1]).toEqual(SURVIVAL.slice(8));
  });

  it('stay as they are when only the timestep moves', async () => {
    const { selection, lines } = await retention();
    const redrawn = vi.fn();
    lines.on('change', redrawn);
    selection.set('time', 2);
    await frame();
    expect(redrawn).not.toHaveBeenCalled();
  });

  it('break where nothing is known', async () => {
    const { curves } = await retention({ survival: SURVIVAL.map((share, i) => (i === 5 ? NaN : share)) });
    expect(curves()[1]).toEqual([1, NaN, 0.25, 0.125]);
  });

  it('are none where nothing says what a step keeps', async () => {
    const { lines, horizon, x_axis } = await retention({ lags: 0 });
    expect([lines, horizon].map((mark) => Array.from(mark.get('x')))).toEqual([[], []]);
    expect(x_axis.get('label')).toBe('nothing in this memory says what a step keeps');
  });
});

describe('the axes', () => {
  it('leave the words to a caption where there is one', async () => {
    const { model, x_axis, selection } = await retention();
    const caption = foreign({ value: '' });
    model.set('caption', caption);
    selection.set('channel', 1);
    await frame();
    expect(x_axis.get('label')).toBe('lag (steps)');
    expect(caption.get('value')).toMatch(/^grey: mean of 2, .*; blue: channel 1, time constant .* steps$/);
  });

  it('say where the mean falls below 1/e, and the time constant of the unit', async () => {
    const { x_axis, y_axis } = await retention();
    expect(x_axis.get('label')).toBe(
      'lag (steps); grey: mean of 2, below 1/e from lag 2; blue: channel 0, time constant 1.44 steps', // 0.375 > 0.368 > 0.156
    );
    expect(y_axis.get('label')).toBe('survival (share kept)');
  });

  it('say that the mean stays above 1/e', async () => {
    const { x_axis } = await retention({ survival: SURVIVAL.map(() => 1) });
    expect(x_axis.get('label')).toContain('grey: mean of 2, above 1/e up to lag 3;');
  });

  it('leave out a time constant that is not known', async () => {
    const { x_axis } = await retention({ constants: CONSTANTS.map(() => NaN) });
    expect(x_axis.get('label')).toMatch(/; blue: channel 0$/);
  });
});

it('has a line at 1/e across all lags', async () => {
  const { horizon } = await retention();
  expect([Array.from(horizon.get('x')), Array.from(horizon.get('y'))]).toEqual([[0, 3], [Math.exp(-1), Math.exp(-1)]]);
});

it('leaves no listener and no frame behind when it is closed', async () => {
  const { selection, store, lines, horizon, x_axis, model } = await retention();
  await model.close();
  const before = [selection, store].map(listenerCount);
  selection.set('channel', 1);
  await frame();
  expect(Array.from(lines.get('y')[1])).toEqual(SURVIVAL.slice(4, 8));
  await make(RetentionLinesModel, { selection, lines, horizon, x_axis, y_axis: x_axis }).close();
  expect([selection, store].map(listenerCount)).toEqual(before);
});
