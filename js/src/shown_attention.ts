/**
 * The attention that a view of tokens shows, from the cursor and (where there is one) the choice of a map.
 *
 * In: Selection, PictureChoice or null. Out: what is shown now, or a sentence that says why nothing is. No DOM.
 */

import { attentionAbsence, attentionLayer, attentionPlace } from './attention_place';
import type { AttentionMap, ReadMap, Side } from './attention_rows';
import type { AttentionEntry, Frame, PictureEntry, Place } from './catalog';
import type { Lifetime } from './lifetime';
import type { PictureChoiceModel } from './picture_choice';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';
import { onlyQuery } from './shown_picture';
import { tokenTexts } from './token_texts';

/**
 * `frame` is null while its page is on its way, or when it was refused: `message` says so. `onlyQuery`: the query whose
 * row alone the map has; null: it has those of all.
 */
export interface ShownAttention {
  place: Place | null;
  attention: AttentionEntry | null;
  picture: PictureEntry | null;
  frame: Frame | null;
  kind: AttentionMap;
  onlyQuery: number | null;
  /** Whether a cell of several weights shows their mean. */
  mean: boolean;
  message: string;
}

/** What is shown now. Asks the store for the frame if it is not here. */
export function shownAttention(selection: SelectionModel, choice: PictureChoiceModel | null): ShownAttention {
  const { catalog } = selection.store;
  const place = choice ? choice.place() : attentionPlace(catalog, selection);
  const attention = place?.record.attention ?? null;
  const picture = choice ? choice.picture() : place?.record.frame ?? null;
  const kind = choice?.kind ?? 'weights';
  const mean = selection.store.trait('pooled_by') === 'mean';
  if (!place || !attention || !picture) {
    const message = choice?.absence() || absence(place, selection);
    return { place, attention, picture: null, frame: null, kind, onlyQuery: null, mean, message };
  }
  const flat = choice ? choice.flat() : selection.flat(picture);
  const frame = choice ? choice.frame() : selection.store.frame(place.index, 'frame', flat);
  const refusal = choice ? choice.refusal() : selection.store.refusal(place.index, 'frame');
  const only = onlyQuery(picture, selection);
  return { place, attention, picture, frame, kind, onlyQuery: only, mean, message: frame ? '' : refusal };
}

/** What there is to read; null: the page is not here. */
export function readMap({ frame, picture, kind, onlyQuery, mean }: ShownAttention): ReadMap | null {
  return frame && picture && { frame, picture, kind, onlyQuery, mean };
}

function absence(place: Place | null, selection: SelectionModel): string {
  return place ? place.record.message || 'nothing to show' : attentionAbsence(selection.store.catalog, selection);
}

/** Calls `work` whenever something else may be shown. */
export function followAttention(
  life: Lifetime,
  selection: SelectionModel | null,
  choice: PictureChoiceModel | null,
  work: () => void,
): void {
  life.follow(choice, 'chosen', work);
  life.follow(selection, 'change place', work);
  life.follow(selection?.store, 'change:catalog', work);
  life.follow(selection?.store, 'pages', (record: number) => {
    if (selection && record === attentionPlace(selection.store.catalog, selection)?.index) {
      work();
    }
  });
}

/** Tells one pair of lists of texts from another, within one catalog. */
export function textsName(selection: SelectionModel, attention: AttentionEntry): string {
  const { query_tokens, key_tokens, queries, keys } = attention;
  return JSON.stringify([query_tokens, key_tokens, queries, keys, sampleOf(selection)]);
}

/** The text at every position of one side; null where there are none. */
export function sideTexts(selection: SelectionModel, attention: AttentionEntry, side: Side): (string | null)[] {
  const entry = side === 'query' ? attention.query_tokens : attention.key_tokens;
  const count = side === 'query' ? attention.queries : attention.keys;
  return tokenTexts(selection.store.catalog, entry, sampleOf(selection), count);
}

/**
 * Queries and keys that are positions of one sequence: the key at which query 0 stands (K - Q while a text is being
 * written). null: two sequences, as in cross-attention.
 */
export function queryOffset(attention: AttentionEntry): number | null {
  const { queries, keys, query_tokens, key_tokens } = attention;
  if (query_tokens.sequence !== key_tokens.sequence) {
    return null;
  }
  const offset = query_tokens.sequence < 0 ? 0 : query_tokens.offset - key_tokens.offset;
  const inside = offset >= 0 && offset + queries <= keys;
  return inside && (query_tokens.sequence >= 0 || queries === keys) ? offset : null;
}

/** The selected position on one side, inside what is shown. */
export function pinnedIndex(selection: SelectionModel, attention: AttentionEntry, side: Side): number {
  return indexAlong(selection, side, side === 'query' ? attention.queries : attention.keys);
}

/**
 * Selects a position of what is shown; a query is also a timestep, for the views of other layers. The cursor may be at another layer, which has no queries and no keys: then it
 * moves to the attention that is looked at.
 */
export function pin(selection: SelectionModel, side: Side, index: number): void {
  const layer = attentionLayer(selection.store.catalog, selection.layerIndex());
  const indices = side === 'query' ? { query: index, time: index } : { key: index };
  selection.set(layer < 0 ? indices : { layer, ...indices });
}

function sampleOf(selection: SelectionModel): number {
  return Number(selection.get('sample') ?? 0);
}
