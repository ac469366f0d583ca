/**
 * Bars over the entries of a KV cache, as paths of an SVG. Numbers in, text out; no DOM, no model.
 *
 * A path is in units of one bar across and of UP down, so that an SVG may stretch it to any size.
 */

import type { Measure } from './catalog';

/** Height of the picture in the units of the paths. */
export const UP = 100;
/** Bars at most: further ones would be thinner than a pixel. */
export const MOST_BARS = 800;
const BAR_WIDTH = 0.8; // of the room that it has
const LEAST_HEIGHT = 0.8; // a value of exactly 0 is still an entry

/** Measures of the entries in one head of the cache, by name; each has one number per entry. */
export type EntryRows = Record<string, Float32Array>;

/** Bars of `values`: those of `evicted` entries apart. `pool`: entries that one bar stands for, `top`: full height. */
export interface EntryBars {
  held: string;
  evicted: string;
  baseline: string;
  bars: number;
  pool: number;
  top: number;
}

/** The rows of one head; `names` as in Catalog.entry_measures. */
export function rowsOf({ rows: heads, cols, data }: Measure, names: readonly string[], head: number): EntryRows {
  const start = (row: number) => (row * heads + head) * cols;
  return Object.fromEntries(names.map((name, row) => [name, data.subarray(start(row), start(row) + cols)]));
}

/** The head of the cache that a head of queries reads: head // group. `heads`: of the queries, `held`: of the cache. */
export function cacheHead(head: number, heads: number, held: number): number {
  const group = Math.max(1, Math.round(heads / held));
  return Math.min(held - 1, Math.floor(head / group));
}

/** 1 for the entries that the cache no longer has in the last step. */
export function evictedOf(heldUntil: Float32Array | undefined, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, entry) => ((heldUntil?.[entry] ?? NaN) < count - 1 ? 1 : 0));
}

/** Bars, and beside them the line of `baseline` where there is one. A bar of several entries is as high as the highest. */
export function entryBars(values: Float32Array, evicted: Uint8Array, baseline: Float32Array | null): EntryBars {
  const pool = Math.ceil(values.length / MOST_BARS);
  const bars = Math.ceil(values.length / Math.max(1, pool));
  const top = Math.max(largestOf(values), baseline ? largestOf(baseline) : 0);
  const paths = { held: '', evicted: '', baseline: '' };
  for (let bar = 0; bar < bars; bar++) {
    const [first, next] = [bar * pool, Math.min(values.length, (bar + 1) * pool)];
    const height = heightOf(largestOf(values.subarray(first, next)), top);
    const gone = evicted.subarray(first, next).every(Boolean);
    if (values.subarray(first, next).some(Number.isFinite)) {
      paths[gone ? 'evicted' : 'held'] += barPath(bar, Math.max(height, LEAST_HEIGHT));
    }
    const level = baseline ? largestOf(baseline.subarray(first, next)) : 0;
    if (level > 0) {
      paths.baseline += `M${bar} ${rounded(UP - heightOf(level, top))}h1`;
    }
  }
  return { ...paths, bars, pool, top };
}

function barPath(bar: number, height: number): string {
  const gap = (1 - BAR_WIDTH) / 2;
  return `M${rounded(bar + gap)} ${UP}v${rounded(-height)}h${BAR_WIDTH}V${UP}z`;
}

function heightOf(value: number, top: number): number {
  return top > 0 ? (value / top) * UP : 0;
}

/** The largest finite value, at least 0: norms, masses, steps and bytes are never negative. */
function largestOf(values: Float32Array): number {
  return values.reduce((most, value) => (Number.isFinite(value) && value > most ? value : most), 0);
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
