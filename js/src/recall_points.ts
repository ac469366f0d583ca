/** Points of recall curves: which there are, what is said of them, and what bqplot marks get. Data in, data out. */

import type { RecallCurve, RecallDot, RecallRow } from './generated/catalog';
import { approximately, byteText, countText, shareText } from './number_text';

/** Model and place among the values of the setting. */
export interface Place {
  model: number;
  place: number;
}

type Numbers = Float64Array<ArrayBuffer>;
/** x and y of a bqplot Lines or Scatter. */
export interface Points {
  x: Numbers | Numbers[];
  y: Numbers | Numbers[];
}
/** Of several curves, with their colours. */
export interface Curves extends Points {
  colors?: string[];
}

const NOTHING: Points = { x: new Float64Array(0), y: new Float64Array(0) };
const ROOM = 0.04; // beside the first and the last value, as a part of the span
const LEAST_GAP = 0.045; // between two ticks, likewise

export function dotAt(curve: RecallCurve, { model, place }: Place): RecallDot | undefined {
  return curve.dots.find((dot) => dot.model === model && dot.value === curve.values[place]);
}

/** The points of a model that are drawn: those that were measured. */
export function drawnDots(curve: RecallCurve, model: number): RecallDot[] {
  const own = curve.dots.filter((dot) => dot.model === model && dot.error === '');
  return own.sort((one, other) => one.value - other.value);
}

export function canOpen(dot: RecallDot | undefined): dot is RecallDot {
  return dot !== undefined && dot.error === '' && dot.wrong > 0;
}

// -------------------------------------------------------------------------------------------------------------- words

/** "98.4 %"; "failed", "–" where it was not measured. */
export function cellText(dot: RecallDot | undefined): string {
  return dot === undefined ? '–' : dot.error ? 'failed' : shareText(dot.accuracy);
}

/** "attention at pairs 8: 98.4 % (95 %: 97.9 % to 98.8 %), 16 of 1,024 answers wrong in 256 sequences; chance 12.5 % ...". */
export function dotText(curve: RecallCurve, names: readonly string[], at: Place): string {
  const dot = dotAt(curve, at);
  const name = `${names[at.model] ?? ''} at ${curve.over} ${approximately(curve.values[at.place] ?? NaN)}`;
  if (dot === undefined || dot.error) {
    return dot?.error || `${name}: not measured yet`;
  }
  const { accuracy, low, high, wrong, n, sequences, chance, context_chance, bits_kept, most_bits } = dot;
  const any = context_chance > chance ? `, any answer of the sequence ${shareText(context_chance)}` : '';
  return [
    `${name}: ${shareText(accuracy)} (95 %: ${shareText(low)} to ${shareText(high)})`,
    `${countText(wrong)} of ${countText(n)} answers wrong in ${countText(sequences)} sequences`,
    `chance ${shareText(chance)}${any}`,
    `${approximately(bits_kept, 3)} of ${approximately(most_bits, 3)} bits kept`,
  ].join('; ');
}

/** What a row of the table says, column by column. */
export function rowTexts(row: RecallRow, over: string): string[] {
  if (row.value === null) {
    return ['not measured', '', '', ''];
  }
  const bits = `${approximately(row.bits_kept ?? NaN, 3)} of ${approximately(row.most_bits ?? NaN, 3)} at ${over} ${approximately(row.value)}`;
  const { elements, held_bytes, state_note } = row;
  const size = elements === null ? '' : `${countText(elements)} numbers, ${byteText(held_bytes ?? 0)}`;
  const state = [size, size && state_note ? `(${state_note})` : state_note].filter(Boolean).join(' ');
  return [`${over} ${row.d50.replace(/-/g, '−')}`, bits, state, `${countText(row.n)} answers of ${countText(row.sequences)} sequences`];
}

// -------------------------------------------------------------------------------------------------------------- marks

/** A curve per model that has a point. */
export function linePoints(curve: RecallCurve, colors: readonly string[]): Curves {
  return curvesOf(
    colors.map((color, model) => {
      const dots = drawnDots(curve, model);
      return { color, x: dots.map(({ value }) => value), y: dots.map(({ accuracy }) => accuracy) };
    }),
  );
}

/** The interval of each point: a curve of two. */
export function barPoints(curve: RecallCurve, colors: readonly string[]): Curves {
  return curvesOf(
    colors.flatMap((color, model) =>
      drawnDots(curve, model).map(({ value, low, high }) => ({ color, x: [value, value], y: [low, high] })),
    ),
  );
}

export function chancePoints(curve: RecallCurve): Points {
  const first = curve.dots.find(({ error }) => error === '');
  if (!first) {
    return NOTHING;
  }
  return { x: Float64Array.from(domainOf(curve.values)), y: Float64Array.of(first.chance, first.chance) };
}

/** From the curve down to the axis, where accuracy is half-way to chance. */
export function halfPoints(curve: RecallCurve, colors: readonly string[]): Curves {
  const chance = curve.dots.find(({ error }) => error === '')?.chance ?? 0;
  return curvesOf(
    colors.map((color, model) => {
      const at = curve.rows[model]?.d50_value ?? null;
      return at === null ? { color, x: [], y: [] } : { color, x: [at, at], y: [0, (1 + chance) / 2] };
    }),
  );
}

export function dotPoints(dots: readonly RecallDot[]): Points {
  return { x: Float64Array.from(dots, ({ value }) => value), y: Float64Array.from(dots, ({ accuracy }) => accuracy) };
}

/** Ends of the axis: the values with some room. */
export function domainOf(values: readonly number[]): [number, number] {
  const [first, last] = [values[0] ?? 0, values[values.length - 1] ?? 1];
  const room = ROOM * (last - first) || 1;
  return [first - room, last + room];
}

/** The values, but for those that stand too close to the one before. */
export function ticksOf(values: readonly number[]): Numbers {
  const gap = LEAST_GAP * ((values[values.length - 1] ?? 0) - (values[0] ?? 0));
  const kept: number[] = [];
  for (const value of values) {
    if (kept.length === 0 || value - kept[kept.length - 1] >= gap) {
      kept.push(value);
    }
  }
  return Float64Array.from(kept);
}

/** Without those that have no point: bqplot would write "undefined" into their paths. */
function curvesOf(curves: readonly { color: string; x: number[]; y: number[] }[]): Curves {
  const drawn = curves.filter(({ x }) => x.length > 0);
  if (drawn.length === 0) {
    return NOTHING;
  }
  const [x, y] = (['x', 'y'] as const).map((axis) => drawn.map((each) => Float64Array.from(each[axis])));
  return { x, y, colors: drawn.map(({ color }) => color) };
}
