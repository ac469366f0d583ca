/**
 * RetentionLines: feeds bqplot Lines with what is left of a written value after a number of timesteps, in the browser.
 *
 * In: the cursor, the store's "retention" and "units" pages. Out: x and y of `lines` (the mean over all units,
 * the selected unit) and of `horizon`; the lag at which the mean falls below 1/e and the time constant of the unit, as a
 * caption, or in the label of the x axis where there is none.
 */

import { unpack_models } from '@jupyter-widgets/base';
import type { WidgetModel } from '@jupyter-widgets/base';

import { retentionLinesDefaults } from './generated/traits';
import type { RetentionLinesState } from './generated/traits';
import { MarkFeeder, setChanged } from './mark_feeder';
import { memoryAbsence } from './memory_place';
import { approximately, countText } from './number_text';
import { integerTicks } from './paint';
import type { SelectionModel } from './selection';
import { partAt, partWith, shownPart, shownSample, shownUnit } from './shown_unit';
import type { ShownPart, ShownUnit } from './shown_unit';
import { StateModel } from './state_model';

/** Survival by lag: of all units, and of the selected one. */
interface Survival {
  mean: Float32Array;
  unit: Float32Array | null;
}

const HORIZON = 1 / Math.E;
const NOTHING = new Float64Array(0);
const LAG = 'lag (steps)';
const NO_LAW = 'nothing in this memory says what a step keeps';

export class RetentionLinesModel extends MarkFeeder<RetentionLinesState> {
  static override serializers = {
    ...StateModel.serializers,
    selection: { deserialize: unpack_models },
    lines: { deserialize: unpack_models },
    horizon: { deserialize: unpack_models },
    x_axis: { deserialize: unpack_models },
    y_axis: { deserialize: unpack_models },
    caption: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...retentionLinesDefaults() };
  }

  protected get pageKinds() {
    return ['retention', 'units'] as const;
  }

  protected update(): void {
    const selection = this.trait('selection');
    const part = contentOf(selection);
    const survival = part && survivalOf(selection, part);
    drawCurves(this.trait('lines'), survival);
    drawHorizon(this.trait('horizon'), survival?.mean.length ?? 0);
    const words = curveWords(selection, part, survival);
    const caption = this.trait('caption');
    const label = caption ? [LAG] : [...(part ? [LAG] : []), ...words];
    setChanged(caption, { value: words.join('; ') });
    setChanged(this.trait('x_axis'), { label: label.join('; '), ...ticksOf(survival) });
    setChanged(this.trait('y_axis'), { label: 'survival (share kept)' });
  }
}

/** What the shown memory holds, where something says how it fades. */
function contentOf(selection: SelectionModel): ShownPart | null {
  const content = partAt(selection, shownPart(selection)?.entry.content ?? -1);
  return content && content.frames.lags > 0 ? content : partWith(selection, ({ lags }) => lags > 0);
}

/** null: the page is not here. */
function survivalOf(selection: SelectionModel, part: ShownPart): Survival | null {
  const page = selection.store.memoryMeasure(part.place.index, 'retention', shownSample(selection, part));
  if (!page) {
    return null;
  }
  const { data, cols: lags } = page;
  const row = (number: number) => data.subarray(number * lags, (number + 1) * lags);
  const unit = shownUnit(selection, part);
  const units = data.length / lags - 1; // the first row is the mean
  return { mean: row(0), unit: unit?.trait && unit.index < units ? row(unit.index + 1) : null };
}

/** "grey: mean of 64, below 1/e from lag 9", "blue: channel 17, time constant 9.49 steps"; or why nothing is. */
function curveWords(selection: SelectionModel, part: ShownPart | null, survival: Survival | null): string[] {
  if (!part) {
    return [shownPart(selection) ? NO_LAW : memoryAbsence(selection.store.catalog, selection)];
  }
  if (!survival) {
    return [selection.store.refusal(part.place.index, 'retention')].filter(Boolean);
  }
  const unit = shownUnit(selection, part);
  const mean = `grey: mean${unit ? ` of ${countText(unit.count)}` : ''}, ${horizonWords(survival.mean)}`;
  return [mean, ...(unit && survival.unit ? [unitWords(selection, part, unit)] : [])];
}

function horizonWords(mean: Float32Array): string {
  const fallen = mean.findIndex((share) => share < HORIZON);
  return fallen < 0 ? `above 1/e up to lag ${mean.length - 1}` : `below 1/e from lag ${fallen}`;
}

function unitWords(selection: SelectionModel, part: ShownPart, { dim, index }: ShownUnit): string {
  const units = selection.store.memoryMeasure(part.place.index, 'units', shownSample(selection, part));
  const constant = units?.data[index] ?? NaN; // the first of three rows
  const steps = Number.isNaN(constant) ? '' : `, time constant ${approximately(constant, 3)} steps`;
  return `blue: ${dim} ${index}${steps}`;
}

function ticksOf(survival: Survival | null): Record<string, unknown> {
  const last = (survival?.mean.length ?? 1) - 1;
  return { tick_values: Float64Array.from(integerTicks(0, last)), tick_format: 'd' };
}

function drawCurves(mark: WidgetModel, survival: Survival | null): void {
  const curves = survival ? [survival.mean, ...(survival.unit ? [survival.unit] : [])] : [];
  const y = curves.map((shares) => Float64Array.from(shares, (share) => (Number.isFinite(share) ? share : NaN)));
  setChanged(mark, { x: y.length ? Float64Array.from(y[0], (_, lag) => lag) : NOTHING, y: y.length ? y : NOTHING });
}

function drawHorizon(mark: WidgetModel, lags: number): void {
  const shown = lags > 0;
  setChanged(mark, {
    x: shown ? Float64Array.of(0, Math.max(lags - 1, 1)) : NOTHING,
    y: shown ? Float64Array.of(HORIZON, HORIZON) : NOTHING,
  });
}
