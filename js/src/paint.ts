/**
 * Pixels, boxes and ticks: pure functions from codes and numbers to what is drawn. Knows no model and no DOM.
 *
 * Pixels are 32-bit ABGR words (ImageData order on little endian machines), one table entry per code 0..255.
 */

import { approximately, fixedDecimals } from './number_text';
import type { Frame, Histogram } from './catalog';

export const LARGEST_VALUE_CODE = 252;
export const CODE_NEGATIVE_INFINITY = 253;
export const CODE_POSITIVE_INFINITY = 254;
export const CODE_NAN = 255;
/** Half transparent grey: a tile that is still on its way. */
export const NEUTRAL_PIXEL = 0x40808080;

/** The value a code stands for; exact for NaN and the infinities, else within (hi - lo) / 504. */
export function valueOfCode(code: number, lo: number, hi: number): number {
  switch (code) {
    case CODE_NEGATIVE_INFINITY:
      return -Infinity;
    case CODE_POSITIVE_INFINITY:
      return Infinity;
    case CODE_NAN:
      return NaN;
    default:
      // lo and hi are weighted one by one: their difference may not fit a double
      return lo === hi ? lo : lo * (1 - code / LARGEST_VALUE_CODE) + hi * (code / LARGEST_VALUE_CODE);
  }
}

/** What is said of a cell, "not recorded", for which no rank recorded anything; null: it has a value, if only NaN. */
export function absenceOf(frame: Frame, { row, col }: { row: number; col: number }): string | null {
  return frame.absent?.(row * frame.cols + col) ? 'not recorded' : null;
}

/** The code of a cell of the whole picture; null where the frame, which may be a detail, does not have it. */
export function codeAt(frame: Frame, cell: { row: number; col: number }): number | null {
  const [row, col] = [cell.row - (frame.top ?? 0), cell.col - (frame.left ?? 0)];
  return row >= 0 && col >= 0 && row < frame.rows && col < frame.cols ? frame.codes[row * frame.cols + col] : null;
}

/** One pixel per code: `out[i] = table[codes[i]]`. */
export function paintCodes(out: Uint32Array, codes: Uint8Array, table: Uint32Array): void {
  const length = Math.min(out.length, codes.length);
  for (let i = 0; i < length; i++) {
    out[i] = table[codes[i]];
  }
}

// ---------------------------------------------------------------------------------------------- picture in a plot

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
  flipX: boolean;
  flipY: boolean;
}

/** Where cells `rows` x `cols` of the tensor lie in the plot, in its pixels; flipped where a scale runs the other way. */
export function pictureBox(
  toX: (value: number) => number,
  toY: (value: number) => number,
  rows: number,
  cols: number,
): Box {
  const [x0, x1, y0, y1] = [toX(-0.5), toX(cols - 0.5), toY(-0.5), toY(rows - 0.5)];
  return {
    left: Math.min(x0, x1),
    top: Math.min(y0, y1),
    width: Math.abs(x1 - x0),
    height: Math.abs(y1 - y0),
    flipX: x1 < x0,
    flipY: y1 < y0,
  };
}

/** The cell of a picture of `rows` x `cols` cells at a point of the plot; null outside of it. */
export function cellAt(box: Box, x: number, y: number, rows: number, cols: number): { row: number; col: number } | null {
  const across = (x - box.left) / box.width;
  const down = (y - box.top) / box.height;
  const row = Math.floor((box.flipY ? 1 - down : down) * rows);
  const col = Math.floor((box.flipX ? 1 - across : across) * cols);
  return row >= 0 && row < rows && col >= 0 && col < cols ? { row, col } : null;
}

/** Where one cell of a picture of `rows` x `cols` cells lies in the plot. */
export function boxOfCell(box: Box, row: number, col: number, rows: number, cols: number): Box {
  const [width, height] = [box.width / cols, box.height / rows];
  return {
    ...box,
    left: box.left + width * (box.flipX ? cols - 1 - col : col),
    top: box.top + height * (box.flipY ? rows - 1 - row : row),
    width,
    height,
  };
}

/**
 * Width / height of a figure whose plot shows cells of `ratio` = columns / rows, square if 0.5 <= ratio <= 2.5.
 * `marginX`, `marginY`: both margins together; all in CSS pixels.
 */
