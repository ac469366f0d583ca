/**
 * MemoryLink: ties the dropdowns of memories and of the parts of one to the layer of the cursor. A model without a view.
 *
 * In: the cursor's place, the choices of the dropdowns. Out: they show the memory part that belongs to the selected
 * layer, whatever layer that is; a choice selects that part.
 */

import { unpack_models } from '@jupyter-widgets/base';
import type { WidgetModel } from '@jupyter-widgets/base';

import type { Catalog, MemoryEntry } from './catalog';
import { memoryLinkDefaults } from './generated/traits';
import type { MemoryLinkState } from './generated/traits';
import { memoryLayer } from './memory_place';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

export class MemoryLinkModel extends StateModel<MemoryLinkState> {
  static override serializers = {
    ...StateModel.serializers,
    selection: { deserialize: unpack_models },
    memory: { deserialize: unpack_models },
    part: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...memoryLinkDefaults() };
  }

  override initialize(attributes: Partial<MemoryLinkState>, options: ModelOptions): void {
    super.initialize(attributes, options);
    if (this.trait('selection') && this.trait('memory') && this.trait('part')) {
      this.listenTo(this.trait('memory'), 'change:index', this.takeMemory);
      this.listenTo(this.trait('part'), 'change:index', this.takePart);
      this.listenTo(this.trait('selection'), 'place', this.showLayer);
      this.showLayer();
    }
  }

  private get catalog(): Catalog {
    return this.trait('selection').store.catalog;
  }

  /** The memory and the part that are shown: positions; -1: there is none. */
  private shown(): { memory: number; part: number } {
    const { memories } = this.catalog;
    const layer = memoryLayer(this.catalog, this.trait('selection').layerIndex());
    const memory = memories.findIndex(({ layers }) => layers.includes(layer));
    return { memory, part: memory < 0 ? -1 : memories[memory].layers.indexOf(layer) };
  }

  private takeMemory(): void {
    const index = this.trait('memory').get('index') as number | null;
    const entry = index === null ? undefined : this.catalog.memories[index];
    if (entry && index !== this.shown().memory) {
      this.trait('selection').move('layer', this.samePart(entry));
    }
  }

  /** The part of another memory that plays the role of the one on show, else what the memory holds. */
  private samePart(entry: MemoryEntry): number {
    const { layers } = this.catalog;
    const { memory, part } = this.shown();
    const kind = memory < 0 ? '' : layers[this.catalog.memories[memory].layers[part]].kind;
    const same = entry.layers.find((layer) => layers[layer].kind === kind);
    return same ?? (entry.content >= 0 ? entry.content : entry.layers[0]);
  }

  private takePart(): void {
    const index = this.trait('part').get('index') as number | null;
    const { memory, part } = this.shown();
    const layer = index === null || memory < 0 ? undefined : this.catalog.memories[memory].layers[index];
    if (layer !== undefined && index !== part) {
      this.trait('selection').move('layer', layer);
    }
  }

  private showLayer(): void {
    const { memory, part } = this.shown();
    if (memory < 0) {
      return;
    }
    // The labels belong to the memory on show and are not sent: the kernel has as many options as the largest needs.
    this.trait('part').set('_options_labels', partLabels(this.catalog, this.catalog.memories[memory]));
    show(this.trait('memory'), memory);
    show(this.trait('part'), part);
  }
}

/** "cell", "gate.f"; with the item where a memory has several of a kind: "read_weights head1". */
export function partLabels(catalog: Catalog, entry: MemoryEntry): string[] {
  const parts = entry.layers.map((layer) => catalog.layers[layer]);
  return parts.map(({ kind, item }) => {
    const several = parts.filter((part) => part.kind === kind).length > 1;
    return several && item ? `${kind} ${item}` : kind;
  });
}

function show(control: WidgetModel, index: number): void {
  if (index !== control.get('index')) {
    control.set('index', index);
    control.save_changes();
  }
}
