import { expect, it } from 'vitest';

import { litBars, litSides, sharesInRow } from '../src/lit_times';
import { picture } from './models';

const map = (rows: number, cols: number) => ({ ...picture([], rows, cols, 1), row_dim: 'read at', col_dim: 'written at' });

it('reads shares off a row: 253 is exactly 0, NaN and Inf are none', () => {
  const codes = Uint8Array.of(0, 0, 0, 0, 0, 252, 253, 126, 255, 254);
  const frame = { codes, rows: 2, cols: 5, lo: 0, hi: 0.5 };
  expect(sharesInRow(frame, map(2, 5), 1)).toEqual([0.5, 0, 0.25, 0, 0]);
});

it('gives steps that are pooled together their largest share each, and no step beyond the last', () => {
  const pooled = { ...map(2, 2), full_rows: 4, full_cols: 3, pool_rows: 2, pool_cols: 2 };
  const frame = { codes: Uint8Array.of(0, 0, 252, 126), rows: 2, cols: 2, lo: 0, hi: 1 };
  expect(sharesInRow(frame, pooled, 3)).toEqual([1, 1, 0.5]);
});

it('keeps shares between 0 and 1', () => {
  const frame = { codes: Uint8Array.of(0, 252), rows: 1, cols: 2, lo: -0.5, hi: 1.5 };
  expect(sharesInRow(frame, map(1, 2), 0)).toEqual([0, 1]);
});

it.each([
  ['channel', 'time', ['column']],
  ['time', 'channel', ['row']],
  ['query', 'key', ['row', 'column']],
  ['read at', 'written at', ['column']], // the rows are when it is read
  ['height', 'width', []],
])('lights up the sides of %s x %s where timesteps stand', (row_dim, col_dim, sides) => {
  expect(litSides({ ...map(2, 2), row_dim, col_dim })).toEqual(sides);
});

it('makes a bar per step, as strong as its share of the largest', () => {
  expect(litBars([0, 0.4, 0.2], 3, 300)).toEqual([
    { first: 1, last: 1, share: 0.4, strength: 1 },
    { first: 2, last: 2, share: 0.2, strength: 0.5 },
  ]);
});

it('leaves out what could not be seen', () => {
  expect(litBars([1, 0.009, 0.01], 3, 300).map(({ first }) => first)).toEqual([0, 2]);
  expect(litBars([0, 0], 2, 300)).toEqual([]);
});

it('joins steps that share a pixel, with the largest share of them', () => {
  expect(litBars([0.1, 0.4, 0, 0, 0.2], 5, 3)).toEqual([
    { first: 0, last: 1, share: 0.4, strength: 1 },
    { first: 4, last: 4, share: 0.2, strength: 0.5 },
  ]);
});

it('lights up no step beyond either end', () => {
  expect(litBars([0.5, 1], 1, 300)).toEqual([{ first: 0, last: 0, share: 0.5, strength: 1 }]);
  expect(litBars([0.5], 4, 2)).toEqual([{ first: 0, last: 0, share: 0.5, strength: 1 }]);
});
