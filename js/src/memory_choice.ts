/**
 * MemoryChoice: which map of a memory the views show. A model without a view.
 *
 * In: the selection, the map, the order of the units. Out: record, geometry and frame of the map, the words for it, and
 * `selection.lit`: which steps wrote what was clicked. It follows the cursor until it is released, another memory is
 * selected, or somebody else sets it. Events: as MapChoice.
 */

import { isProvenance } from './catalog';
import type { Catalog, Frame, MemoryEntry, PageKind, PictureEntry, Place } from './catalog';
import { WEIGHTS, bothSides, layerEnds, upToLargest } from './color_range';
import type { Range } from './color_range';
import { memoryChoiceDefaults } from './generated/traits';
import type { MemoryChoiceState } from './generated/traits';
import { sharesInRow } from './lit_times';
import { MapChoiceModel } from './map_choice';
import { headOf, litRow, memoryMap } from './memory_map';
import type { LitRow, MemoryMap } from './memory_map';
import { memoryAbsence, memoryLayer, memoryPlace, placeOf, shownMemory } from './memory_place';
import { limitWords, memoryMapAbsence, orderWords, partWords } from './memory_words';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';
import { axisWords } from './shown_picture';
import type { FrameKind } from './shown_picture';
import type { ModelOptions } from './state_model';

type MapName = MemoryChoiceState['map'];

const ORDERED = { index: 'time', timescale: 'timescale', similarity: 'similarity' } as const;
/** Line of a "units" page with the unit of each row. */
const ORDER_LINE = { index: -1, timescale: 1, similarity: 2 };

export class MemoryChoiceModel extends MapChoiceModel<MemoryChoiceState> {
  private declare lighting: boolean; // a click lit steps up: they follow the cursor
  private declare writing: boolean; // what sets `lit` now is this choice
  private declare memory: MemoryEntry | null; // that was shown last

  override defaults() {
    return { ...super.defaults(), ...memoryChoiceDefaults() };
  }

  override initialize(attributes: Partial<MemoryChoiceState>, options: ModelOptions): void {
    this.lighting = this.writing = false;
    this.memory = null;
    super.initialize(attributes, options);
  }

  protected get wishes(): (keyof MemoryChoiceState)[] {
    return ['map', 'order', 'whole'];
  }

  get map(): MapName {
    return this.trait('map');
  }

  private get catalog(): Catalog | null {
    return this.selection?.store?.catalog ?? null;
  }

  /** Who wrote what a KV cache holds is who is attended to: the weights of the attention that reads it. */
  private get attended(): boolean {
    return this.map === 'wrote' && this.shownMemory()?.form === 'kv';
  }

  private shownMemory(): MemoryEntry | null {
    return this.catalog && shownMemory(this.catalog, this.selection);
  }

  get pageKind(): FrameKind {
    switch (this.map) {
      case 'time':
        return ORDERED[this.trait('order')];
      case 'cursor':
        return 'frame';
      case 'reads':
        return 'reads';
      case 'wrote':
        return this.attended ? 'frame' : this.trait('whole') ? 'wrote' : 'wrote_unit';
    }
  }

  private found(): MemoryMap | null {
    return this.catalog && memoryMap(this.catalog, this.selection, this.map, this.pageKind);
  }

  /** The part that is shown: the selected one, or of the same memory the one that has such a map; null: no memory. */
  place(): Place | null {
    return this.found()?.place ?? (this.catalog && memoryPlace(this.catalog, this.selection));
  }

  picture(): PictureEntry | null {
    return this.found()?.picture ?? null;
  }

  absence(): string {
    const place = this.place();
    const memory = this.shownMemory();
    if (!place || !memory) {
      return this.catalog ? memoryAbsence(this.catalog, this.selection) : '';
    }
    return this.picture() ? '' : memoryMapAbsence(this.map, place, memory, this.trait('whole'));
  }

  flat(): number {
    const picture = this.picture();
    return picture ? this.selection.flat(picture, headOf(this.selection, this.shownMemory(), picture)) : 0;
  }

  rowOrder(): ArrayLike<number> | null {
    const found = this.found();
    const line = ORDER_LINE[this.trait('order')];
    if (this.map !== 'time' || line < 0 || !found) {
      return found?.times ?? null;
    }
    const samples = found.picture.axes.find((axis) => axis.trait === 'sample')?.size ?? 1;
    const sample = indexAlong(this.selection, 'sample', samples);
    const measure = this.selection.store.memoryMeasure(found.place.index, 'units', sample);
    return measure ? measure.data.subarray(line * measure.cols, (line + 1) * measure.cols) : [];
  }

