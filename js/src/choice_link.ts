/**
 * ChoiceLink: ties a dropdown to a trait that takes one of several values, in the browser.
 *
 * In: `index` of the dropdown, `trait` of the target. Out: each follows the other. A dropdown syncs only its index,
 * so a jslink cannot tie it to a trait that holds the value itself. A model without a view.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { choiceLinkDefaults } from './generated/traits';
import type { ChoiceLinkState } from './generated/traits';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

export class ChoiceLinkModel extends StateModel<ChoiceLinkState> {
  static override serializers = {
    ...StateModel.serializers,
    control: { deserialize: unpack_models },
    target: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...choiceLinkDefaults() };
  }

  override initialize(attributes: Partial<ChoiceLinkState>, options: ModelOptions): void {
    super.initialize(attributes, options);
    if (this.trait('control') && this.trait('target')) {
      this.listenTo(this.trait('control'), 'change:index', this.takeChoice);
      this.listenTo(this.trait('target'), `change:${this.trait('trait')}`, this.showChoice);
      this.showChoice();
    }
  }

  private takeChoice(): void {
    const value = this.trait('values')[this.trait('control').get('index') as number];
    const target = this.trait('target');
    if (value !== undefined && value !== target.get(this.trait('trait'))) {
      target.set(this.trait('trait'), value);
      target.save_changes();
    }
  }

  private showChoice(): void {
    const index = this.trait('values').indexOf(this.trait('target').get(this.trait('trait')));
    const control = this.trait('control');
    if (index >= 0 && index !== control.get('index')) {
      control.set('index', index);
      control.save_changes();
    }
  }
}
