import { describe, expect, it, vi } from 'vitest';

import { ComparisonColorsModel } from '../src/comparison_colors';
import { union } from '../src/color_range';
import { cursor } from './comparison_world';
import { framePage, listenerCount, make } from './models';

function colors(a: [number, number], b: [number, number], mode = 'layer') {
  const [selection, other] = [cursor(...a), cursor(...b)];
  const lead = make(ComparisonColorsModel, { selection, other, mode });
  const beside = make(ComparisonColorsModel, { selection: other, other: selection, lead });
  const place = selection.place();
  if (!place) {
    throw new Error('no place');
  }
  return { selection, other, lead, beside, place, range: () => lead.range(place, null) };
}

describe('the range', () => {
  it.each([
    ['layer', [-1, 5]],
    ['symmetric', [-5, 5]],
    ['auto', [-5, 5]],
    ['all', [-1, 5]],
  ])('is that of both recordings together in mode %s', (mode, expected) => {
    expect(colors([-1, 3], [0, 5], mode).range()).toEqual(expected);
  });

  it('of the frame is that of both frames', () => {
    const { range, selection, other } = colors([-1, 3], [0, 5], 'frame');
    selection.set('channel', 1); // its codes stand for 1 .. 2
    other.set('channel', 0); // 0 .. 1
    expect(range()).toEqual([0, 2]);
  });

  it('is the typed one for both pictures', () => {
    const { lead, beside, place, range } = colors([-1, 3], [0, 5], 'fixed');
    lead.set({ vmin: -7, vmax: 7 });
    expect([range(), beside.range(place, null)]).toEqual([[-7, 7], [-7, 7]]);
  });

  it('is shown in the boxes of the lead', () => {
    const { lead } = colors([-1, 3], [0, 5]);
    expect([lead.get('vmin'), lead.get('vmax')]).toEqual([-1, 5]);
  });

  it('follows the other recording', () => {
    const { lead, other } = colors([-1, 3], [0, 5], 'frame');
    const recolored = vi.fn();
    lead.on('recolor', recolored);
    other.store.set('pages', [{ ...framePage({ record: 0, kind: 'frame', page: 0 }, [2, 2, 3]), hi: Float64Array.of(9, 9) }]);
    expect(lead.get('vmax')).toBe(9);
    expect(recolored).toHaveBeenCalled();
  });
});

describe('the mapping of the picture beside', () => {
  it('has range and colours of the lead, whatever its own say', () => {
    const { lead, beside, place } = colors([-1, 3], [0, 5]);
    lead.set('colormap', 'magma');
    beside.set('mode', 'frame');
    expect(beside.range(place, null)).toEqual([-1, 5]);
    expect(beside.mapName(-1, 5)).toBe('magma');
  });

  it('says that it changed when the lead did', () => {
    const { lead, beside } = colors([-1, 3], [0, 5]);
    const recolored = vi.fn();
    beside.on('recolor', recolored);
    lead.set('mode', 'symmetric');
    expect(recolored).toHaveBeenCalled();
  });
});

it('leaves no listener behind when it is closed', async () => {
  const [selection, other] = [cursor(-1, 3), cursor(0, 5)];
  const before = [selection, other, selection.store, other.store].map(listenerCount);
  await make(ComparisonColorsModel, { selection, other }).close();
  expect([selection, other, selection.store, other.store].map(listenerCount)).toEqual(before);
});

it('of several ranges, ends that one lacks are those of the others', () => {
  expect(union([{ min: null, max: null }, { min: 1, max: 2 }])).toEqual({ min: 1, max: 2 });
  expect(union([])).toEqual({ min: null, max: null });
});
