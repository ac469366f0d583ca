/**
 * GateSaturation: feeds a bqplot Scatter with how often the gate of each unit is shut and open, in the browser.
 *
 * In: the cursor and the store's "saturation" pages. Out: x and y of `dots` (share of timesteps below 0.1 and above
 * 0.9), the dot of the selected unit as its selected one, labels of the axes. A click on a dot, which bqplot says by
 * the mark's `selected`, selects the unit.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { gateSaturationDefaults } from './generated/traits';
import type { GateSaturationState } from './generated/traits';
import { MarkFeeder, setChanged } from './mark_feeder';
import { memoryAbsence } from './memory_place';
import type { SelectionModel } from './selection';
import { partWith, partWords, selectIn, shownSample, shownUnit } from './shown_unit';
import type { ShownPart } from './shown_unit';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

/** One dot per unit whose shares are numbers; `units`: which unit each dot is. */
interface Dots {
  units: number[];
  x: Float64Array;
  y: Float64Array;
}

const NO_DOTS: Dots = { units: [], x: new Float64Array(0), y: new Float64Array(0) };
const SHUT = 'share of steps < 0.1';
const OPEN = 'share of steps > 0.9';
const NO_GATE = 'this memory has no gate between 0 and 1';

export class GateSaturationModel extends MarkFeeder<GateSaturationState> {
  static override serializers = {
    ...StateModel.serializers,
    selection: { deserialize: unpack_models },
    dots: { deserialize: unpack_models },
    x_axis: { deserialize: unpack_models },
    y_axis: { deserialize: unpack_models },
  };

  private declare shares: Float32Array | null | undefined; // what the dots were made of; undefined: they were not yet
  private declare shown: Dots;

  override defaults() {
    return { ...super.defaults(), ...gateSaturationDefaults() };
  }

  override initialize(attributes: Partial<GateSaturationState>, options: ModelOptions): void {
    this.shares = undefined;
    this.shown = NO_DOTS;
    super.initialize(attributes, options);
    if (this.trait('dots')) {
      this.listenTo(this.trait('dots'), 'change:selected', this.clicked);
    }
  }

  protected get pageKinds() {
    return ['saturation'] as const;
  }

  protected update(): void {
    const selection = this.trait('selection');
    const gate = gateOf(selection);
    const sample = gate ? shownSample(selection, gate) : 0;
    const shares = gate ? (selection.store.memoryMeasure(gate.place.index, 'saturation', sample)?.data ?? null) : null;
    if (shares !== this.shares) {
      this.shares = shares;
      this.shown = shares ? dotsOf(shares) : NO_DOTS;
      const { x, y, units } = this.shown;
      const names = units.map((unit) => `${gate?.frames.units} ${unit}`);
      setChanged(this.trait('dots'), { selected: null, x, y, names });
    }
    setChanged(this.trait('x_axis'), { label: this.acrossLabel(selection, gate) });
    setChanged(this.trait('y_axis'), { label: OPEN });
    this.markSelected(selection, gate);
  }

  /** "gate.f of enc l0, sample 1: share of steps < 0.1", or why there are no dots. */
  private acrossLabel(selection: SelectionModel, gate: ShownPart | null): string {
    if (!gate) {
      const { catalog } = selection.store;
      return partWith(selection, () => true) ? NO_GATE : memoryAbsence(catalog, selection);
    }
    const refusal = this.shares ? '' : selection.store.refusal(gate.place.index, 'saturation');
    return `${partWords(selection, gate)}: ${refusal || SHUT}`;
  }

  private markSelected(selection: SelectionModel, gate: ShownPart | null): void {
    const unit = gate && shownUnit(selection, gate);
    const dot = unit?.trait ? this.shown.units.indexOf(unit.index) : -1;
    setChanged(this.trait('dots'), { selected: dot < 0 ? null : Uint32Array.of(dot) });
  }

  /** bqplot deselects on a click beside the dots: then the unit stays selected, and so does its dot. */
  private clicked(): void {
    const selection = this.trait('selection');
    const selected = this.trait('dots').get('selected') as ArrayLike<number> | null;
    const unit = this.shown.units[selected?.[selected.length - 1] ?? -1];
    const gate = gateOf(selection);
    const shown = gate && shownUnit(selection, gate);
    if (gate && shown?.trait && unit !== undefined && unit !== shown.index) {
      selectIn(selection, gate, { [shown.trait]: unit });
    }
    this.schedule();
  }
}

/** The selected layer where it is a gate between 0 and 1, else the first one of its memory. */
function gateOf(selection: SelectionModel): ShownPart | null {
  return partWith(selection, (frames) => frames.saturation);
}

/** `shares`: those below 0.1 of every unit, then those above 0.9. */
function dotsOf(shares: Float32Array): Dots {
  const count = shares.length / 2;
  const units = Array.from({ length: count }, (_, unit) => unit);
  const finite = units.filter((unit) => Number.isFinite(shares[unit]) && Number.isFinite(shares[count + unit]));
  const along = (offset: number) => Float64Array.from(finite, (unit) => shares[offset + unit]);
  return { units: finite, x: along(0), y: along(count) };
}
