/**
 * ChannelSeries: feeds a bqplot Lines with the selected channel over time, in the browser.
 *
 * In: the cursor and the store's series pages. Out: x and y of `lines` (timestep, exact float32 value) and of
 * `cursor` (a vertical line at the selected timestep), labels and ticks of the axes. Nothing is sent to the kernel.
 */

import { unpack_models } from '@jupyter-widgets/base';
import type { WidgetModel } from '@jupyter-widgets/base';

import type { PageKind } from './catalog';
import { channelSeriesDefaults } from './generated/traits';
import type { ChannelSeriesState } from './generated/traits';
import { MarkFeeder } from './mark_feeder';
import { roundTicks } from './paint';
import { labelAxis } from './picture_axes';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

/** A line to draw: timesteps, values (NaN where it breaks), and the lowest and highest finite value. */
export interface Curve {
  x: Float64Array;
  y: Float64Array;
  low: number;
  high: number;
}

/** At most four digits, without zeros at the end (d3-format). */
const TICK_FORMAT = '.4~g';
const NOTHING = new Float64Array(0);
/** Half the height of the cursor where all values are the same. */
const FLAT_REACH = 0.5;

export class ChannelSeriesModel extends MarkFeeder<ChannelSeriesState> {
  static override serializers = {
    ...StateModel.serializers,
    selection: { deserialize: unpack_models },
    lines: { deserialize: unpack_models },
    cursor: { deserialize: unpack_models },
    x_axis: { deserialize: unpack_models },
    y_axis: { deserialize: unpack_models },
  };

  private declare shown: Float32Array | null;
  private declare curve: Curve | null;

  override defaults() {
    return { ...super.defaults(), ...channelSeriesDefaults() };
  }

  override initialize(attributes: Partial<ChannelSeriesState>, options: ModelOptions): void {
    super.initialize(attributes, options);
    this.shown = null;
    this.curve = null;
    if (this.trait('selection')) {
      this.update();
    }
  }

  protected get pageKinds() {
    return ['series'] as const;
  }

  protected override concerns(record: number, kind: PageKind): boolean {
    return super.concerns(record, kind) && record === this.trait('selection').place()?.index;
  }

  protected update(): void {
    const selection = this.trait('selection');
    const place = selection.place();
    const picture = place?.record.series ?? null;
    const values = place && picture && selection.store.series(place.index, selection.flat(picture));
    if (!place || !picture || !values) {
      this.show(null, 0);
      return;
    }
    if (values.buffer !== this.shown?.buffer || values.byteOffset !== this.shown.byteOffset || this.curve === null) {
      this.curve = curveOf(values, picture.pool_cols);
      this.markAxes(this.curve, picture.full_cols);
    }
    this.shown = values;
    const unit = picture.axes.find(({ trait }) => trait === 'channel') ? 'channel' : 'slot';
    this.trait('y_axis')?.set('label', `${unit} ${selection.trait(unit)}`);
    this.show(this.curve, selection.trait('time'));
  }

  private markAxes({ low, high }: Curve, timesteps: number): void {
    labelAxis(this.trait('x_axis'), 'time', [0, timesteps - 1], timesteps);
    this.trait('y_axis')?.set({ tick_values: Float64Array.from(roundTicks(low, high)), tick_format: TICK_FORMAT });
  }

  private show(curve: Curve | null, time: number): void {
    if (curve === null) {
      this.shown = null;
      this.curve = null;
    }
    const { x, y, low, high } = curve ?? { x: NOTHING, y: NOTHING, low: 0, high: 0 };
    const reach = low === high ? FLAT_REACH : 0;
    setPoints(this.trait('lines'), x, y);
    setPoints(
      this.trait('cursor'),
      curve ? Float64Array.of(time, time) : NOTHING,
      curve ? Float64Array.of(low - reach, high + reach) : NOTHING,
    );
  }
}

/** The curve of a series whose point i stands for timesteps i * step .. (i + 1) * step - 1. */
export function curveOf(values: Float32Array, step: number): Curve {
  const x = Float64Array.from(values, (_, index) => index * step);
  // An infinite value would stretch the axis to nothing; like NaN it is a gap here, and loud in the picture.
  const y = Float64Array.from(values, (value) => (Number.isFinite(value) ? value : NaN));
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of y) {
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  // Where nothing is finite there is no line: bqplot would make an axis from NaN to NaN of it.
  return low <= high ? { x, y, low, high } : { x: NOTHING, y: NOTHING, low: 0, high: 0 };
}

/** Sets both at once (bqplot zips them), and nothing when they are there already. */
function setPoints(mark: WidgetModel, x: Float64Array, y: Float64Array): void {
  const now = mark.get('y') as ArrayLike<number> | undefined;
  if (mark.get('x') !== x || now !== y) {
    mark.set({ x, y });
  }
}
