/**
 * Frames with more cells than the screen has pixels: the loudest cell on each pixel, so that none is lost by chance.
 * Pure: codes in, codes out.
 */

import type { Frame } from './catalog';
import { CODE_NAN, CODE_NEGATIVE_INFINITY, CODE_POSITIVE_INFINITY, LARGEST_VALUE_CODE, valueOfCode } from './paint';

/** What of several cells is seen: the largest magnitude, or of logarithms the largest number. */
export type Loudness = 'magnitude' | 'value';

export interface Size {
  rows: number;
  cols: number;
}

/** Cells of a frame that `height` x `width` pixels of the screen can show. */
export function fittedSize({ rows, cols }: Size, height: number, width: number): Size {
  const fit = (cells: number, pixels: number) => Math.max(1, Math.min(cells, Math.round(pixels)));
  return { rows: fit(rows, height), cols: fit(cols, width) };
}

/**
 * Codes of a frame in `size` cells, row by row; the frame's own where it has no more. NaN is seen before everything, then
 * the infinities; code 253 last where it stands for an exact 0 (`emptyZeros`).
 */
export function fittedCodes(frame: Frame, size: Size, loudness: Loudness, emptyZeros: boolean): Uint8Array {
  const { codes, rows, cols } = frame;
  if (size.rows >= rows && size.cols >= cols) {
    return codes;
  }
  const byRank = codesByRank(frame, loudness, emptyZeros);
  const rankOf = new Uint8Array(byRank.length);
  byRank.forEach((code, rank) => (rankOf[code] = rank));
  const pixelOf = Uint16Array.from({ length: cols }, (_, col) => Math.floor((col * size.cols) / cols));
  const out = new Uint8Array(size.rows * size.cols);
  // a million cells in the time of a frame: nothing is allocated in this loop, and nothing branches on what cells hold
  for (let row = 0, at = 0; row < rows; row++) {
    const start = Math.floor((row * size.rows) / rows) * size.cols;
    for (let col = 0; col < cols; col++, at++) {
      const pixel = start + pixelOf[col];
      const less = out[pixel] - rankOf[codes[at]];
      out[pixel] -= less & (less >> 31); // the larger of the two
    }
  }
  for (let i = 0; i < out.length; i++) {
    out[i] = byRank[out[i]];
  }
  return out;
}

/** All codes, from the quietest to the loudest; of +a and -a it is +a, as in the kernel. */
function codesByRank({ lo, hi }: Frame, loudness: Loudness, emptyZeros: boolean): Uint8Array {
  const loud = new Float64Array(256);
  for (let code = 0; code <= LARGEST_VALUE_CODE; code++) {
    const value = Number.isFinite(lo) ? valueOfCode(code, lo, hi) : 0;
    loud[code] = loudness === 'value' ? value : Math.abs(value);
  }
  loud[CODE_NEGATIVE_INFINITY] = emptyZeros || loudness === 'value' ? -Infinity : Infinity;
  loud[CODE_POSITIVE_INFINITY] = Infinity;
  loud[CODE_NAN] = Infinity;
  return Uint8Array.from({ length: 256 }, (_, code) => code).sort((a, b) => (loud[a] === loud[b] ? a - b : loud[a] - loud[b]));
}
