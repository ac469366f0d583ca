import { describe, expect, it } from 'vitest';

import { isAbsent, pageFromState, pageToState } from '../src/pages';
import { absenceOf } from '../src/paint';
import { LAYERS, memoryPage, memoryWorld } from './memory_world';

// all but the first are NaN: of those in the middle nothing was recorded
const PAGE = { ...memoryPage({}, [2, 3], [0, 255, 255, 255, 255, 255], 0, 1), absent: [2, 3] };

describe('cells that no rank recorded', () => {
  it('are runs over all frames of a page, and travel with it', () => {
    const page = pageFromState(PAGE);
    expect([0, 1, 2, 3, 4, 5].map((cell) => isAbsent(page, cell))).toEqual([false, false, true, true, true, false]);
    expect(pageToState(page).absent).toEqual([2, 3]);
    expect(isAbsent({ ...page, absent: undefined }, 2)).toBe(false);
  });

  it('say so, and a NaN that was recorded does not', () => {
    const { store } = memoryWorld([PAGE]);
    const frame = store.frame(LAYERS.CELL, 'time', 0);
    const said = [0, 1].map((row) => [0, 1, 2].map((col) => frame && absenceOf(frame, { row, col })));
    expect(said).toEqual([[null, null, 'not recorded'], ['not recorded', 'not recorded', null]]);
    const plain = memoryWorld([{ ...PAGE, absent: undefined }]).store.frame(LAYERS.CELL, 'time', 0);
    expect(plain && absenceOf(plain, { row: 0, col: 2 })).toBeNull();
  });
});
