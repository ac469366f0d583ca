/**
 * Weights of one query or one key, read out of a held frame. Pure: codes in, numbers out; no model, no message.
 *
 * A pooled frame has one cell for several positions: each of them gets the cell's value, the largest of them or their mean.
 */

import type { Frame, PictureEntry } from './catalog';
import type { PictureChoiceState } from './generated/traits';
import { CODE_NAN, CODE_NEGATIVE_INFINITY, valueOfCode } from './paint';

/** Which map of a record of attention is looked at. */
export type AttentionMap = PictureChoiceState['kind'];

/** From which side a map is read: of a query, the weights over the keys; of a key, those that the queries give it. */
export type Side = 'query' | 'key';

/**
 * What is read: cells, their geometry, and which map they are (a logarithm is turned back into a weight). `onlyQuery`:
 * the one query that the frame is a row of; nothing: it has rows for all.
 */
export interface ReadMap {
  frame: Frame;
  picture: PictureEntry;
  kind: AttentionMap;
  onlyQuery?: number | null;
  /** Whether a cell that stands for several weights shows their mean; else the largest. */
  mean?: boolean;
}

/** One number per position along the other side. */
export interface WeightLine {
  weights: Float32Array;
  /** 1 where the weight is exactly 0: masked, or never given. */
  empty: Uint8Array;
  /** Largest |weight|; 0 where there is none. */
  largest: number;
  /** Where the largest is; -1: nowhere. */
  peak: number;
  /** Positions that one number stands for. */
  pool: number;
}

/** The weights of position `index` on `side`; NaN for a query that the map has no row of. */
export function weightLine(map: ReadMap, side: Side, index: number): WeightLine {
  const { frame, picture, kind } = map;
  const across = side === 'query';
  const pool = across ? picture.pool_cols : picture.pool_rows;
  const length = across ? picture.full_cols : picture.full_rows;
  const table = codeValues(frame, kind);
  const weights = new Float32Array(length);
  const empty = new Uint8Array(length);
  let [largest, peak] = [0, -1];
  for (let i = 0; i < length; i++) {
    const code = across ? codeAt(map, index, i) : codeAt(map, i, index);
    weights[i] = table[code];
    empty[i] = isEmpty(code, kind) ? 1 : 0;
    const size = Math.abs(weights[i]);
    if (size > largest) {
      [largest, peak] = [size, i];
    }
  }
  return { weights, empty, largest, peak, pool };
}

/** `line` among the `length` positions of a text in which it starts at `offset`; NaN where it has no weight. */
export function placedLine(line: WeightLine, offset: number, length: number): WeightLine {
  const weights = new Float32Array(length).fill(NaN);
  const empty = new Uint8Array(length);
  weights.set(line.weights.subarray(0, length - offset), offset);
  empty.set(line.empty.subarray(0, length - offset), offset);
  return { ...line, weights, empty, peak: line.peak < 0 ? -1 : line.peak + offset };
}

/** The weight that one query gives one key; NaN for a query that the map has no row of. */
export function weightAt(map: ReadMap, query: number, key: number): number {
  return mapValue(codeAt(map, query, key), map.frame, map.kind);
}

/** Whether the weight that one query gives one key is exactly 0. */
export function isEmptyAt(map: ReadMap, query: number, key: number): boolean {
  return isEmpty(codeAt(map, query, key), map.kind);
}

export function hasAllQueries({ onlyQuery = null }: ReadMap): boolean {
  return onlyQuery === null;
}

/** Whether the map has a row of this query. */
export function hasQuery(map: ReadMap, query: number): boolean {
  return hasAllQueries(map) || query === map.onlyQuery;
}

/** Share 0..1 of the largest, the strength with which a weight is drawn; 0 for NaN and where all are 0. */
export function shareOf(weight: number, largest: number): number {
  const share = Math.abs(weight) / largest;
  return Number.isFinite(share) ? Math.min(1, share) : 0;
}

/** The weight that a code stands for. */
function mapValue(code: number, frame: Frame, kind: AttentionMap): number {
  if (isEmpty(code, kind)) {
    return 0;
  }
  const value = valueOfCode(code, frame.lo, frame.hi);
  return kind === 'log' ? 10 ** value : value;
}

function isEmpty(code: number, kind: AttentionMap): boolean {
  return code === CODE_NEGATIVE_INFINITY && kind !== 'difference';
}

function codeValues(frame: Frame, kind: AttentionMap): Float64Array {
  return Float64Array.from({ length: 256 }, (_, code) => mapValue(code, frame, kind));
}

function codeAt(map: ReadMap, query: number, key: number): number {
  const { frame, picture } = map;
  if (!hasQuery(map, query)) {
    return CODE_NAN;
  }
  const row = hasAllQueries(map) ? Math.floor(query / picture.pool_rows) : 0;
  return frame.codes[row * frame.cols + Math.floor(key / picture.pool_cols)];
}
