import { describe, expect, it } from 'vitest';

import {
  cellOf,
  cellsUnderPixels,
  litBars,
  panelHeight,
  panelLayout,
  pointAt,
  stripHeight,
  stripWidth,
  timeX,
} from '../src/memory_panels_layout';
import { paintStrip, stripColors } from '../src/memory_panels_paint';
import { palette } from '../src/palette';
import { timePicture } from './memory_panels_world';

const WIDE = panelLayout(600, 4);

describe('the layout', () => {
  it('has names on the left, or above where it is narrow', () => {
    expect(WIDE).toEqual({ label: 136, plot: 464, steps: 4 });
    expect(panelLayout(400, 4)).toEqual({ label: 0, plot: 400, steps: 4 });
    expect([panelHeight(WIDE, 14), panelHeight(panelLayout(400, 4), 14)]).toEqual([58, 40]);
  });

  it('gives few units little height and many no more than 96 pixels', () => {
    expect([1, 10, 1000].map(stripHeight)).toEqual([14, 40, 96]);
  });

  it('lets a part of fewer timesteps end earlier', () => {
    expect([stripWidth(WIDE, 4), stripWidth(WIDE, 1), timeX(WIDE, 3)]).toEqual([464, 116, 406]);
  });
});

describe('a point', () => {
  const pooled = { ...timePicture([], 3, 'channel'), rows: 2, full_rows: 3, pool_rows: 2, full_cols: 7, pool_cols: 2 };

  it('is an element of the tensor, also under a cell that stands for several', () => {
    // 7 steps on 70 pixels, 3 units on 30: the last cells stand for one element each
    expect(pointAt(pooled, 65, 25, 70, 30)).toEqual({ unit: 2, time: 6, row: 1, col: 3 });
    expect(pointAt(pooled, 71, 25, 70, 30)).toBeNull();
    expect(cellOf(pooled, 1, 5)).toEqual({ row: 0, col: 2 });
  });
});

it('pixels show their nearest cell, or their share of the cells', () => {
  expect(cellsUnderPixels(4, 2, 1, 2)).toEqual([[0, 0], [0, 0], [1, 1], [1, 1]]);
  expect(cellsUnderPixels(2, 5, 1, 5)).toEqual([[0, 2], [2, 4]]);
  expect(cellsUnderPixels(2, 8, 2, 4)).toEqual([[0, 1], [2, 3]]);
});

it('bars are as high as the largest share that falls on a pixel', () => {
  expect([...litBars([0.1, 0.2, 0, 0.4], 4, 2)]).toEqual([0.5, 1]);
  expect([...litBars([0, 0], 2, 2)]).toEqual([0, 0]);
});

describe('colours', () => {
  it('keep to a pinned range, else are symmetric about 0, else begin at 0', () => {
    expect(stripColors([0, 1], { lo: 0.4, hi: 0.6 })).toEqual({ lo: 0, hi: 1, signed: false });
    expect(stripColors(null, { lo: -1, hi: 3 })).toEqual({ lo: -3, hi: 3, signed: true });
    expect(stripColors(null, { lo: 2, hi: 3 })).toEqual({ lo: 0, hi: 3, signed: false });
    expect(stripColors(null, { lo: NaN, hi: NaN })).toBeNull();
  });

  it('show the largest |x| of the cells under a pixel, and NaN before all', () => {
    const picture = timePicture([], 1, 'channel', 4);
    const frame = { codes: Uint8Array.of(0, 100, 252, 255), rows: 1, cols: 4, lo: -2, hi: 1 };
    const out = new Uint32Array(2);
    paintStrip(out, 2, 1, picture, frame, stripColors(null, frame));
    expect([out[0], out[1]]).toEqual([palette('vik')[0], 0xffff00ff]); // -2 of -2..2, then magenta
  });

  it('of a constant 0 are those of 0', () => {
    const frame = { codes: Uint8Array.of(0), rows: 1, cols: 1, lo: 0, hi: 0 };
    const out = new Uint32Array(1);
    paintStrip(out, 1, 1, timePicture([], 1, 'channel', 1), frame, stripColors(null, frame));
    expect(out[0]).toBe(palette('viridis')[0]);
  });
});
