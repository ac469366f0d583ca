/**
 * AxisRange: makes a slider and its play button follow the selected record, in the browser.
 *
 * In: the extent of one axis. Out: `max` and `disabled` of both controls, and the axis moved by the play button.
 * A model without a view. The slider's value is tied to the selection by a jslink of its own.
 */

import { unpack_models } from '@jupyter-widgets/base';
import type { WidgetModel } from '@jupyter-widgets/base';

import { axisRangeDefaults } from './generated/traits';
import type { AxisRangeState } from './generated/traits';
import type { SelectionModel } from './selection';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

export const STEPS_ARE_TIMES = 'The steps of this loop are the timesteps of the selected memory: move the timestep.';

export class AxisRangeModel extends StateModel<AxisRangeState> {
  private declare ownTooltip: string | undefined; // of the step slider, while it moves something

  static override serializers = {
    ...StateModel.serializers,
    selection: { deserialize: unpack_models },
    slider: { deserialize: unpack_models },
    play: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...axisRangeDefaults() };
  }

  override initialize(attributes: Partial<AxisRangeState>, options: ModelOptions): void {
    super.initialize(attributes, options);
    const selection = this.trait('selection');
    if (selection) {
      this.listenTo(selection, 'place', this.follow);
      this.follow();
      this.tiePlay(selection, this.trait('play'));
    }
  }

  /**
   * Play starts where the selection is, and moves it. No jslink: that would tell the kernel of every step of the
   * slider once more, and its answers come between a key press and the picture.
   */
  private tiePlay(selection: SelectionModel, play: WidgetModel | null): void {
    const axis = this.trait('axis');
    if (play) {
      play.set('value', selection.get(axis));
      this.listenTo(selection, `change:${axis}`, () => play.set('value', selection.get(axis)));
      this.listenTo(play, 'change:value', () => selection.move(axis, play.get('value') as number));
    }
  }

  /** 'place' comes before the 'change:<axis>' of clamped indices, so a value never meets the old, smaller max. */
  private follow(): void {
    const selection = this.trait('selection');
    if (selection.place() === null && selection.extent('layer') === 0) {
      return; // no catalog yet: what Python set is as good
    }
    const extent = this.positions(selection);
    // max = 0 is not possible: the slider would have min == max, which noUiSlider refuses.
    const range = { max: Math.max(1, extent - 1), disabled: extent <= 1 };
    setAndSend(this.trait('slider'), range);
    setAndSend(this.trait('play'), extent <= 1 ? { ...range, playing: false } : range);
    this.nameFreeAxis(selection);
    this.explainSteps(selection);
  }

  /** Positions that make a difference: the steps of a loop make none while a memory over all of them is selected. */
  private positions(selection: SelectionModel): number {
    const axis = this.trait('axis');
    return axis === 'step' && !selection.hasRecordsByStep() ? 1 : selection.extent(axis);
  }

  /** The kernel need not know what its slider says. */
  private explainSteps(selection: SelectionModel): void {
    const slider = this.trait('slider');
    if (this.trait('axis') === 'step' && slider) {
      this.ownTooltip ??= String(slider.get('tooltip') ?? '');
      slider.set('tooltip', selection.hasRecordsByStep() ? this.ownTooltip : STEPS_ARE_TIMES);
    }
  }

  /** "width" in place of "axis": what has no trait of its own is called as in the record. The kernel need not know. */
  private nameFreeAxis(selection: SelectionModel): void {
    const axis = this.trait('axis');
    if (axis === 'axis' || axis === 'axis2') {
      const record = selection.place()?.record;
      const shown = [record?.frame, record?.memory?.time].flatMap((picture) => picture?.axes ?? []);
      const dim = shown.find(({ trait }) => trait === axis)?.dim;
      this.trait('slider')?.set('description', dim ?? axis);
    }
  }
}

/** The kernel must know a new max before a value above the old one reaches it: its slider would clip that value. */
function setAndSend(control: WidgetModel | null, values: Record<string, unknown>): void {
  if (control && Object.entries(values).some(([name, value]) => control.get(name) !== value)) {
    control.set(values);
    control.save_changes();
  }
}
