/**
 * AttentionLayerLink: ties a dropdown of the attention layers to the layer of the cursor. A model without a view.
 *
 * In: the cursor's place, the choice of the dropdown. Out: the dropdown shows the attention that belongs to the
 * selected layer, whatever layer that is; a choice selects the attention layer itself.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { attentionLayer, attentionLayers } from './attention_place';
import { attentionLayerLinkDefaults } from './generated/traits';
import type { AttentionLayerLinkState } from './generated/traits';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

export class AttentionLayerLinkModel extends StateModel<AttentionLayerLinkState> {
  static override serializers = {
    ...StateModel.serializers,
    selection: { deserialize: unpack_models },
    control: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...attentionLayerLinkDefaults() };
  }

  override initialize(attributes: Partial<AttentionLayerLinkState>, options: ModelOptions): void {
    super.initialize(attributes, options);
    if (this.trait('selection') && this.trait('control')) {
      this.listenTo(this.trait('control'), 'change:index', this.takeChoice);
      this.listenTo(this.trait('selection'), 'place', this.showLayer);
      this.showLayer();
    }
  }

  private shown(): number {
    const selection = this.trait('selection');
    const { catalog } = selection.store;
    return attentionLayers(catalog).indexOf(attentionLayer(catalog, selection.layerIndex()));
  }

  private takeChoice(): void {
    const index = this.trait('control').get('index') as number | null;
    const selection = this.trait('selection');
    const layer = index === null ? undefined : attentionLayers(selection.store.catalog)[index];
    if (layer !== undefined && index !== this.shown()) {
      selection.move('layer', layer);
    }
  }

  private showLayer(): void {
    const index = this.shown();
    const control = this.trait('control');
    if (index >= 0 && index !== control.get('index')) {
      control.set('index', index);
      control.save_changes();
    }
  }
}
