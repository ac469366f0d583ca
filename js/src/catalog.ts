/** What was recorded, as the kernel describes it, and the small shapes that the views draw. */

import type { Catalog, LayerEntry, RecordEntry } from './generated/catalog';

export type {
  AttentionEntry,
  AxisEntry,
  Catalog,
  LayerEntry,
  MemoryEntry,
  MemoryFrames,
  PictureEntry,
  RecordEntry,
  StatsEntry,
  TokensEntry,
} from './generated/catalog';

/** Frames of a record of attention weights beside its own: see AttentionEntry. */
export type AttentionKind = 'tiles' | 'row' | 'log' | 'mean' | 'max' | 'difference' | 'rollout' | 'flow';
/** Pictures of a part of a memory beside its own frames, and measures of it: see MemoryFrames. */
export type MemoryKind = 'time' | 'timescale' | 'similarity' | 'wrote' | 'wrote_unit' | 'reads';
export type MemoryMeasure = 'units' | 'saturation' | 'retention' | 'entries';
/** Maps of which step wrote what: shares of each row, code 253 for exactly 0. */
export type ProvenanceKind = 'wrote' | 'wrote_unit' | 'reads';
export type PageKind =
  | 'frame'
  | 'sheet'
  | 'series'
  | 'channels'
  | 'histogram'
  | 'heads'
  | AttentionKind
  | MemoryKind
  | MemoryMeasure;

/** One picture: `codes` is a view (no copy) of rows * cols codes, 0..252 = lo..hi, 253 -Inf, 254 +Inf, 255 NaN. */
export interface Frame {
  codes: Uint8Array;
  rows: number;
  cols: number;
  lo: number;
  hi: number;
  /** Of a detail: row and column of its first cell in the whole picture. */
  top?: number;
  left?: number;
  /** Whether no rank recorded a cell (row * cols + col); only where that is known without a kernel. */
  absent?: (cell: number) => boolean;
}

/** Counts over equal bins between `lo` and `hi`; `sampled`: counted over a strided sample. */
export interface Histogram {
  counts: Float64Array;
  lo: number;
  hi: number;
  sampled: boolean;
}

/** Measures of a part of a memory for one sample: a block of `rows` x `cols` numbers each, one after another. */
export interface Measure {
  rows: number;
  cols: number;
  data: Float32Array;
}

/** Smallest and largest finite value; null: there is none. */
export interface Ends {
  min: number | null;
  max: number | null;
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

/** A layer's records by call in a step; where it did not run, in the nearest step before, else after. */
export function nearestCalls(layer: LayerEntry, step: number): number[] {
  const steps = layer.records;
  for (let before = Math.min(step, steps.length - 1); before >= 0; before--) {
    if (steps[before].length > 0) {
      return steps[before];
    }
  }
  return steps.find((calls) => calls.length > 0) ?? [];
}

/** Number of a layer's record in a step and call (the last call, where there are fewer); undefined: it did not run. */
export function recordAt(layer: LayerEntry, step: number, call: number): number | undefined {
  const calls = layer.records[step] ?? [];
  return calls[Math.min(call, calls.length - 1)];
}

/** "epoch 3" where steps have labels, "step 1200" where those are numbers; else "step 3". */
export function stepName(catalog: Catalog, step: number): string {
  const label = labelsOf(catalog)[step] ?? String(step);
  return /^[\d.,]+$/.test(label) ? `step ${label}` : label;
}

/** "epoch 3, 4 of 12": a step and how many there are; of steps without labels "3 of 12", counted from 0. */
export function stepCount(catalog: Catalog, step: number): string {
  const labels = labelsOf(catalog);
  const count = Math.max(labels.length, catalog.layers[0]?.records.length ?? 0);
  return labels.length > 0 ? `${stepName(catalog, step)}, ${step + 1} of ${count}` : `${step} of ${count}`;
}

/** Widget state that was saved by an earlier version has no labels. */
function labelsOf({ step_labels }: Partial<Catalog>): readonly string[] {
  return step_labels ?? [];
}

/** A catalog of nothing: what a store shows before its state has arrived. */
export const EMPTY_CATALOG: Catalog = {
  layers: [],
  records: [],
  lo: null,
  hi: null,
  tokens: [],
  head_measures: [],
  head_kinds: [],
  memories: [],
  entry_measures: [],
  step_labels: [],
};

const PROVENANCE: PageKind[] = ['wrote', 'wrote_unit', 'reads'] satisfies ProvenanceKind[];

export function isProvenance(kind: PageKind): kind is ProvenanceKind {
  return PROVENANCE.includes(kind);
}
