/**
 * PictureChoice: which map of an attention the views show. A model without a view.
 *
 * In: the selection, the kind of map and the other head of a difference. Out: record, geometry and frame of the map,
 * and the words for it. Events: 'chosen' when any of these may have changed, also because a page has come; 'place' when
 * it is another record or another kind of map.
 */

import { attentionAbsence, attentionLayer, attentionPlace } from './attention_place';
import type { Frame, PictureEntry, Place } from './catalog';
import { mapRange, wholeRange } from './color_range';
import type { Range } from './color_range';
import { pictureChoiceDefaults } from './generated/traits';
import type { PictureChoiceState } from './generated/traits';
import { MapChoiceModel } from './map_choice';
import { mapAbsence, mapWords } from './map_words';
import { indexAlong } from './picture_axes';
import { pictureOf } from './prefetch';
import { axisWords, textsAlong } from './shown_picture';
import type { FrameKind } from './shown_picture';
import { positionWords } from './token_texts';

export type MapKind = PictureChoiceState['kind'];

export class PictureChoiceModel extends MapChoiceModel<PictureChoiceState> {
  override defaults() {
    return { ...super.defaults(), ...pictureChoiceDefaults() };
  }

  protected get wishes(): (keyof PictureChoiceState)[] {
    return ['kind', 'other_head'];
  }

  get kind(): MapKind {
    return this.trait('kind');
  }

  override get logarithmic(): boolean {
    return this.kind === 'log';
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

  naturalRange(_place: Place, frame: Frame | null): Range {
    return mapRange(this.kind, frame);
  }

  wholeRange(): Range {
    return wholeRange(this.kind);
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

  /** Moves the selection to the attention that is shown and to these of its indices, as in select({ query: 5 }). */
  select(indices: Record<string, number>): void {
    const layer = attentionLayer(this.selection.store.catalog, this.selection.layerIndex());
    const time = indices.query === undefined ? {} : { time: indices.query }; // a query is a timestep elsewhere
    const place = layer < 0 ? {} : { layer };
    this.selection.set({ ...place, ...indices, ...time }); // sent by the selection itself
  }
}
