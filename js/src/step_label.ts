/** StepLabel: what the selected step is called, beside its slider. Text is never HTML. */

import { unpack_models } from '@jupyter-widgets/base';

import { stepCount } from './catalog';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { stepLabelDefaults } from './generated/traits';
import type { StepLabelState } from './generated/traits';
import type { SelectionModel } from './selection';

/** Characters beyond which a label is cut; its title has all of it. */
const MOST_CHARACTERS = 16;

export class StepLabelModel extends DrawnModel<StepLabelState> {
  static override serializers = { ...DrawnModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...stepLabelDefaults() };
  }
}

export class StepLabelView extends DrawnView<StepLabelState> {
  private text!: HTMLSpanElement;

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  protected build(): void {
    this.el.classList.add('memviz-step-label');
    this.text = element('span', 'memviz-step-label-text');
    this.el.append(this.text);
  }

  protected follow(): void {
    this.life.follow(this.selection, 'change:step place', () => this.schedule());
    this.life.follow(this.selection?.store, 'change:catalog', () => this.schedule());
  }

  /** As wide as the longest label needs, so that the slider keeps its length while it moves. */
  protected draw(): void {
    const catalog = this.selection?.store.catalog;
    const labels = catalog?.step_labels ?? [];
    const step = this.selection?.stepIndex() ?? 0;
    setText(this.text, labels[step] ?? '');
    this.el.title = catalog ? stepCount(catalog, step) : '';
    const longest = labels.reduce((most, label) => Math.max(most, label.length), 1);
    this.el.style.width = `${Math.min(MOST_CHARACTERS, longest)}ch`;
  }
}
