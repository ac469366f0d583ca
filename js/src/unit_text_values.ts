/**
 * The value of one unit at every timestep, and how strongly each is drawn. Numbers only; no DOM.
 *
 * In: a part of a memory and the cursor. Out: values, exact from a "series" page or approximate from the codes of a
 * "time" picture, and the line of shades that a TokenList draws.
 */

import type { WeightLine } from './attention_rows';
import type { PictureEntry } from './catalog';
import { approximately } from './number_text';
import { valueOfCode } from './paint';
import type { SelectionModel } from './selection';
import { shownUnit } from './shown_unit';
import type { ShownPart } from './shown_unit';

/** `pool`: timesteps that one value stands for, 1 = each has its own; `mean`: their mean, else the largest. `exact`: as recorded, in float32. */
export interface UnitValues {
  values: Float32Array;
  pool: number;
  mean?: boolean;
  exact: boolean;
}

/** How values become shades: as a share of `largest`, after a tanh where it is a cell. */
export interface Shades {
  line: WeightLine;
  words: string;
}

const SIGNS = 'blue above 0, orange below';
const EXACT_DIGITS = 7; // what float32 can tell apart
const CODES = 256;

/** The geometry of the series of the selected unit; null: the record has none, or none per unit. */
export function unitSeries(selection: SelectionModel, part: ShownPart): PictureEntry | null {
  const { series } = part.place.record;
  const unit = shownUnit(selection, part);
  const perUnit = unit && series?.axes.some((axis) => axis.trait === unit.trait);
  return perUnit ? series : null;
}

/** The selected unit at every timestep; null: its page is not here (it is asked for), or there is no such picture. */
export function unitValues(selection: SelectionModel, part: ShownPart): UnitValues | null {
  const series = unitSeries(selection, part);
  if (series) {
    const held = selection.store.series(part.place.index, selection.flat(series));
    return held && { values: spread(held, series), pool: series.pool_cols, exact: series.pool_cols === 1 };
  }
  const { time } = part.frames;
  const frame = time && selection.store.frame(part.place.index, 'time', selection.flat(time));
  if (!time || !frame) {
    return null;
  }
  const row = Math.floor((shownUnit(selection, part)?.index ?? 0) / time.pool_rows);
  const table = Float32Array.from({ length: CODES }, (_, code) => valueOfCode(code, frame.lo, frame.hi));
  const cells = frame.codes.subarray(row * frame.cols, (row + 1) * frame.cols);
  const values = spread(Float32Array.from(cells, (code) => table[code]), time);
  return { values, pool: time.pool_cols, exact: false, mean: selection.store.trait('pooled_by') === 'mean' };
}

/** Why no values will come: a sentence; '' as long as they may. */
export function valuesRefusal(selection: SelectionModel, part: ShownPart): string {
  if (!unitSeries(selection, part) && !part.frames.time) {
    return part.place.record.message || `${part.place.layer.label} has no picture over time.`;
  }
  return selection.store.refusal(part.place.index, unitSeries(selection, part) ? 'series' : 'time');
}

/**
 * Shades of values: of a cell tanh(c), as Karpathy et al. (2015) drew it; of weights and gates the value in their
 * range; of anything else the share of the largest.
 */
export function shadesOf(values: Float32Array, kind: string, pinned: readonly number[] | null): Shades {
  const weights = kind === 'cell' ? values.map(Math.tanh) : values;
  const { largest, peak, signed } = extremes(weights);
  const empty = new Uint8Array(values.length); // no value here is a masked weight
  const whole = kind === 'cell' ? 1 : pinned ? Math.max(...pinned.map(Math.abs)) : largest;
  const line: WeightLine = { weights, empty, largest: whole, peak, pool: 1 };
  return { line, words: shadeWords(kind, pinned, largest, signed) };
}

/** "0.8123", "≈ 0.81", "c = 1.2, tanh(c) = 0.83", "no data". */
export function valueWords(value: number, kind: string, exact: boolean): string {
  if (Number.isNaN(value)) {
    return 'no data (NaN)';
  }
  const number = exact ? approximately(value, EXACT_DIGITS) : `≈ ${approximately(value)}`;
  return kind === 'cell' ? `c ${exact ? '= ' : ''}${number}, tanh(c) ≈ ${approximately(Math.tanh(value))}` : number;
}

function shadeWords(kind: string, pinned: readonly number[] | null, largest: number, signed: boolean): string {
  if (kind === 'cell') {
    return `background = tanh(c), from −1 to 1; ${SIGNS}`;
  }
  if (pinned) {
    return `background = the value, from ${approximately(pinned[0])} to ${approximately(pinned[pinned.length - 1])}`;
  }
  return `background = value ÷ largest |value|, ≈ ${approximately(largest)}${signed ? `; ${SIGNS}` : ''}`;
}

function extremes(values: Float32Array): { largest: number; peak: number; signed: boolean } {
  let [largest, peak, signed] = [0, -1, false];
  values.forEach((value, step) => {
    const size = Math.abs(value);
    signed ||= value < 0;
    if (size > largest && Number.isFinite(size)) {
      [largest, peak] = [size, step];
    }
  });
  return { largest, peak, signed };
}

/** One value per timestep from one per `pool_cols` of them. */
function spread(cells: Float32Array, { full_cols, pool_cols }: PictureEntry): Float32Array {
  return pool_cols === 1 ? cells : Float32Array.from({ length: full_cols }, (_, t) => cells[Math.floor(t / pool_cols)]);
}
