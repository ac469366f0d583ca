/**
 * Selection: the cursor that all views of a cache share.
 *
 * In: indices from sliders, views and the kernel. Out: indices that exist in the selected record, and events:
 * 'place' when another record is selected (or the catalog changed), 'change:<axis>' as for every trait. `lit` is no axis:
 * which timesteps wrote what was clicked, in shares.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { nearestCalls, recordAt } from './catalog';
import type { Catalog, LayerEntry, PictureEntry, Place } from './catalog';
import { selectionDefaults } from './generated/traits';
import type { SelectionState } from './generated/traits';
import type { FrameStoreModel } from './frame_store';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

export type Axis = Exclude<keyof SelectionState, 'store' | 'lit'>;
const NO_AXES = ['store', 'lit'];

/** layer, step and call first, in this order: each decides what the ones after it may be. */
export const AXES = Object.keys(selectionDefaults()).filter((name) => !name.startsWith('_') && !NO_AXES.includes(name)) as Axis[];

/** The kernel hears of a move this much later: its answers, two for each message, would come before the picture. */
export const KERNEL_LAG_MS = 40;

export class SelectionModel extends StateModel<SelectionState> {
  static override serializers = { ...StateModel.serializers, store: { deserialize: unpack_models } };

  private declare selected: string; // the record that 'place' was last said for
  private declare followedStore: FrameStoreModel | null;
  private declare lag: number;
  private declare setting: boolean; // undefined until the first set, which comes before initialize
  private declare setInside: boolean;
  private declare fromKernel: boolean;
  private declare unsent: Set<string>; // axes moved here, and lit, that the kernel has not heard of

  override defaults() {
    return { ...super.defaults(), ...selectionDefaults() };
  }

  override initialize(attributes: Partial<SelectionState>, options: ModelOptions): void {
    super.initialize(attributes, options);
    this.lag = 0;
    this.fromKernel = false;
    this.unsent = new Set();
    this.listenTo(this, [...AXES, 'lit'].map((name) => `change:${name}`).join(' '), this.noteUnsent);
    this.selected = this.selectedName();
    this.followedStore = null;
    this.listenTo(this, 'change:layer change:step change:call', this.announcePlace);
    this.listenTo(this, 'change:store', this.followStore);
    this.followStore();
  }

  get store(): FrameStoreModel {
    return this.trait('store');
  }

  /** The selected layer; null when there is no store or nothing was recorded. */
  layer(): LayerEntry | null {
    return catalogOf(this.store)?.layers[this.trait('layer')] ?? null;
  }

  /** The selected record; null when there is none: `absence` says why. */
  place(): Place | null {
    const layer = this.layer();
    const index = layer ? recordAt(layer, this.trait('step'), this.trait('call')) : undefined;
    const record = index === undefined ? undefined : catalogOf(this.store)?.records[index];
    return layer && record && index !== undefined ? { index, record, layer } : null;
  }

  /** Why there is no record: "conv1 did not run in step 3". */
  absence(): string {
    const layer = this.layer();
    return layer ? `${layer.label} did not run in step ${this.trait('step')}` : 'nothing was recorded';
  }

  /**
   * Positions along an axis of the selected record; also 'layer', 'step' and 'call'. 0: the record has no such axis.
   * In a step without a record they are those of the nearest step with one: sliders keep their place on the way past it.
   */
  extent(axis: string): number {
    const catalog = catalogOf(this.store);
    return catalog ? extentIn(catalog, this.attributes as SelectionState, axis) : 0;
  }

  layerIndex(): number {
    return this.trait('layer');
  }

  stepIndex(): number {
    return this.trait('step');
  }

  callIndex(): number {
    return this.trait('call');
  }

  /** Flat frame index in `picture` (row-major over its axes) from the selection's indices, clamped. */
  flat(picture: PictureEntry, replace: Record<string, number> = {}): number {
    let flat = 0;
    for (const { trait, size } of picture.axes) {
      const index = replace[trait] ?? (this.get(trait) as number | undefined) ?? 0;
      flat = flat * size + clamp(index, size);
    }
    return flat;
  }

  /** Moves along one axis, into the record if need be, and tells the kernel when that changed anything. */
  move(axis: string, value: number): void {
    this.set(axis, value); // a change is sent by noteUnsent
  }

  /** As in every model, but after KERNEL_LAG_MS; what changes until then goes along. */
  override save_changes(callbacks?: object): void {
    if (!this.lag) {
      this.lag = window.setTimeout(() => {
        this.lag = 0;
        this.unsent.clear();
        super.save_changes(callbacks);
      }, KERNEL_LAG_MS);
    }
  }

