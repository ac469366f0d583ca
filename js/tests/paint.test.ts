import { describe, expect, it } from 'vitest';

import * as paint from '../src/paint';

describe('pixels', () => {
  it('are the table entries of the codes', () => {
    const out = new Uint32Array(4);
    paint.paintCodes(out, Uint8Array.of(0, 252, 255, 1), Uint32Array.from({ length: 256 }, (_, code) => code * 10));
    expect([...out]).toEqual([0, 2520, 2550, 10]);
  });

  it('of a tile are the nearest cells; a missing tile is neutral', () => {
    const layout = { columns: 2, lines: 1, tileWidth: 2, tileHeight: 2, gap: 1, width: 5, height: 2 };
    const out = new Uint32Array(10);
    const table = Uint32Array.from({ length: 256 }, (_, code) => code);
    paint.paintTile(out, layout, 0, { codes: Uint8Array.of(7, 8), rows: 1, cols: 2 }, table);
    paint.paintTile(out, layout, 1, null, null);
    const n = paint.NEUTRAL_PIXEL;
    expect([...out]).toEqual([7, 8, 0, n, n, 7, 8, 0, n, n]);
  });
});

it('gives the value of a code, also where hi - lo does not fit a double', () => {
  expect([0, 126, 252].map((code) => paint.valueOfCode(code, -2, 4))).toEqual([-2, 1, 4]);
  expect(paint.valueOfCode(252, -1.7e308, 1.7e308)).toBe(1.7e308);
  expect([253, 254, 255].map((code) => paint.valueOfCode(code, 0, 1))).toEqual([-Infinity, Infinity, NaN]);
  expect(paint.valueOfCode(0, 3, 3)).toBe(3);
});

describe('the box of a picture', () => {
  const right = (value: number) => 10 * (value + 0.5);
  const up = (value: number) => 100 - 10 * (value + 0.5);

  it('reaches from the first edge to the last, flipped where a scale runs the other way', () => {
    expect(paint.pictureBox(right, right, 3, 4)).toEqual({ left: 0, top: 0, width: 40, height: 30, flipX: false, flipY: false });
    expect(paint.pictureBox(right, up, 3, 4)).toMatchObject({ top: 70, height: 30, flipX: false, flipY: true });
  });

  it('finds the cell of a point in both directions', () => {
    const box = paint.pictureBox(right, up, 3, 4);
    expect(paint.cellAt(box, 35, 99, 3, 4)).toEqual({ row: 0, col: 3 });
    expect(paint.cellAt(box, 35, 71, 3, 4)).toEqual({ row: 2, col: 3 });
    expect(paint.cellAt(box, 41, 71, 3, 4)).toBeNull();
    expect(paint.boxOfCell(box, 2, 3, 3, 4)).toMatchObject({ left: 30, top: 70, width: 10, height: 10 });
  });

  it('has square cells in a figure of the ratio, whichever side limits it', () => {
    expect(paint.figureRatio(1, 900, 400, 100, 50)).toBeCloseTo(450 / 400); // plot 350 x 350
    expect(paint.figureRatio(1, 300, 400, 100, 50)).toBeCloseTo(300 / 250); // plot 200 x 200
    expect(paint.figureRatio(9, 900, 400, 0, 0)).toBe(2.5);
  });
});

describe('ticks', () => {
  it.each([
    [0, 63, [0, 10, 20, 30, 40, 50, 60]],
    [0, 2, [0, 1, 2]],
    [0, 0, [0]],
    [63, 0, [0, 10, 20, 30, 40, 50, 60]],
    [12.2, 16.9, [13, 14, 15, 16]],
    [0, 19999, [0, 5000, 10000, 15000]],
    [4.3, 4.6, [4]],
  ])('of %d to %d are whole', (lo, hi, ticks) => expect(paint.integerTicks(lo, hi)).toEqual(ticks));

  it('of the bar have both ends, and round numbers between them', () => {
    expect(paint.barTicks(-2, 2, 400).map(({ text }) => text)).toEqual(['−2', '−1', '0', '1', '2']);
    expect(paint.barTicks(0, 0.83, 400)[1]).toEqual({ position: 0.5 / 0.83, text: '0.5' });
  });

  it('of the bar do not touch', () => {
    expect(paint.barTicks(-1.273, 1.273, 110).map(({ text }) => text)).toEqual(['−1.273', '1.273']);
  });

  it('of the bar survive a range of one value and one beyond a double', () => {
    expect(paint.barTicks(3, 3, 400)).toEqual([{ position: 0, text: '3' }]);
    expect(paint.barTicks(-1.7e308, 1.7e308, 400)).toHaveLength(2);
  });
});

describe('histogram columns', () => {
  const histogram = { counts: Float64Array.of(4, 0, 16, 1), lo: 0, hi: 4, sampled: false };

  it('stand over their values, as high as the square root of the count', () => {
    const { heights, below, above } = paint.histogramColumns(histogram, 0, 4, 4);
    expect([...heights]).toEqual([0.5, 0, 1, 0.25]);
    expect([below, above]).toEqual([0, 0]);
  });

  it('tell the shares outside of the range', () => {
    const { heights, below, above } = paint.histogramColumns(histogram, 1, 3, 2);
    expect([...heights]).toEqual([0, 1]);
    expect([below, above]).toEqual([4 / 21, 1 / 21]);
  });

  it('show a constant record as one column, and an empty one as none', () => {
    const constant = { counts: Float64Array.of(9, 0), lo: 2, hi: 2, sampled: false };
    expect([...paint.histogramColumns(constant, 0, 4, 4).heights]).toEqual([0, 0, 1, 0]);
    expect([...paint.histogramColumns({ ...constant, counts: new Float64Array(2) }, 0, 4, 2).heights]).toEqual([0, 0]);
  });
});

describe('the contact sheet', () => {
  it('fills the width with tiles that get smaller as they get more', () => {
    expect(paint.sheetLayout(4, 300, 1, false, 1)).toMatchObject({ columns: 4, lines: 1, tileWidth: 64, width: 262, height: 64 });
    expect(paint.sheetLayout(256, 300, 1, false, 1)).toMatchObject({ columns: 10, lines: 26, tileWidth: 28 });
    expect(paint.sheetLayout(300, 300, 2, true, 1)).toMatchObject({ tileWidth: 24, tileHeight: 24, gap: 4 });
  });

  it('finds tiles by position and by point', () => {
    const layout = paint.sheetLayout(7, 200, 1, false, 1); // 3 columns of 64 + 2
    expect(paint.tileCorner(layout, 4)).toEqual([66, 66]);
    expect([paint.tileAt(layout, 7, 70, 70), paint.tileAt(layout, 7, 70, 140), paint.tileAt(layout, 7, -1, 0)]).toEqual([4, -1, -1]);
  });

  it('orders channels by a measure: largest first, ties by number, NaN last', () => {
    expect([...paint.channelOrder(5, Float32Array.of(1, NaN, 3, 1, -2))]).toEqual([2, 0, 3, 4, 1]);
    expect([...paint.channelOrder(3, null)]).toEqual([0, 1, 2]);
  });
});

describe('roundTicks', () => {
  it('are round values inside the range', () => {
    expect(paint.roundTicks(0.42, 0.99)).toEqual([0.6000000000000001, 0.8]);
    expect(paint.roundTicks(-1, 1)).toEqual([-1, -0.5, 0, 0.5, 1]);
  });

  it('is the one value where all are the same', () => {
    expect(paint.roundTicks(2.5, 2.5)).toEqual([2.5]);
  });
});
