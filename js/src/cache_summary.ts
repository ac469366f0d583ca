/** CacheSummary: one line about the whole recording: its size, and how much of it is held. Text is never HTML. */

import { unpack_models } from '@jupyter-widgets/base';

import { DrawnModel, DrawnView, setText } from './drawn_view';
import { cacheSummaryDefaults } from './generated/traits';
import type { CacheSummaryState } from './generated/traits';
import type { SelectionModel } from './selection';

export class CacheSummaryModel extends DrawnModel<CacheSummaryState> {
  static override serializers = { ...DrawnModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...cacheSummaryDefaults() };
  }
}

export class CacheSummaryView extends DrawnView<CacheSummaryState> {
  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  protected build(): void {
    this.el.classList.add('memviz-summary');
  }

  protected follow(): void {
    this.life.follow(this.selection?.store, 'change:summary', () => this.schedule());
  }

  protected draw(): void {
    setText(this.el, this.selection?.store.trait('summary') ?? '');
  }
}
