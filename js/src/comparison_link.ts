/**
 * ComparisonLink: keeps the cursors of aligned recordings at the same place. A model without a view.
 *
 * In: moves of any cursor. Out: the same indices in the others; an axis that a recording does not have stays there.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { comparisonLinkDefaults } from './generated/traits';
import type { ComparisonLinkState } from './generated/traits';
import type { SelectionModel } from './selection';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

/** They choose the record, in every recording. */
const RECORD_CHOICE = ['layer', 'step', 'call'];
const AXES = [...RECORD_CHOICE, 'sample', 'channel', 'time', 'head', 'query', 'key', 'slot', 'depth', 'axis', 'axis2'];

export class ComparisonLinkModel extends StateModel<ComparisonLinkState> {
  static override serializers = { ...StateModel.serializers, selections: { deserialize: unpack_models } };

  private declare copying: boolean;

  override defaults() {
    return { ...super.defaults(), ...comparisonLinkDefaults() };
  }

  override initialize(attributes: Partial<ComparisonLinkState>, options: ModelOptions): void {
    super.initialize(attributes, options);
    this.copying = false;
    for (const selection of this.trait('selections')) {
      this.listenTo(selection, AXES.map((axis) => `change:${axis}`).join(' '), () => this.copy(selection));
    }
    const [first] = this.trait('selections');
    if (first) {
      this.copy(first); // a page that is opened again
    }
  }

  private copy(from: SelectionModel): void {
    if (this.copying) {
      return; // the others answer
    }
    this.copying = true;
    try {
      for (const to of this.trait('selections')) {
        if (to !== from) {
          moveTo(to, from);
        }
      }
    } finally {
      this.copying = false;
    }
  }
}

/** The record first: it decides which axes there are. */
function moveTo(to: SelectionModel, from: SelectionModel): void {
  to.set(indices(from, RECORD_CHOICE));
  to.set(indices(from, AXES.filter((axis) => from.extent(axis) > 0 && to.extent(axis) > 0)));
}

function indices(selection: SelectionModel, axes: string[]): Record<string, number> {
  return Object.fromEntries(axes.map((axis) => [axis, selection.get(axis) as number]));
}
