/**
 * Where the maps of the heads lie in a HeadGrid, and their pixels. Pure: numbers in, places and pixels out.
 *
 * Places are in CSS pixels inside the canvas of one layer, pixels in device pixels (`ratio` of them per CSS pixel).
 */

import type { Frame } from './catalog';
import { FIRST_SPECIAL_CODE, LAST_VALUE_CODE, POSITIONS, SPECIAL_PIXELS, palette } from './palette';
import { CODE_NEGATIVE_INFINITY, NEUTRAL_PIXEL, valueOfCode } from './paint';

const LEAST_SIDE_PX = 28; // a smaller map shows no diagonal
const MOST_SIDE_PX = 56;
const GAP_PX = 6; // room for the ring around the selected head
const CAPTION_LINE_PX = 14; // one line of text under a map: see .memviz-head-words
const LABEL_WIDTH_PX = 116;
const LABEL_LINE_PX = 18; // of a name above the maps
const LEAST_ROW_PX = 34; // two lines of a name beside them
/** Below this width a layer's name stands above its heads. */
const NARROW_PX = 480;
const COLORMAP = 'viridis';

/** What all layers have in common, so that their columns stand below each other. */
export interface GridLayout {
  /** Maps beside each other. */
  columns: number;
  /** Width of a map. */
  side: number;
  /** From one map to the next. */
  pitch: number;
  /** Room for the words under a map. */
  caption: number;
  /** Room for the layer's name on the left; 0: it stands above. */
  label: number;
}

/** One layer of the grid. `mapHeight`: of one map; `linePitch`: from one line of maps to the next. */
export interface RowLayout {
  lines: number;
  mapHeight: number;
  linePitch: number;
  width: number;
  height: number;
  /** Of the whole row, with the layer's name where that stands above. */
  rowHeight: number;
}

/** Room for `most` heads in `available` CSS pixels; more lines where one is too narrow. `words`: text lines per map. */
export function gridLayout(available: number, most: number, words: number): GridLayout {
  const label = available < NARROW_PX ? 0 : LABEL_WIDTH_PX;
  const room = Math.max(LEAST_SIDE_PX, available - label) + GAP_PX;
  const fitting = Math.max(1, Math.floor(room / (LEAST_SIDE_PX + GAP_PX)));
  const lines = Math.max(1, Math.ceil(most / fitting));
  const columns = Math.max(1, Math.ceil(most / lines));
  const side = Math.min(MOST_SIDE_PX, Math.floor(room / columns) - GAP_PX);
  return { columns, side, pitch: side + GAP_PX, caption: words * CAPTION_LINE_PX, label };
}

/** One layer of `heads` maps. `tall`: queries / keys; kept between 1/4 and 2. */
export function rowLayout(grid: GridLayout, heads: number, tall: number): RowLayout {
  const mapHeight = Math.max(1, Math.round(grid.side * Math.min(2, Math.max(0.25, tall))));
  const lines = Math.max(1, Math.ceil(heads / grid.columns));
  const linePitch = mapHeight + grid.caption + GAP_PX;
  const columns = Math.max(1, Math.min(heads, grid.columns));
  const height = lines * linePitch;
  const rowHeight = grid.label ? Math.max(LEAST_ROW_PX, height) : height + LABEL_LINE_PX;
  return { lines, mapHeight, linePitch, width: columns * grid.pitch - GAP_PX, height, rowHeight };
}

/** Left and top of the map at a position, in CSS pixels. */
export function mapCorner(grid: GridLayout, row: RowLayout, position: number): [number, number] {
  return [(position % grid.columns) * grid.pitch, Math.floor(position / grid.columns) * row.linePitch];
}

/** First and last row, of those with these heights one below the other, that are seen between `top` and `bottom`. */
export function rowsBetween(heights: readonly number[], top: number, bottom: number): [number, number] {
  let [first, last, start] = [heights.length - 1, 0, 0];
  heights.forEach((height, row) => {
    if (start + height > top && start < bottom) {
      [first, last] = [Math.min(first, row), Math.max(last, row)];
    }
    start += height;
  });
  return [first, Math.max(first, last)];
}

/** Pixels of the codes of one head: dark for 0, bright for the head's own largest weight, nothing for exactly 0. */
export function weightTable(frame: Frame): Uint32Array {
  const colors = palette(COLORMAP);
  const table = new Uint32Array(POSITIONS);
  for (let code = 0; code <= LAST_VALUE_CODE; code++) {
    const share = frame.hi > 0 ? valueOfCode(code, frame.lo, frame.hi) / frame.hi : 0;
    table[code] = colors[Math.max(0, Math.min(POSITIONS - 1, Math.floor(share * POSITIONS)))];
  }
  table.set(SPECIAL_PIXELS, FIRST_SPECIAL_CODE);
  table[CODE_NEGATIVE_INFINITY] = 0; // transparent: in maps of attention this code is a weight of exactly 0
  return table;
}

/** A rectangle of device pixels. */
export interface PixelBox {
  left: number;
  top: number;
  width: number;
  height: number;
}

/**
 * Draws a head's map into `box` of an image `stride` pixels wide; null: neutral. A pixel that several cells fall on
 * shows the largest, so that a thin diagonal has no holes.
 */
export function paintMap(out: Uint32Array, stride: number, box: PixelBox, frame: Frame | null): void {
  const table = frame && weightTable(frame);
  const ends = frame && [cellsUnder(box.height, frame.rows), cellsUnder(box.width, frame.cols)];
  for (let y = 0; y < box.height; y++) {
    const start = (box.top + y) * stride + box.left;
    if (!frame || !table || !ends) {
      out.fill(NEUTRAL_PIXEL, start, start + box.width);
      continue;
    }
    for (let x = 0; x < box.width; x++) {
      out[start + x] = table[largestCode(frame, ends[0][y], ends[1][x])];
    }
  }
}

/** First and last cell of each of `pixels` pixels: its nearest, or, where there are more cells, its share of them. */
function cellsUnder(pixels: number, cells: number): [number, number][] {
  return Array.from({ length: pixels }, (_, pixel) => {
    if (pixels >= cells) {
      const nearest = Math.floor(((pixel + 0.5) * cells) / pixels);
      return [nearest, nearest];
    }
    return [Math.floor((pixel * cells) / pixels), Math.floor(((pixel + 1) * cells) / pixels) - 1];
  });
}

/** The code of the largest weight in a block of cells; what is no number wins, exactly 0 is the least. */
function largestCode(frame: Frame, rows: [number, number], cols: [number, number]): number {
  let largest = -1;
  for (let row = rows[0]; row <= rows[1]; row++) {
    for (let col = cols[0]; col <= cols[1]; col++) {
      const code = frame.codes[row * frame.cols + col];
      largest = Math.max(largest, code === CODE_NEGATIVE_INFINITY ? -1 : code);
    }
  }
  return largest < 0 ? CODE_NEGATIVE_INFINITY : largest;
}
