/**
 * MapChoice: what the choices of a map have in common. A model without a view.
 *
 * In: the selection. Events: 'chosen' when any of what is shown may have changed, also because a page has come; 'place'
 * when it is another record or another kind of map.
 */

import { unpack_models } from '@jupyter-widgets/base';

import type { Catalog, CellValue, Frame, PageKind, PictureEntry, Place } from './catalog';
import type { Range } from './color_range';
import type { SelectionModel } from './selection';
import type { FrameKind, ShownPicture } from './shown_picture';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

export abstract class MapChoiceModel<S extends object = object> extends StateModel<S> implements ShownPicture {
  static override serializers = { ...StateModel.serializers, selection: { deserialize: unpack_models } };

  // declared, not initialised: the constructor of the base class calls initialize() before fields are set
  private declare followed: SelectionModel | null;
  private declare shown: string; // the record and kind that 'place' was last said for
  private declare shownIn: Catalog | null; // and the catalog that they were in

  /** The traits that say which map it is. */
  protected abstract get wishes(): (keyof S & string)[];
  abstract get pageKind(): FrameKind;
  /** What is shown; null: there is none in this step, or none in the model. */
  abstract place(): Place | null;
  /** Geometry of the map; null: the record has no such map, `absence` says why. */
  abstract picture(): PictureEntry | null;
  /** Why there is no map to show, a sentence; '' where there is one. */
  abstract absence(): string;
  abstract flat(): number;
  abstract words(of?: string): string[];
  abstract select(indices: Record<string, number>): void;
  /** The range of the colours without being asked; of a logarithmic map in powers of ten. */
  abstract naturalRange(place: Place, frame: Frame | null): Range;
  /** What every map of this kind has in common, whatever the layer; null: nothing. */
  abstract wholeRange(place: Place): Range | null;

  override initialize(attributes: Partial<S>, options: ModelOptions): void {
    super.initialize(attributes, options);
    this.followed = null;
    this.shown = '';
    this.shownIn = null;
    this.listenTo(this, 'change:selection', this.followSelection);
    this.listenTo(this, this.wishes.map((name) => `change:${name}`).join(' '), this.chosen);
    this.followSelection();
  }

  get subject(): this {
    return this;
  }

  get events(): string {
    return 'chosen';
  }

  get selection(): SelectionModel {
    return this.get('selection') as SelectionModel;
  }

  /** Whether the values are logarithms: then a range is in powers of ten. */
  get logarithmic(): boolean {
    return false;
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

  ask(row: number, col: number): Promise<CellValue | null> {
    const place = this.place();
    const { store } = this.selection;
    return place ? store.askValue(place.index, this.flat(), row, col, this.pageKind) : Promise.resolve(null);
  }

  /** Whether pages of this kind and record have to do with what is shown. */
  protected concerns(record: number, kind: PageKind): boolean {
    return kind === this.pageKind && record === this.place()?.index;
  }

  protected chosen(): void {
    const name = this.shownName();
    const catalog = this.selection?.store.catalog ?? null;
    if (name !== this.shown || catalog !== this.shownIn) {
      this.shown = name;
      this.shownIn = catalog;
      this.trigger('place');
    }
    this.trigger('chosen');
  }

  /** Listens to a selection and its store, until another one is followed. */
  protected follow(selection: SelectionModel): void {
    this.listenTo(selection, 'change place', this.chosen);
    this.listenTo(selection.store, 'pages', (record: number, kind: PageKind) => {
      if (this.concerns(record, kind)) {
        this.chosen();
      }
    });
    selection.store.watchMap(this);
  }

  private followSelection(): void {
    if (this.followed) {
      this.stopListening(this.followed);
      this.stopListening(this.followed.store);
      this.followed.store.unwatchMap(this);
    }
    this.followed = this.selection ?? null;
    if (this.followed) {
      this.follow(this.followed);
    }
    this.chosen();
  }

  /** Tells one map of one record from another, and one absence from another. */
  private shownName(): string {
    const layer = this.selection?.layerIndex() ?? '';
    return `${this.place()?.index ?? this.selection?.stepIndex()} ${this.pageKind} ${layer}`;
  }
}
