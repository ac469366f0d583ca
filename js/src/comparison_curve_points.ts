/** Points of the curve of distances, and the scale they are drawn on. Distances in, pixels out; knows no model. */

import type { Catalog, LayerEntry } from './catalog';
import { recordAt } from './catalog';
import type { DistanceEntry } from './generated/catalog';
import type { ComparisonCurveState } from './generated/traits';
import { approximately } from './number_text';

export type MeasureName = ComparisonCurveState['measure'];

/** `value`: Infinity is drawn at the top; null: not measured, or it does not apply. */
export interface CurvePoint {
  layer: number;
  record: number | null;
  value: number | null;
  entry: DistanceEntry | null;
}

/** Powers of ten from `low` to `high`; values below are drawn on the line of 0, infinite ones at the top. */
export interface CurveScale {
  low: number;
  high: number;
  infinite: boolean;
}

/** No distance is told from 0 below this power: rounding of float64. */
const LEAST_POWER = -16;
const MOST_LABELS = 5;

/** The number of a measure; Infinity where it is that. */
export function valueOf(entry: DistanceEntry | null, measure: MeasureName): number | null {
  return entry === null ? null : measure === 'relative_l2' && entry.infinite ? Infinity : entry[measure];
}

/** A point per layer: of its record in a step and call. */
export function curvePoints(
  catalog: Catalog, byRecord: ReadonlyMap<number, DistanceEntry>, measure: MeasureName, step: number, call: number,
): CurvePoint[] {
  return catalog.layers.map((entry: LayerEntry, layer) => {
    const record = recordAt(entry, step, call) ?? null;
    const found = record === null ? null : (byRecord.get(record) ?? null);
    return { layer, record, value: valueOf(found, measure), entry: found };
  });
}

/** The first record in the order of execution whose distance is above `bound`; null: there is none. */
export function firstApart(distances: readonly DistanceEntry[], measure: MeasureName, bound: number): DistanceEntry | null {
  return distances.find((entry) => (valueOf(entry, measure) ?? 0) > bound) ?? null;
}

/** Whole decades around all values that are drawn, and the bound. */
export function curveScale(points: readonly CurvePoint[], bound: number): CurveScale {
  const values = [...points.map(({ value }) => value ?? 0), bound].filter((value) => value > 0);
  const powers = values.filter(Number.isFinite).map((value) => Math.max(LEAST_POWER, Math.log10(value)));
  const low = powers.length > 0 ? Math.floor(Math.min(...powers)) : -1;
  const high = powers.length > 0 ? Math.max(low + 1, Math.ceil(Math.max(...powers)) + 0) : 0; // + 0: no −0
  return { low, high, infinite: values.includes(Infinity) };
}

/** 0 (top) .. 1 (the lowest decade); 0 itself lies below, at `zero`. */
export function heightOf(value: number, { low, high, infinite }: CurveScale, zero: number): number {
  const top = infinite ? 0.12 : 0;
  if (value === Infinity) {
    return 0;
  }
  if (!(value > 0)) {
    return zero;
  }
  const power = Math.max(low, Math.min(high, Math.log10(value)));
  return top + (1 - top) * ((high - power) / (high - low));
}

/** Decades that get a line and a label: all, or every second, third ... */
export function decades({ low, high }: CurveScale): number[] {
  const every = Math.max(1, Math.ceil((high - low) / MOST_LABELS));
  const found: number[] = [];
  for (let power = low; power <= high; power += every) {
    found.push(power);
  }
  return found;
}

/** "0", "∞", "0.0038"; "not measured". */
export function distanceText(value: number | null): string {
  return value === null ? 'not measured' : value === Infinity ? '∞' : approximately(value, 3);
}
