/**
 * The pixels of a strip of MemoryPanels: its colours, and which cell a pixel shows. Pure: a frame in, pixels out.
 *
 * Weights and gates keep to their range 0..1; what is signed is symmetric about 0; what is not begins at 0.
 */

import type { Frame, PictureEntry } from './catalog';
import { cellsUnderPixels } from './memory_panels_layout';
import { FIRST_SPECIAL_CODE, LAST_VALUE_CODE, POSITIONS, SPECIAL_PIXELS, palette } from './palette';
import { NEUTRAL_PIXEL, valueOfCode } from './paint';

const SEQUENTIAL_MAP = 'viridis';
const DIVERGING_MAP = 'vik';

/** Colours of a strip: values `lo`..`hi`, about 0 in both directions where `signed`. */
export interface StripColors {
  lo: number;
  hi: number;
  signed: boolean;
}

/** The colours of a frame; null: none of its values is finite. `pinned`: the range that the part keeps to. */
export function stripColors(pinned: readonly number[] | null, { lo, hi }: Pick<Frame, 'lo' | 'hi'>): StripColors | null {
  if (pinned) {
    return { lo: pinned[0], hi: pinned[1], signed: pinned[0] < 0 };
  }
  if (!Number.isFinite(lo) || !Number.isFinite(hi)) {
    return null;
  }
  const reach = Math.max(Math.abs(lo), Math.abs(hi));
  return lo < 0 ? { lo: -reach, hi: reach, signed: true } : { lo: 0, hi: reach, signed: false };
}

/** One pixel per code of a frame. */
export function stripTable(frame: Frame, colors: StripColors | null): Uint32Array {
  const map = palette(colors?.signed ? DIVERGING_MAP : SEQUENTIAL_MAP);
  const table = new Uint32Array(POSITIONS);
  const [lo, hi] = colors ? [colors.lo, colors.hi] : [0, 0];
  for (let code = 0; code <= LAST_VALUE_CODE; code++) {
    const share = hi > lo ? (valueOfCode(code, frame.lo, frame.hi) - lo) / (hi - lo) : 0;
    table[code] = map[Math.max(0, Math.min(POSITIONS - 1, Math.floor(share * POSITIONS)))];
  }
  table.set(SPECIAL_PIXELS, FIRST_SPECIAL_CODE);
  return table;
}

/**
 * Fills an image of `width` x `height` pixels; null: neutral. A pixel that several cells fall on shows the largest |x|,
 * so that a gate that opens once is seen; what is no finite number comes before all others.
 */
export function paintStrip(
  out: Uint32Array,
  width: number,
  height: number,
  picture: PictureEntry,
  frame: Frame | null,
  colors: StripColors | null,
): void {
  if (!frame) {
    out.fill(NEUTRAL_PIXEL);
    return;
  }
  const table = stripTable(frame, colors);
  const sizes = codeSizes(frame);
  const down = cellsUnderPixels(height, picture.full_rows, picture.pool_rows, frame.rows);
  const across = cellsUnderPixels(width, picture.full_cols, picture.pool_cols, frame.cols);
  for (let y = 0; y < height; y++) {
    const same = y > 0 && down[y][0] === down[y - 1][0] && down[y][1] === down[y - 1][1];
    if (same) {
      out.copyWithin(y * width, (y - 1) * width, y * width);
      continue;
    }
    for (let x = 0; x < width; x++) {
      out[y * width + x] = table[largestCode(frame, down[y], across[x], sizes)];
    }
  }
}

/** |x| of each code; more than any number for those that stand for none. */
function codeSizes({ lo, hi }: Frame): Float64Array {
  const sizes = new Float64Array(POSITIONS).fill(Infinity);
  for (let code = 0; code <= LAST_VALUE_CODE; code++) {
    sizes[code] = Math.abs(valueOfCode(code, lo, hi));
  }
  return sizes;
}

/** The code of the largest |x| in a block of cells. */
function largestCode(frame: Frame, rows: [number, number], cols: [number, number], sizes: Float64Array): number {
  let largest = frame.codes[rows[0] * frame.cols + cols[0]];
  for (let row = rows[0]; row <= rows[1]; row++) {
    for (let col = cols[0]; col <= cols[1]; col++) {
      const code = frame.codes[row * frame.cols + col];
      if (sizes[code] > sizes[largest]) {
        largest = code;
      }
    }
  }
  return largest;
}
