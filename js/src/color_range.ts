/**
 * Ranges of colours: from statistics of a record, and the natural ranges of the maps of attention and memory. Numbers only.
 *
 * A range of the map 'log' is in powers of ten; people read and type weights.
 */

import type { Catalog, Ends, Frame, LayerEntry } from './catalog';
import type { PictureChoiceState } from './generated/traits';

export type Range = [number, number];
type MapKind = PictureChoiceState['kind'];

export const NOTHING_FINITE: Range = [0, 1];
/** Of attention: every head and every layer in the same colours. */
export const WEIGHTS: Range = [0, 1];
/** Weights below 10 to the power of this are drawn as if they were that. */
export const LEAST_POWER = -6;

export function between({ min, max }: Ends): Range {
  const finite = min !== null && max !== null && Number.isFinite(min) && Number.isFinite(max);
  return finite ? [min, max] : NOTHING_FINITE;
}

/** From the smallest to the largest of several; an end that one does not have, the others say. */
export function union(several: Ends[]): Ends {
  const smallest = several.flatMap(({ min }) => (min === null ? [] : [min]));
  const largest = several.flatMap(({ max }) => (max === null ? [] : [max]));
  return {
    min: smallest.length > 0 ? Math.min(...smallest) : null,
    max: largest.length > 0 ? Math.max(...largest) : null,
  };
}

/**
 * Range of a layer over all its steps and calls, so that the colours mean the same in each of them; null: no record of
 * it has statistics.
 */
export function layerEnds({ records }: Pick<Catalog, 'records'>, layer: LayerEntry): Ends | null {
  const known = layer.records.flat().flatMap((index) => records[index]?.stats ?? []);
  return known.length > 0 ? union(known) : null;
}

export function aroundZero({ min, max }: Ends): Range {
  if (min === null || max === null) {
    return NOTHING_FINITE;
  }
  const reach = Math.max(Math.abs(min), Math.abs(max));
  return [-reach, reach];
}

export function hasBothSigns({ min, max }: Ends): boolean {
  return min !== null && max !== null && min < 0 && max > 0;
}

/** Symmetric about 0 for values of both signs, else from the smallest to the largest. */
export function bothSides(ends: Ends): Range {
  return hasBothSigns(ends) ? aroundZero(ends) : between(ends);
}

/** Shares from 0 to the largest there is; 0..1 where there is none. */
export function upToLargest(frame: Frame | null): Range {
  return frame && Number.isFinite(frame.hi) && frame.hi > 0 ? [0, frame.hi] : WEIGHTS;
}

/** What every map of a kind has in common, whatever the layer. */
export function wholeRange(kind: MapKind): Range {
  return kind === 'difference' ? [-1, 1] : kind === 'log' ? [LEAST_POWER, 0] : WEIGHTS;
}

/** The range of a map without being asked: 0..1 for weights; what the frame needs where that would show nothing. */
export function mapRange(kind: MapKind, frame: Frame | null): Range {
  if (!frame || !Number.isFinite(frame.lo) || !Number.isFinite(frame.hi)) {
    return wholeRange(kind);
  }
  switch (kind) {
    case 'difference':
      return frame.lo || frame.hi ? aroundZero({ min: frame.lo, max: frame.hi }) : wholeRange(kind);
    case 'rollout':
    case 'flow':
      return upToLargest(frame);
    case 'log': // whole decades, so that most heads of a layer share a range
      return [Math.min(-1, Math.max(LEAST_POWER, Math.floor(frame.lo))), 0];
    default:
      return WEIGHTS;
  }
}

/** A range of weights in powers of ten. */
export function powersOf([low, high]: Range): Range {
  const least = tenTo(LEAST_POWER);
  return [Math.log10(low > 0 ? low : least), Math.log10(high > 0 ? high : least)];
}

/** A range of powers of ten as weights. */
export function weightsOf([low, high]: Range): Range {
  return [tenTo(low), tenTo(high)];
}

/** 10 ** power; of whole powers the number itself, where 10 ** -4 may be 0.00009999999999999999. */
export function tenTo(power: number): number {
  return Number.isInteger(power) ? Number(`1e${power}`) : 10 ** power;
}
