import { describe, expect, it } from 'vitest';

import { ComparisonLinkModel } from '../src/comparison_link';
import { cursor } from './comparison_world';
import { listenerCount, make, world } from './models';
import { twoLayers } from './comparison_world';

const at = (selection: { get(name: string): unknown }) => ['layer', 'call', 'channel'].map((axis) => selection.get(axis));

function linked() {
  const selections = [cursor(0, 1), cursor(0, 1), cursor(null, null)];
  const link = make(ComparisonLinkModel, { selections });
  return { selections, link };
}

describe('the cursors', () => {
  it.each([0, 1, 2])('follow cursor %i, whichever was moved', (moved) => {
    const { selections } = linked();
    selections[moved].move('layer', 1);
    selections[moved].set({ call: 1, channel: 1 });
    expect(selections.map(at)).toEqual([[1, 1, 1], [1, 1, 1], [1, 1, 1]]);
  });

  it('start where the first is', () => {
    const selections = [cursor(0, 1), cursor(0, 1)];
    selections[0].set({ layer: 1, channel: 1 });
    make(ComparisonLinkModel, { selections });
    expect(at(selections[1])).toEqual([1, 0, 1]);
  });

  it('keep to what their record has, and do not pull the others back', () => {
    const narrow = twoLayers(0, 1);
    narrow.records.forEach((record) => (record.extents = { sample: 1 }));
    const selections = [cursor(0, 1), world(narrow).selection];
    make(ComparisonLinkModel, { selections });
    selections[0].set('channel', 1);
    expect(selections.map((selection) => selection.get('channel'))).toEqual([1, 0]);
  });
});

it('leaves no listener behind when it is closed', async () => {
  const selections = [cursor(0, 1), cursor(0, 1)];
  const before = selections.map(listenerCount);
  await make(ComparisonLinkModel, { selections }).close();
  expect(selections.map(listenerCount)).toEqual(before);
});
