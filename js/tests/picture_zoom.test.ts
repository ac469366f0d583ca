import { describe, expect, it } from 'vitest';

import { seenAfter } from '../src/picture_zoom';

describe('what is seen after a key', () => {
  it('is a smaller part around the same middle, never fewer than four elements', () => {
    expect(seenAfter([0, 90], [-0.5, 99.5], { factor: 1 / 1.5 })).toEqual([15, 75]);
    expect(seenAfter([10, 14], [-0.5, 99.5], { factor: 0.1 })).toEqual([10, 14]);
  });

  it('is a larger part that stays within the picture', () => {
    expect(seenAfter([-0.5, 59.5], [-0.5, 99.5], { factor: 1.5 })).toEqual([-0.5, 89.5]);
    expect(seenAfter([20, 99.5], [-0.5, 99.5], { factor: 1.5 })).toEqual([-0.5, 99.5]);
  });

  it('pans by a quarter and stops at the edge', () => {
    expect(seenAfter([20, 60], [-0.5, 99.5], { pan: 0.25 })).toEqual([30, 70]);
    expect(seenAfter([5, 45], [-0.5, 99.5], { pan: -0.25 })).toEqual([-0.5, 39.5]);
  });
});