  /** For an axis that was moved here since the kernel last heard of it, an echo of the move before is old news. */
  override set_state(state: Partial<SelectionState>): void {
    const news = Object.fromEntries(Object.entries(state).filter(([axis]) => !this.unsent.has(axis)));
    this.fromKernel = true;
    try {
      super.set_state(news as Parameters<StateModel<SelectionState>['set_state']>[0]);
    } finally {
      this.fromKernel = false;
    }
  }

  override close(comm_closed = false): Promise<void> {
    window.clearTimeout(this.lag);
    return super.close(comm_closed);
  }

  /** As in every model, but indices that the selected record lacks move into it in the same step. */
  override set(key: string | object | null, value?: unknown, options?: unknown): unknown {
    if (key === null || key === undefined) {
      return super.set(key, value, options);
    }
    const given = typeof key === 'object' ? key : { [key]: value };
    const inside = this.insideRecord(given);
    if (!this.setting) {
      return this.setOutermost(inside, typeof key === 'object' ? value : options);
    }
    if (Object.entries(inside).every(([name, wished]) => this.get(name) === wished)) {
      return this; // a link that answers with what was just set
    }
    this.setInside = true;
    return super.set(inside, typeof key === 'object' ? value : options);
  }

  /** ipywidgets loses the event 'change' when a listener of 'change:<axis>' sets again: then it is made up for. */
  private setOutermost(values: object, options: unknown): unknown {
    this.setting = true;
    this.setInside = false;
    try {
      return super.set(values, options);
    } finally {
      this.setting = false;
      if (this.setInside) {
        this.trigger('change', this);
      }
    }
  }

  /** `given` with every index moved into the record that it selects; layer, step and call come first, so do their events. */
  private insideRecord(given: Partial<SelectionState>): Partial<SelectionState> {
    const next = { ...(this.attributes as SelectionState), ...given };
    const catalog = catalogOf(next.store);
    if (!catalog || catalog.layers.length === 0) {
      return given; // the catalog has not arrived: keep the indices for it
    }
    const moved: Partial<SelectionState> = {};
    for (const axis of AXES) {
      const wished = next[axis];
      if (typeof wished === 'number') {
        moved[axis] = clamp(wished, extentIn(catalog, moved, axis));
      }
    }
    return { ...moved, ...withoutAxes(given) };
  }

  private noteUnsent(): void {
    if (!this.fromKernel) {
      Object.keys(this.changedAttributes() || {}).forEach((axis) => this.unsent.add(axis));
      this.save_changes(); // whoever moved it: what is unsent must not stay so
    }
  }

  private followStore(): void {
    if (this.followedStore) {
      this.stopListening(this.followedStore);
    }
    this.followedStore = this.store;
    if (this.followedStore) {
      this.listenTo(this.followedStore, 'change:catalog', this.catalogChanged);
      this.followedStore.watch(this);
      this.catalogChanged();
    }
  }

  private catalogChanged(): void {
    this.selected = 'another catalog'; // even the same index now stands for another record
    this.set({ layer: this.trait('layer') });
    this.announcePlace();
  }

  private announcePlace(): void {
    const name = this.selectedName();
    if (name !== this.selected) {
      this.selected = name;
      this.trigger('place');
    }
  }

  /** Tells one record from another, and one place without a record from another. */
  private selectedName(): string {
    const index = this.place()?.index;
    return index === undefined ? `none in ${this.trait('layer')}, ${this.trait('step')}` : String(index);
  }
}

/** The catalog, null while the store is no model of ours yet (its class may still be loading). */
function catalogOf(store: FrameStoreModel | null | undefined): Catalog | null {
  return store?.catalog ?? null;
}

function extentIn(catalog: Catalog, at: Partial<SelectionState>, axis: string): number {
  const layer = catalog.layers[at.layer ?? 0];
  if (axis === 'layer' || !layer) {
    return catalog.layers.length;
  }
  if (axis === 'step') {
    return layer.records.length;
  }
  const calls = nearestCalls(layer, at.step ?? 0);
  if (axis === 'call') {
    return calls.length;
  }
  const record = catalog.records[calls[Math.min(at.call ?? 0, calls.length - 1)]];
  return record?.extents[axis] ?? 0;
}

/** The nearest index in 0 .. extent - 1; 0 for an axis without positions. */
function clamp(index: number, extent: number): number {
  return Math.max(0, Math.min(index, extent - 1));
}

function withoutAxes(given: Partial<SelectionState>): Partial<SelectionState> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => !(AXES as string[]).includes(name)));
}