  orderWords(): string {
    return this.map === 'time' ? orderWords(this.trait('order')) : '';
  }

  /** "cell of enc l0, channel 17, sample 1". With " of " also how many there are, and what the map is. */
  words(of = ''): string[] {
    const place = this.place();
    const picture = this.picture();
    if (!place || !picture || !this.catalog) {
      return [];
    }
    const limits = of && limitWords(this.map, this.trait('order'), picture.row_dim);
    const named = isProvenance(this.pageKind) ? this.content(place) : place;
    return [partWords(named, this.catalog), ...axisWords(picture, this.selection, of), limits].filter(Boolean);
  }

  /** The part that says what the memory holds, of the direction or item that is shown. */
  private content(place: Place): Place {
    const { catalog, selection } = this;
    const memory = this.shownMemory();
    const kind = catalog?.layers[memory?.content ?? -1]?.kind;
    const alike = memory?.layers.find((position) => {
      const layer = catalog?.layers[position];
      return layer?.kind === kind && layer?.item === place.layer.item;
    });
    return (catalog && memory && placeOf(catalog, alike ?? memory.content, selection)) ?? place;
  }

  naturalRange(place: Place, frame: Frame | null): Range {
    if (isProvenance(this.pageKind)) {
      return upToLargest(frame);
    }
    const whole = this.wholeRange(place);
    if (whole) {
      return whole;
    }
    const { store } = this.selection;
    // the same colours at every moment; over time the frame has all of them already
    const known = place.record.stats && layerEnds(store.catalog, place.layer);
    const moments = this.map === 'cursor' && (known ?? store.seenRange(place.index, 'frame'));
    return bothSides(moments || { min: frame?.lo ?? null, max: frame?.hi ?? null });
  }

  wholeRange({ record }: Place): Range | null {
    if (this.attended || isProvenance(this.pageKind)) {
      return WEIGHTS;
    }
    const pinned = record.memory?.pinned;
    return pinned ? [pinned[0], pinned[1]] : null;
  }

  /** Moves the selection to the part that is shown and to these of its indices, and lights up who wrote what is there. */
  select(indices: Record<string, number>): void {
    const layer = this.catalog ? memoryLayer(this.catalog, this.selection.layerIndex()) : -1;
    this.selection.set({ ...(layer < 0 ? {} : { layer }), ...indices }); // sent by the selection itself
    this.lighting = true;
    this.relight();
  }

  release(): void {
    this.lighting = false;
    this.light([]);
  }

  protected override concerns(record: number, kind: PageKind): boolean {
    const lit = this.lighting ? this.litRow() : null;
    const order = kind === 'units' && record === this.place()?.index;
    return super.concerns(record, kind) || order || (lit?.record === record && lit.kind === kind);
  }

  protected override follow(selection: SelectionModel): void {
    super.follow(selection);
    this.listenTo(selection, 'change:lit', () => {
      this.lighting &&= this.writing; // somebody else lit other steps up, or put these out
    });
  }

  protected override chosen(): void {
    super.chosen();
    const memory = this.shownMemory();
    const another = this.memory !== null && memory !== this.memory;
    this.memory = memory;
    if (another) {
      this.release();
    } else if (this.lighting) {
      this.relight();
    }
  }

  /** Lights up who wrote what is at the cursor; when its page is on the way, once that has come. */
  private relight(): void {
    const asked = this.litRow();
    const frame = asked && this.selection.store.frame(asked.record, asked.kind, asked.flat);
    if (asked && frame) {
      this.light(sharesInRow(frame, asked.picture, asked.row));
    } else if (!asked || this.selection.store.refusal(asked.record, asked.kind)) {
      this.light([]);
    }
  }

  private light(lit: number[]): void {
    const before = this.selection?.trait('lit') ?? [];
    if (lit.length === before.length && lit.every((share, time) => share === before[time])) {
      return;
    }
    this.writing = true;
    try {
      this.selection.set({ lit });
    } finally {
      this.writing = false;
    }
  }

  /** The row of a map of who wrote what that belongs to the cursor; null: this memory has none. */
  private litRow(): LitRow | null {
    if (!this.catalog) {
      return null;
    }
    const shown = this.map === 'wrote' || this.map === 'reads';
    const ofUnits: FrameKind[] = this.shownMemory()?.form === 'kv' ? ['frame'] : ['wrote_unit', 'wrote'];
    return litRow(this.catalog, this.selection, shown ? this.map : 'wrote', shown ? [this.pageKind] : ofUnits);
  }
}
