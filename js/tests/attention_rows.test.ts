import { describe, expect, it } from 'vitest';

import { isEmptyAt, placedLine, shareOf, weightAt, weightLine } from '../src/attention_rows';
import type { AttentionMap, ReadMap } from '../src/attention_rows';
import type { PictureEntry } from '../src/catalog';
import { linesAbove, strongest } from '../src/line_choice';
import { attentionOf } from './attention_world';

// queries x keys, codes of 0..252 = 0..1: 63 = 0.25, 126 = 0.5, 189 = 0.75, 253 = exactly 0
const CODES = [252, 253, 253, 126, 126, 253];

function map(codes = CODES, rows = 2, cols = 3, kind: AttentionMap = 'weights', ends = [0, 1]): ReadMap {
  const picture = attentionOf({ queries: rows, keys: cols }).frame as PictureEntry;
  return { frame: { codes: Uint8Array.from(codes), rows, cols, lo: ends[0], hi: ends[1] }, picture, kind };
}

describe('a row', () => {
  it('has one weight per key, the largest and where it is', () => {
    const line = weightLine(map(), 'query', 1);
    expect([...line.weights]).toEqual([0.5, 0.5, 0]);
    expect([line.largest, line.peak, line.pool]).toEqual([0.5, 0, 1]);
  });

  it('tells a weight of exactly 0 from a small one', () => {
    expect([...weightLine(map([0, 253, 252], 1, 3), 'query', 0).empty]).toEqual([0, 1, 0]);
  });

  it('that is all masked has no largest', () => {
    const line = weightLine(map([253, 253, 253], 1, 3), 'query', 0);
    expect([line.largest, line.peak, ...line.empty]).toEqual([0, -1, 1, 1, 1]);
  });

  it('keeps NaN out of the largest', () => {
    const line = weightLine(map([255, 63, 63], 1, 3), 'query', 0);
    expect([line.weights[0], line.largest, line.peak]).toEqual([NaN, 0.25, 1]);
  });
});

describe('a column', () => {
  it('has one weight per query', () => expect([...weightLine(map(), 'key', 0).weights]).toEqual([1, 0.5]));
});

describe('a pooled frame', () => {
  const picture = attentionOf({ queries: 3, keys: 5, pool: [2, 2] }).frame as PictureEntry;
  const pooled: ReadMap = {
    frame: { codes: Uint8Array.of(252, 126, 253, 63, 63, 63), rows: 2, cols: 3, lo: 0, hi: 1 },
    picture,
    kind: 'weights',
  };

  it('gives every position its cell, as long as the tensor is', () => {
    const line = weightLine(pooled, 'query', 1);
    expect([...line.weights]).toEqual([1, 1, 0.5, 0.5, 0]);
    expect(line.pool).toBe(2);
    expect([...weightLine(pooled, 'key', 4).weights]).toEqual([0, 0, 0.25]);
  });
});

describe('maps', () => {
  it('of a logarithm are read as weights', () => {
    const line = weightLine(map([0, 252, 253], 1, 3, 'log', [-2, 0]), 'query', 0);
    expect([...line.weights].map((weight) => Number(weight.toFixed(4)))).toEqual([0.01, 1, 0]);
  });

  it('of a difference keep their sign, and have no masked cells', () => {
    const line = weightLine(map([0, 126, 252], 1, 3, 'difference', [-0.5, 0.5]), 'query', 0);
    expect([...line.weights]).toEqual([-0.5, 0, 0.5]);
    expect([...line.empty]).toEqual([0, 0, 0]);
  });
});

it('reads one cell', () => {
  expect([weightAt(map(), 0, 0), weightAt(map(), 1, 1), isEmptyAt(map(), 0, 1), isEmptyAt(map(), 1, 1)]).toEqual([1, 0.5, true, false]);
});

it('puts the column of a part of a text where that part is', () => {
  const placed = placedLine(weightLine(map(), 'key', 0), 2, 4);
  expect([...placed.weights]).toEqual([NaN, NaN, 1, 0.5]);
  expect(placed.peak).toBe(2);
});

it('has no strength where there is no largest or no number', () => {
  expect([shareOf(0.2, 0.4), shareOf(-0.4, 0.4), shareOf(0, 0), shareOf(NaN, 1)]).toEqual([0.5, 1, 0, 0]);
});

describe('lines', () => {
  it('are the pairs from the threshold on', () => {
    const found = linesAbove(map(), 2, 3, 0.5).map(({ query, key, weight }) => [query, key, weight]);
    expect(found).toEqual([[0, 0, 1], [1, 0, 0.5], [1, 1, 0.5]]);
  });

  it('never stand for a weight of 0', () => expect(linesAbove(map([253, 0, 253], 1, 3), 1, 3, 0)).toEqual([]));

  it('have a strongest', () => {
    expect(strongest(linesAbove(map(), 2, 3, 0), 1)).toEqual([{ query: 0, key: 0, weight: 1 }]);
  });
});