export function figureRatio(ratio: number, width: number, height: number, marginX: number, marginY: number): number {
  const wanted = Math.min(2.5, Math.max(0.5, ratio));
  const plotWidth = Math.min(width - marginX, wanted * (height - marginY));
  return plotWidth > 0 ? (plotWidth + marginX) / (plotWidth / wanted + marginY) : wanted;
}

// ------------------------------------------------------------------------------------------------------------ ticks

/** Step of the 1-2-5 series that puts at most `most` ticks into `span`. */
function niceStep(span: number, most: number): number {
  const least = span / most;
  const power = 10 ** Math.floor(Math.log10(least));
  const factor = [1, 2, 5, 10].find((f) => f * power >= least * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/** Whole numbers inside [lo, hi] at nice steps: at most `most`, at least one. */
export function integerTicks(lo: number, hi: number, most = 8): number[] {
  const [from, to] = lo <= hi ? [lo, hi] : [hi, lo];
  const step = Math.max(1, niceStep(Math.max(to - from, 1e-9), Math.max(1, most - 1)));
  const ticks: number[] = [];
  for (let value = Math.ceil(from / step) * step; value <= to && ticks.length < most; value += step) {
    ticks.push(value + 0); // + 0: no "-0" on an axis
  }
  return ticks.length ? ticks : [Math.round((from + to) / 2)];
}

export interface BarTick {
  position: number; // 0..1 along the bar
  text: string;
}

/** Round values in lo..hi, about `most` of them; only `lo` where all values are the same. */
export function roundTicks(lo: number, hi: number, most = 4): number[] {
  const span = hi - lo;
  if (!(span > 0) || !Number.isFinite(span)) {
    return [lo];
  }
  const step = niceStep(span, most);
  const first = Math.ceil(lo / step);
  const count = Math.floor(hi / step) - first + 1;
  return Array.from({ length: count }, (_, i) => (first + i) * step);
}

/** Both ends, and up to 3 round numbers between them that do not touch each other. `width` and `character` in CSS pixels. */
export function barTicks(vmin: number, vmax: number, width: number, character = 7): BarTick[] {
  const first = { position: 0, text: approximately(vmin) };
  if (!(vmax > vmin)) {
    return [first];
  }
  const last = { position: 1, text: approximately(vmax) };
  const span = vmax - vmin;
  if (!Number.isFinite(span)) {
    return [first, last];
  }
  const step = niceStep(span, 4);
  const decimals = Math.max(0, -Math.floor(Math.log10(step)));
  // ends are aligned to the inside of the bar, ticks between are centred
  let free = (first.text.length + 2) * character;
  const end = width - (last.text.length + 2) * character;
  const between: BarTick[] = [];
  for (let value = Math.ceil(vmin / step) * step; value < vmax; value += step) {
    const extreme = Math.abs(value) >= 1e6 || (step < 1e-4 && value !== 0);
    const text = extreme ? approximately(value) : fixedDecimals(value, decimals);
    const position = (value - vmin) / span;
    const half = (text.length * character) / 2;
    if (position * width - half >= free && position * width + half <= end) {
      between.push({ position, text });
      free = position * width + half + 2 * character;
    }
  }
  return [first, ...between.slice(0, 3), last];
}

/** Column heights 0..1 (square root of the count) of a histogram over vmin..vmax, and the shares that lie outside. */
export function histogramColumns(
  histogram: Histogram,
  vmin: number,
  vmax: number,
  columns: number,
): { heights: Float64Array; below: number; above: number } {
  const { counts, lo, hi } = histogram;
  const heights = new Float64Array(columns);
  const bins = counts.length;
  const most = counts.reduce((a, b) => Math.max(a, b), 0);
  const total = counts.reduce((a, b) => a + b, 0);
  if (!(most > 0) || !(vmax > vmin) || !Number.isFinite(lo)) {
    return { heights, below: 0, above: 0 };
  }
  for (let x = 0; x < columns; x++) {
    const value = vmin + ((x + 0.5) / columns) * (vmax - vmin);
    // a constant record has bins of width 0: all of it stands in the column of its value
    const bin = hi > lo ? Math.floor(((value - lo) / (hi - lo)) * bins) : -1;
    if (bin >= 0 && bin < bins) {
      heights[x] = Math.sqrt(counts[bin] / most);
    }
  }
  if (!(hi > lo) && lo >= vmin && lo <= vmax) {
    heights[Math.min(columns - 1, Math.floor(((lo - vmin) / (vmax - vmin)) * columns))] = 1;
  }
  let below = 0;
  let above = 0;
  for (let bin = 0; bin < bins; bin++) {
    const centre = hi > lo ? lo + ((bin + 0.5) / bins) * (hi - lo) : lo;
    below += centre < vmin ? counts[bin] : 0;
    above += centre > vmax ? counts[bin] : 0;
  }
  return { heights, below: below / total, above: above / total };
}

// ---------------------------------------------------------------------------------------------------- contact sheet

/** Contact sheet in device pixels: `columns` x `lines` tiles of `tileWidth` x `tileHeight`, `gap` between them. */
export interface SheetLayout {
  columns: number;
  lines: number;
  tileWidth: number;
  tileHeight: number;
  gap: number;
  width: number;
  height: number;
}

/** Side of a tile in CSS pixels: 64 for a few pictures down to 28 for many; 18 to 12 for records of single values. */
export function tileSide(count: number, single: boolean): number {
  if (single) {
    return count <= 64 ? 18 : count <= 128 ? 15 : 12;
  }
  return count <= 16 ? 64 : count <= 36 ? 56 : count <= 64 ? 48 : count <= 128 ? 36 : 28;
}

/** Tiles in reading order over `available` CSS pixels of width. `tall`: height / width of the pictures on the tiles. */
export function sheetLayout(count: number, available: number, ratio: number, single: boolean, tall: number): SheetLayout {
  const side = Math.max(1, Math.round(tileSide(count, single) * ratio));
  const gap = Math.max(1, Math.round(2 * ratio));
  const tileWidth = side;
  const tileHeight = single ? side : Math.max(1, Math.round(side * Math.min(2, Math.max(0.25, tall))));
  const columns = Math.max(1, Math.min(count, Math.floor((available * ratio + gap) / (tileWidth + gap))));
  const lines = Math.ceil(count / columns);
  return {
    columns,
    lines,
    tileWidth,
    tileHeight,
    gap,
    width: columns * (tileWidth + gap) - gap,
    height: Math.max(1, lines * (tileHeight + gap) - gap),
  };
}

/** Left and top of tile number `position`, in device pixels. */
export function tileCorner(layout: SheetLayout, position: number): [number, number] {
  const line = Math.floor(position / layout.columns);
  return [(position % layout.columns) * (layout.tileWidth + layout.gap), line * (layout.tileHeight + layout.gap)];
}

/** Number of the tile at a point in device pixels; gaps belong to the tile before them; -1 outside of all. */
export function tileAt(layout: SheetLayout, count: number, x: number, y: number): number {
  const column = Math.floor(x / (layout.tileWidth + layout.gap));
  const line = Math.floor(y / (layout.tileHeight + layout.gap));
  const position = line * layout.columns + column;
  return x >= 0 && y >= 0 && column < layout.columns && position < count ? position : -1;
}

/** Draws `frame` into tile `position` of `out` (width `layout.width`), nearest neighbour; null: a neutral tile. */
export function paintTile(
  out: Uint32Array,
  layout: SheetLayout,
  position: number,
  frame: Pick<Frame, 'codes' | 'rows' | 'cols'> | null,
  table: Uint32Array | null,
): void {
  const [left, top] = tileCorner(layout, position);
  const { tileWidth, tileHeight, width } = layout;
  for (let y = 0; y < tileHeight; y++) {
    const start = (top + y) * width + left;
    if (!frame || !table) {
      out.fill(NEUTRAL_PIXEL, start, start + tileWidth);
      continue;
    }
    const row = Math.floor(((y + 0.5) * frame.rows) / tileHeight) * frame.cols;
    for (let x = 0; x < tileWidth; x++) {
      out[start + x] = table[frame.codes[row + Math.floor(((x + 0.5) * frame.cols) / tileWidth)]];
    }
  }
}

/** Channel numbers in display order: largest measure first, equal ones by number, NaN last; null: by number. */
export function channelOrder(channels: number, measure: ArrayLike<number> | null): Int32Array {
  const order = Int32Array.from({ length: channels }, (_, channel) => channel);
  if (!measure) {
    return order;
  }
  const key = (channel: number): number => {
    const value = measure[channel];
    return value === undefined || Number.isNaN(value) ? -Infinity : value;
  };
  return order.sort((a, b) => {
    const [ka, kb] = [key(a), key(b)];
    return ka === kb ? a - b : kb > ka ? 1 : -1;
  });
}
