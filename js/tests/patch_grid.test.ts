import { describe, expect, it } from 'vitest';

import { gridWords, patchAt, patchGrid } from '../src/patch_grid';

const FREE = { rows: 0, cols: 0, extra: 0 };

describe('grid', () => {
  it.each([
    ['ViT-B/16', 197, 224, 224, { rows: 14, cols: 14, extra: 1 }],
    ['ViT-B/32', 50, 224, 224, { rows: 7, cols: 7, extra: 1 }],
    ['SigLIP, no class token', 196, 224, 224, { rows: 14, cols: 14, extra: 0 }],
    ['DINOv2 with registers', 261, 224, 224, { rows: 16, cols: 16, extra: 5 }],
    ['DeiT, two tokens', 198, 224, 224, { rows: 14, cols: 14, extra: 2 }],
    ['wide picture', 141, 224, 160, { rows: 10, cols: 14, extra: 1 }],
    ['tiny', 5, 8, 8, { rows: 2, cols: 2, extra: 1 }],
  ])('of %s is inferred', (_, count, width, height, grid) => {
    expect(patchGrid(count, width, height, FREE)).toEqual(grid);
  });

  it('is what was wished', () => {
    expect(patchGrid(197, 224, 224, { rows: 14, cols: 14, extra: 0 })).toEqual({ rows: 14, cols: 14, extra: 1 });
    expect(patchGrid(200, 224, 224, { rows: 10, cols: 0, extra: 0 })).toEqual({ rows: 10, cols: 20, extra: 0 });
    expect(patchGrid(220, 224, 224, { rows: 14, cols: 14, extra: 24 })).toEqual({ rows: 14, cols: 14, extra: 24 });
  });

  it('that cannot be is a sentence with the way out', () => {
    expect(patchGrid(12, 10, 224, { rows: 5, cols: 5, extra: 0 })).toBe(
      '12 positions do not make a grid with rows = 5, cols = 5. They must be extra + rows x cols.',
    );
    expect(patchGrid(77, 20000, 20, FREE)).toMatch(/^77 positions are no grid of patches over a picture of 20000 x 20 pixels.*set rows and cols/);
  });

  it.each([0, 1, 3])('of %i positions is a sentence', (count) => {
    expect(patchGrid(count, 8, 8, FREE)).toMatch(/positions do not make a grid\./);
  });
});

it('finds the patch under a place of the picture', () => {
  const grid = { rows: 2, cols: 4, extra: 1 };
  expect([patchAt(grid, 0, 0), patchAt(grid, 0.99, 0.99), patchAt(grid, 0.3, 0.6), patchAt(grid, 1, 0), patchAt(grid, -0.1, 0)]).toEqual(
    [0, 7, 5, null, null],
  );
});

it('says the grid', () => {
  expect(gridWords({ rows: 14, cols: 14, extra: 1 })).toBe('14 x 14 patches, 1 token apart');
  expect(gridWords({ rows: 7, cols: 7, extra: 0 })).toBe('7 x 7 patches');
});
