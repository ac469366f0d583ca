/** AttentionExplorer: an explorer whose layer keys go from one attention to the next. */

import { unpack_models } from '@jupyter-widgets/base';

import { attentionLayer, attentionLayers } from './attention_place';
import { ExplorerModel, ExplorerView } from './explorer';
import { attentionExplorerDefaults } from './generated/traits';
import type { PictureChoiceModel } from './picture_choice';
import type { SelectionModel } from './selection';

export class AttentionExplorerModel extends ExplorerModel {
  static override serializers = { ...ExplorerModel.serializers, choice: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...attentionExplorerDefaults() };
  }
}

export class AttentionExplorerView extends ExplorerView {
  protected override readonly label = 'attention explorer';

  private get choice(): PictureChoiceModel | null {
    return this.model.get('choice') as PictureChoiceModel | null;
  }

  protected override follow(): void {
    super.follow();
    this.life.follow(this.choice, 'change:kind', () => this.life.nextFrame(() => this.arrange()));
  }

  /** The head to subtract is asked for only while a difference is shown. */
  protected override arrange(): void {
    const hidden = this.choice?.kind !== 'difference';
    this.el.querySelectorAll('.memviz-other-head').forEach((box) => box.classList.toggle('memviz-hidden', hidden));
    super.arrange();
  }

  protected override nextLayer(selection: SelectionModel, step: number): number {
    const { catalog } = selection.store;
    const layers = attentionLayers(catalog);
    const shown = layers.indexOf(attentionLayer(catalog, selection.layerIndex()));
    return layers[Math.max(0, Math.min(layers.length - 1, shown + step))] ?? selection.layerIndex();
  }
}
