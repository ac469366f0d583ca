/**
 * Which steps wrote what was clicked: shares per timestep, and the bars that show them along an axis of time. Pure.
 *
 * In: a row of a map of who wrote what. Out: shares 0..1, and per side of a picture the stretches to light up.
 */

import type { Frame, PictureEntry } from './catalog';
import { LARGEST_VALUE_CODE, valueOfCode } from './paint';

/** Dims along which timesteps stand that may have written: a row of "read at" is when it is read. */
const TIMES = ['time', 'query', 'key', 'written at'];
/** Below this share of the largest one a step is not lit: it could not be seen. */
const LEAST_SHARE = 0.01;
const DECIMALS = 1e4; // shares travel to the kernel as JSON

/** Timesteps first .. last, which have about the same share; `strength`: it in shares of the largest one. */
export interface LitBar {
  first: number;
  last: number;
  share: number;
  strength: number;
}

export type LitSide = 'row' | 'column';

/** The shares in one row of a map, one per timestep; steps that are pooled together have their largest. */
export function sharesInRow(frame: Frame, picture: PictureEntry, row: number): number[] {
  const line = Math.min(frame.rows - 1, Math.floor(row / picture.pool_rows));
  const shares: number[] = [];
  for (let time = 0; time < picture.full_cols; time++) {
    const code = frame.codes[line * frame.cols + Math.floor(time / picture.pool_cols)];
    shares.push(shareOf(code, frame));
  }
  return shares;
}

function shareOf(code: number, { lo, hi }: Frame): number {
  if (code > LARGEST_VALUE_CODE) {
    return 0; // exactly 0, or no share
  }
  const share = valueOfCode(code, lo, hi);
  return share > 0 ? Math.min(1, Math.round(share * DECIMALS) / DECIMALS) : 0;
}

/** The sides of a picture along which timesteps stand. */
export function litSides({ row_dim, col_dim }: PictureEntry): LitSide[] {
  const sides: LitSide[] = TIMES.includes(row_dim) ? ['row'] : [];
  return TIMES.includes(col_dim) ? [...sides, 'column'] : sides;
}

/** Bars for `size` positions on `px` pixels: those that share a pixel have the largest share of them. */
export function litBars(lit: readonly number[], size: number, px: number): LitBar[] {
  const largest = lit.slice(0, size).reduce((most, share) => Math.max(most, share), 0);
  const step = Math.max(1, Math.ceil(size / Math.max(1, px)));
  const bars: LitBar[] = [];
  for (let first = 0; first < Math.min(size, lit.length); first += step) {
    const last = Math.min(first + step, size, lit.length) - 1;
    const share = lit.slice(first, last + 1).reduce((most, value) => Math.max(most, value), 0);
    if (share > 0 && share >= LEAST_SHARE * largest) {
      bars.push({ first, last, share, strength: share / largest });
    }
  }
  return bars;
}
