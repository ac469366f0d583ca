/**
 * PictureChoice: which map of an attention the views show. A model without a view.
 *
 * In: the selection, the kind of map and the other head of a difference. Out: record, geometry and frame of the map,
 * and the words for it. Events: 'chosen' when any of these may have changed, also because a page has come; 'place' when
 * it is another record or another kind of map.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { attentionAbsence, attentionLayer, attentionPlace } from './attention_place';
import type { Catalog, CellValue, Frame, PageKind, PictureEntry, Place } from './catalog';
import { pictureChoiceDefaults } from './generated/traits';
import type { PictureChoiceState } from './generated/traits';
import { mapAbsence, mapWords } from './map_words';
import { indexAlong } from './picture_axes';
import { pictureOf } from './prefetch';
import type { SelectionModel } from './selection';
import { axisWords, textsAlong } from './shown_picture';
import type { FrameKind, ShownPicture } from './shown_picture';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';
import { positionWords } from './token_texts';

export type MapKind = PictureChoiceState['kind'];

export class PictureChoiceModel extends StateModel<PictureChoiceState> implements ShownPicture {
  static override serializers = { ...StateModel.serializers, selection: { deserialize: unpack_models } };

  // declared, not initialised: the constructor of the base class calls initialize() before fields are set
  private declare followed: SelectionModel | null;
  private declare shown: string; // the record and kind that 'place' was last said for
  private declare shownIn: Catalog | null; // and the catalog that they were in

  override defaults() {
    return { ...super.defaults(), ...pictureChoiceDefaults() };
  }

  override initialize(attributes: Partial<PictureChoiceState>, options: ModelOptions): void {
    super.initialize(attributes, options);
    this.followed = null;
    this.shown = '';
    this.shownIn = null;
    this.listenTo(this, 'change:selection', this.followSelection);
    this.listenTo(this, 'change:kind change:other_head', this.chosen);
    this.followSelection();
  }

  get subject(): this {
    return this;
  }

  get events(): string {
    return 'chosen';
  }

  get selection(): SelectionModel {
    return this.trait('selection');
  }

  get kind(): MapKind {
    return this.trait('kind');
  }

  get pageKind(): FrameKind {
    return this.kind === 'weights' ? 'frame' : this.kind;
  }

  /** The attention that is shown; null: there is none in this step, or none in the model. */
  place(): Place | null {
    const { store } = this.selection ?? {};
    return store ? attentionPlace(store.catalog, this.selection) : null;
  }

  /** Geometry of the map; null: the record has no such map, `absence` says why. */
  picture(): PictureEntry | null {
    const place = this.place();
    return place && pictureOf(place.record, this.pageKind);
  }

  /** Why there is no map to show, a sentence; '' where there is one. */
  absence(): string {
    const place = this.place();
    if (!place) {
      return attentionAbsence(this.selection.store.catalog, this.selection);
    }
    return this.picture() ? '' : mapAbsence(place, this.kind);
  }

  /** Flat index of the frame in the map's pages. */
  flat(): number {
    const picture = this.picture();
    return picture ? this.selection.flat(picture, { other: this.trait('other_head') }) : 0;
  }

  /** The codes of the map; null: there is none, or its page is not here (then it is asked for). */
  frame(): Frame | null {
    const place = this.place();
    return place && this.picture() && this.selection.store.frame(place.index, this.pageKind, this.flat());
  }

  /** Why the map will not come, a sentence; '' as long as it may. */
  refusal(): string {
    const place = this.place();
    const absent = this.absence();
    return absent || !place ? absent : this.selection.store.refusal(place.index, this.pageKind);
  }

  /** "head 3 minus head 5"; with the sample where there are several. With " of " also how many there are. */
  words(of = ''): string[] {
    const place = this.place();
    const picture = this.picture();
    if (!place || !picture) {
      return [];
    }
    const samples = { ...picture, axes: picture.axes.filter((axis) => axis.trait === 'sample') };
    const heads = place.record.attention?.heads ?? 1;
    const head = indexAlong(this.selection, 'head', heads);
    const other = Math.min(this.trait('other_head'), heads - 1);
    const [label, query] = [place.layer.label, this.queryWords(place)];
    const map = mapWords(this.kind, { head, other, heads, of, label, query });
    return [...axisWords(samples, this.selection, of), map];
  }

  private queryWords({ record }: Place): string {
    const query = indexAlong(this.selection, 'query', record.attention?.queries ?? 1);
    return positionWords('query', query, textsAlong(this, 'query')?.(query) ?? null);
  }

  ask(row: number, col: number): Promise<CellValue | null> {
    const place = this.place();
    const { store } = this.selection;
    return place ? store.askValue(place.index, this.flat(), row, col, this.pageKind) : Promise.resolve(null);
  }

  /** Moves the selection to the attention that is shown and to these of its indices, as in select({ query: 5 }). */
  select(indices: Record<string, number>): void {
    const layer = attentionLayer(this.selection.store.catalog, this.selection.layerIndex());
    const time = indices.query === undefined ? {} : { time: indices.query }; // a query is a timestep elsewhere
    const place = layer < 0 ? {} : { layer };
    this.selection.set({ ...place, ...indices, ...time }); // sent by the selection itself
  }

  private followSelection(): void {
    if (this.followed) {
      this.stopListening(this.followed);
      this.stopListening(this.followed.store);
      this.followed.store.unwatchMap(this);
    }
    this.followed = this.selection ?? null;
    if (this.followed) {
      this.listenTo(this.followed, 'change place', this.chosen);
      this.listenTo(this.followed.store, 'pages', this.pagesCame);
      this.followed.store.watchMap(this);
    }
    this.chosen();
  }

  private pagesCame(record: number, kind: PageKind): void {
    if (kind === this.pageKind && record === this.place()?.index) {
      this.trigger('chosen');
    }
  }

  private chosen(): void {
    const name = this.shownName();
    const catalog = this.selection?.store.catalog ?? null;
    if (name !== this.shown || catalog !== this.shownIn) {
      this.shown = name;
      this.shownIn = catalog;
      this.trigger('place');
    }
    this.trigger('chosen');
  }

  /** Tells one map of one record from another, and one absence from another. */
  private shownName(): string {
    return `${this.place()?.index ?? this.selection?.stepIndex()} ${this.pageKind} ${this.selection?.layerIndex() ?? ''}`;
  }
}
