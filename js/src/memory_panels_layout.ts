/**
 * Where the strips of MemoryPanels lie, and which cell is under a pixel. Pure: numbers in, numbers out.
 *
 * Lengths are in CSS pixels. All strips share one time axis of `steps` timesteps on `plot` pixels.
 */

import type { PictureEntry } from './catalog';

const LABEL_WIDTH_PX = 136;
const LABEL_LINE_PX = 18; // of a name above its strip
const LEAST_ROW_PX = 54; // two lines of a name beside it, and two of facts
const GAP_PX = 4; // below a strip
const UNIT_PX = 4; // height of a unit, where there is room for all
const LEAST_STRIP_PX = 14;
const MOST_STRIP_PX = 96;
const LEAST_PLOT_PX = 60;
/** Below this width the name of a part stands above its strip. */
const NARROW_PX = 480;

/** What all strips have in common. `label`: room for names on the left, 0: they stand above. */
export interface PanelLayout {
  label: number;
  plot: number;
  steps: number;
}

/** The layout on `available` pixels. `steps`: timesteps of the longest part. */
export function panelLayout(available: number, steps: number): PanelLayout {
  const label = available < NARROW_PX ? 0 : LABEL_WIDTH_PX;
  return { label, plot: Math.max(LEAST_PLOT_PX, available - label), steps: Math.max(1, steps) };
}

/** Height of the strip of so many units. */
export function stripHeight(units: number): number {
  return Math.max(LEAST_STRIP_PX, Math.min(MOST_STRIP_PX, units * UNIT_PX));
}

/** Width of a strip: a part of fewer timesteps ends earlier. */
export function stripWidth({ plot, steps }: PanelLayout, full_cols: number): number {
  return Math.max(1, (plot * Math.min(steps, full_cols)) / steps);
}

/** Height of a part's row; `strip`: of its strip, 0 where a sentence stands in its place. */
export function panelHeight({ label }: PanelLayout, strip: number): number {
  return GAP_PX + (label ? Math.max(LEAST_ROW_PX, strip) : LABEL_LINE_PX + Math.max(LABEL_LINE_PX, strip));
}

/** Middle of a timestep, from the left end of the time axis. */
export function timeX({ plot, steps }: PanelLayout, time: number): number {
  return ((time + 0.5) * plot) / steps;
}

/** Whether a pixel of a strip stands for several values. */
export function isCrowded(picture: PictureEntry, layout: PanelLayout): boolean {
  const { full_rows: units, full_cols: steps } = picture;
  const pooled = picture.pool_rows * picture.pool_cols > 1;
  return pooled || units > stripHeight(units) || steps > stripWidth(layout, steps);
}

/** An element under a point of a strip: its row in full, its timestep, and the cell that stands for it. */
export interface StripPoint {
  unit: number;
  time: number;
  row: number;
  col: number;
}

/** What is at `x`, `y` of a strip of `width` x `height`; null outside. */
export function pointAt(picture: PictureEntry, x: number, y: number, width: number, height: number): StripPoint | null {
  const time = Math.floor((x / width) * picture.full_cols);
  const unit = Math.floor((y / height) * picture.full_rows);
  const inside = time >= 0 && time < picture.full_cols && unit >= 0 && unit < picture.full_rows;
  return inside ? { unit, time, ...cellOf(picture, unit, time) } : null;
}

/** The cell of a picture that stands for an element. */
export function cellOf(picture: PictureEntry, unit: number, time: number): { row: number; col: number } {
  const row = Math.min(picture.rows - 1, Math.floor(unit / picture.pool_rows));
  return { row, col: Math.min(picture.cols - 1, Math.floor(time / picture.pool_cols)) };
}

/** First and last cell under each of `pixels` pixels, of `full` elements in cells of `pool`. */
export function cellsUnderPixels(pixels: number, full: number, pool: number, cells: number): [number, number][] {
  const cell = (element: number) => Math.min(cells - 1, Math.floor(element / pool));
  return Array.from({ length: pixels }, (_, pixel) => {
    if (pixels >= full) {
      const nearest = cell(Math.floor(((pixel + 0.5) * full) / pixels));
      return [nearest, nearest];
    }
    const last = Math.ceil(((pixel + 1) * full) / pixels) - 1;
    return [cell(Math.floor((pixel * full) / pixels)), cell(last)];
  });
}

/** Height of a bar per pixel of `width`: the largest share that falls on it, 0..1 of the largest of all. */
export function litBars(lit: readonly number[], steps: number, width: number): Float64Array {
  const heights = new Float64Array(Math.max(1, Math.round(width)));
  const largest = lit.reduce((most, share) => (share > most ? share : most), 0);
  if (largest > 0) {
    lit.slice(0, steps).forEach((share, time) => {
      const first = Math.min(heights.length - 1, Math.floor((time * heights.length) / steps));
      const last = Math.max(first, Math.ceil(((time + 1) * heights.length) / steps) - 1);
      for (let pixel = first; pixel <= last; pixel++) {
        heights[pixel] = Math.max(heights[pixel], share / largest);
      }
    });
  }
  return heights;
}
