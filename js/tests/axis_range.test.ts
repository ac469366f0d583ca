import { describe, expect, it } from 'vitest';

import { AxisRangeModel, STEPS_ARE_TIMES } from '../src/axis_range';
import { FrameStoreModel } from '../src/frame_store';
import { SelectionModel } from '../src/selection';
import { FakeComm, catalogOf, foreign, imageRecord, listenerCount, make, stepped, world } from './models';

const catalog = () => catalogOf(imageRecord(2, 16), imageRecord(1, 4));

function controls(axis: string, { selection } = world(catalog())) {
  const comm = new FakeComm();
  const slider = foreign({ max: 100, disabled: false, value: 0, tooltip: `${axis} of the picture` }, comm);
  const play = foreign({ max: 100, disabled: false, value: 0, playing: false });
  return { selection, slider, play, comm, range: make(AxisRangeModel, { selection, axis, slider, play }) };
}

describe('slider and play button', () => {
  it('follow the extent of the record', () => {
    const { selection, slider, play } = controls('channel');
    expect([slider.get('max'), play.get('max')]).toEqual([15, 15]);
    selection.set('layer', 1);
    expect([slider.get('max'), play.get('max'), slider.get('disabled')]).toEqual([3, 3, false]);
  });

  it('are disabled, with a valid range, where the axis has one position or none', () => {
    const { selection, slider, play } = controls('sample');
    play.set('playing', true);
    selection.set('layer', 1);
    expect([slider.get('max'), slider.get('disabled')]).toEqual([1, true]);
    expect([play.get('disabled'), play.get('playing')]).toEqual([true, false]);
    expect(controls('time').slider.get('disabled')).toBe(true);
  });

  it('have their new max before a clamped value reaches them', () => {
    const { selection, slider } = controls('channel');
    const seen: number[] = [];
    selection.on('change:channel', () => seen.push(slider.get('max') as number));
    selection.set('layer', 1);
    selection.set({ layer: 0, channel: 15 });
    expect(seen).toEqual([15]);
  });

  it('tell the kernel their max, once', () => {
    const { selection, comm } = controls('channel');
    selection.set('channel', 3);
    expect(comm.updates).toEqual([{ max: 15 }]);
  });

  it('follow a catalog that comes later', () => {
    const store = make(FrameStoreModel, {});
    const { slider } = controls('channel', { store, selection: make(SelectionModel, { store }) });
    expect(slider.get('max')).toBe(100);
    store.set('catalog', catalog());
    expect(slider.get('max')).toBe(15);
  });
});

describe('the slider of an axis without a name of its own', () => {
  it('is called as in the selected record', () => {
    const named = imageRecord(1, 4);
    const axes = [{ trait: 'axis', dim: 'state', size: 5 }];
    const records = [{ ...named, frame: { ...named.frame!, axes }, extents: { axis: 5 } }, imageRecord(1, 4)];
    const { selection, slider, comm } = controls('axis', world(catalogOf(...records)));
    expect([slider.get('description'), slider.get('max')]).toEqual(['state', 4]);
    selection.set('layer', 1);
    expect(slider.get('description')).toBe('axis');
    expect(comm.updates.every((update) => !('description' in update))).toBe(true);
  });
});

describe('the sliders of step and call', () => {
  const steps = () => {
    const layers = [stepped('a', [[0], [], [1, 2]])];
    return world({ ...catalogOf(imageRecord(1, 16), imageRecord(1, 4), imageRecord(1, 4)), layers });
  };

  it('have the steps of the recording, and the calls of the step', () => {
    const shared = steps();
    const [step, call] = [controls('step', shared).slider, controls('call', shared).slider];
    expect([step.get('max'), step.get('disabled'), call.get('disabled')]).toEqual([2, false, true]);
    shared.selection.set('step', 2);
    expect([call.get('max'), call.get('disabled')]).toEqual([1, false]);
  });

  it('keep working in a step in which the layer did not run', () => {
    const shared = steps();
    const [step, channel] = [controls('step', shared).slider, controls('channel', shared).slider];
    shared.selection.set('step', 1);
    expect([step.get('disabled'), channel.get('disabled'), channel.get('max')]).toEqual([false, false, 15]);
  });
});

describe('the slider of the steps of a loop', () => {
  const loop = () => {
    const layers = [stepped('cell', [[0], [1]]), stepped('cell hidden', [[2], [2]])]; // the memory is one record
    return world({ ...catalogOf(imageRecord(1, 2), imageRecord(1, 2), imageRecord(1, 2)), layers });
  };

  it('is disabled and says why while a memory over all of them is selected', () => {
    const { selection, slider, play, comm } = controls('step', loop());
    expect([slider.get('disabled'), play.get('disabled'), slider.get('max')]).toEqual([false, false, 1]);
    selection.set('layer', 1);
    expect([slider.get('disabled'), play.get('disabled'), slider.get('tooltip')]).toEqual([true, true, STEPS_ARE_TIMES]);
    expect(comm.updates.every((update) => !('tooltip' in update))).toBe(true);
    selection.set('layer', 0);
    expect([slider.get('disabled'), slider.get('tooltip')]).toEqual([false, 'step of the picture']);
  });

  it('moves on where a layer ran in one step of several', () => {
    const layers = [stepped('a', [[], [0], []])];
    const { slider } = controls('step', world({ ...catalogOf(imageRecord(1, 2)), layers }));
    expect([slider.get('disabled'), slider.get('max')]).toEqual([false, 2]);
  });
});

describe('the play button', () => {
  it('starts where the selection is and moves it', () => {
    const { selection, play } = controls('channel');
    selection.set('channel', 5);
    expect(play.get('value')).toBe(5);
    play.set('value', 6);
    expect(selection.get('channel')).toBe(6);
  });
});

it('leaves no listener behind when it is closed', async () => {
  const { range, selection } = controls('channel');
  await range.close();
  const before = listenerCount(selection);
  await controls('channel', { selection } as ReturnType<typeof world>).range.close();
  expect(listenerCount(selection)).toBe(before);
});
