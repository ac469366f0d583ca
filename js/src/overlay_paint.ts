/** Paints a row of weights as patches, one pixel each, through the colour maps. Numbers in, pixels out; no model. */

import { shareOf } from './attention_rows';
import type { AttentionMap, WeightLine } from './attention_rows';
import { palette } from './palette';
import type { PatchGrid } from './patch_grid';

const TRANSPARENT = 0;
const LAST_ENTRY = 255;
const MIDDLE = 127.5;

/** The line with the largest of its patches alone: a class token often takes most of a row. */
export function patchesOnly(line: WeightLine, grid: PatchGrid): WeightLine {
  let [largest, peak] = [0, -1];
  for (let index = grid.extra; index < grid.extra + grid.rows * grid.cols; index++) {
    const size = Math.abs(line.weights[index]);
    if (size > largest) {
      [largest, peak] = [size, index];
    }
  }
  return { ...line, largest, peak };
}

/** One pixel per patch, row by row; a weight that is exactly 0, or no number, is transparent. */
export function linePixels(line: WeightLine, grid: PatchGrid, kind: AttentionMap): Uint32Array {
  const signed = kind === 'difference';
  const table = palette(signed ? 'vik' : 'viridis');
  return Uint32Array.from({ length: grid.rows * grid.cols }, (_, patch) => {
    const weight = line.weights[grid.extra + patch];
    if (line.empty[grid.extra + patch] || !Number.isFinite(weight)) {
      return TRANSPARENT;
    }
    const share = shareOf(weight, line.largest);
    return table[Math.round(signed ? MIDDLE + Math.sign(weight) * share * MIDDLE : share * LAST_ENTRY)];
  });
}

/** Puts the patches on the canvas. */
export function paintLine(canvas: HTMLCanvasElement, line: WeightLine, grid: PatchGrid, kind: AttentionMap): void {
  const context = canvas.getContext('2d');
  if (canvas.width !== grid.cols || canvas.height !== grid.rows) {
    canvas.width = grid.cols;
    canvas.height = grid.rows;
  }
  if (context) {
    const image = context.createImageData(grid.cols, grid.rows);
    new Uint32Array(image.data.buffer).set(linePixels(line, grid, kind));
    context.putImageData(image, 0, 0);
  }
}
