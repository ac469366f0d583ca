/** What was recorded, as the kernel describes it, and the small shapes that the views draw. */

import type { Catalog, LayerEntry, RecordEntry } from './generated/catalog';

export type {
  AxisEntry,
  Catalog,
  LayerEntry,
  PictureEntry,
  RecordEntry,
  StatsEntry,
} from './generated/catalog';

export type PageKind = 'frame' | 'sheet' | 'series' | 'channels' | 'histogram';

/** One picture: `codes` is a view (no copy) of rows * cols codes, 0..252 = lo..hi, 253 -Inf, 254 +Inf, 255 NaN. */
export interface Frame {
  codes: Uint8Array;
  rows: number;
  cols: number;
  lo: number;
  hi: number;
}

/** Counts over equal bins between `lo` and `hi`; `sampled`: counted over a strided sample. */
export interface Histogram {
  counts: Float64Array;
  lo: number;
  hi: number;
  sampled: boolean;
}

/** The selected record: `index` is its number in the recording. */
export interface Place {
  index: number;
  record: RecordEntry;
  layer: LayerEntry;
}

/** The kernel's exact answer for one cell. */
export interface CellValue {
  text: string;
  number: number | null;
  index: number[];
}

/** A catalog of nothing: what a store shows before its state has arrived. */
export const EMPTY_CATALOG: Catalog = { layers: [], records: [], lo: null, hi: null };
