/** MemoryExplorer: an explorer whose layer keys go from one part of a memory to the next. */

import { unpack_models } from '@jupyter-widgets/base';

import { ExplorerModel, ExplorerView } from './explorer';
import { memoryExplorerDefaults } from './generated/traits';
import type { MemoryChoiceModel } from './memory_choice';
import { memoryLayer, memoryLayers } from './memory_place';
import type { SelectionModel } from './selection';

export class MemoryExplorerModel extends ExplorerModel {
  static override serializers = { ...ExplorerModel.serializers, choice: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...memoryExplorerDefaults() };
  }
}

export class MemoryExplorerView extends ExplorerView {
  protected override readonly label = 'memory explorer';

  private get choice(): MemoryChoiceModel | null {
    return this.model.get('choice') as MemoryChoiceModel | null;
  }

  protected override follow(): void {
    super.follow();
    this.life.follow(this.choice, 'change:map', () => this.life.nextFrame(() => this.arrange()));
  }

  /** A control that says nothing about the picture that is shown is not there. */
  protected override arrange(): void {
    const map = this.choice?.trait('map');
    const page = this.choice?.pageKind ?? '';
    this.hide('.memviz-unit-order', map !== 'time');
    this.hide('.memviz-whole-memory', !['wrote', 'wrote_unit'].includes(page)); // a KV cache has no units of its own
    this.hide('.memviz-unit-series', !this.selection?.place()?.record.series);
    super.arrange();
  }

  protected override nextLayer(selection: SelectionModel, step: number): number {
    const { catalog } = selection.store;
    const layers = memoryLayers(catalog);
    const shown = layers.indexOf(memoryLayer(catalog, selection.layerIndex()));
    return layers[Math.max(0, Math.min(layers.length - 1, shown + step))] ?? selection.layerIndex();
  }

  private hide(boxes: string, hidden: boolean): void {
    this.el.querySelectorAll(boxes).forEach((box) => box.classList.toggle('memviz-hidden', hidden));
  }
}
