/**
 * What an ImageOverlay shows: which picture, which positions are its patches, and the weights for them. No DOM.
 *
 * In: Selection, the choice of a map, pictures and wishes. Out: an Overlay, or a sentence that says why there is none.
 */

import { weightLine } from './attention_rows';
import type { ReadMap, Side, WeightLine } from './attention_rows';
import type { AttentionEntry, TokensEntry } from './catalog';
import { FROM_ONE_QUERY } from './map_words';
import { patchesOnly } from './overlay_paint';
import type { OverlayPicture } from './overlay_picture';
import { patchGrid } from './patch_grid';
import type { PatchGrid } from './patch_grid';
import type { PictureChoiceModel } from './picture_choice';
import type { SelectionModel } from './selection';
import { pinnedIndex, queryOffset, readMap, shownAttention } from './shown_attention';

/** Pictures by sample; rows, cols and extra: 0 = inferred. */
export interface OverlayWishes extends PatchGrid {
  pictures: OverlayPicture[];
}

/** The patches are positions of side `patches`; their weights are those of the selected position of the other side. */
export interface Overlay {
  attention: AttentionEntry;
  picture: OverlayPicture;
  patches: Side;
  grid: PatchGrid;
  map: ReadMap | null;
  line: WeightLine | null;
}

/** `map` and `line` are null while the page is on its way. */
export function shownOverlay(
  selection: SelectionModel,
  choice: PictureChoiceModel | null,
  wishes: OverlayWishes,
): Overlay | string {
  const shown = shownAttention(selection, choice);
  const { place, attention, picture: geometry, frame, message } = shown;
  if (!attention || !geometry || (message && !frame)) {
    return message;
  }
  const samples = place?.record.extents.sample ?? 1;
  const picture = pictureOfSample(wishes.pictures, samples, Number(selection.get('sample') ?? 0));
  if (typeof picture === 'string') {
    return picture;
  }
  const laid = layOut(attention, picture, wishes);
  if (typeof laid === 'string') {
    return laid;
  }
  const map = readMap(shown);
  const from = opposite(laid.patches);
  if (shown.onlyQuery !== null && from === 'key') {
    return FROM_ONE_QUERY;
  }
  const line = map && patchesOnly(weightLine(map, from, pinnedIndex(selection, attention, from)), laid.grid);
  return { attention, picture, ...laid, map, line };
}

/** What a click sets: the query where patches attend to patches. `shift`: the patch's position minus that index. */
export function clickTarget({ attention, patches }: Overlay): { side: Side; shift: number } {
  const offset = queryOffset(attention);
  return patches === 'key' && offset !== null ? { side: 'query', shift: offset } : { side: patches, shift: 0 };
}

export function opposite(side: Side): Side {
  return side === 'query' ? 'key' : 'query';
}

/** The keys as patches; where they are none, the queries. */
function layOut(
  attention: AttentionEntry,
  picture: OverlayPicture,
  wishes: PatchGrid,
): { patches: Side; grid: PatchGrid } | string {
  const ofKeys = gridOf(attention.keys, attention.key_tokens, picture, wishes);
  if (typeof ofKeys !== 'string') {
    return { patches: 'key', grid: ofKeys };
  }
  const ofQueries = gridOf(attention.queries, attention.query_tokens, picture, wishes);
  return typeof ofQueries === 'string' ? ofKeys : { patches: 'query', grid: ofQueries };
}

/** Positions that have texts are words, whatever their number; unless it is said that they are patches. */
function gridOf(
  count: number,
  tokens: TokensEntry,
  { width, height }: OverlayPicture,
  wishes: PatchGrid,
): PatchGrid | string {
  if (tokens.sequence >= 0 && !wishes.rows && !wishes.cols) {
    return 'This attention is between tokens of a text. If they are patches, set rows and cols of the ImageOverlay.';
  }
  return patchGrid(count, width, height, wishes);
}

/** The picture of the selected sample; a sentence where it would be that of something else. */
function pictureOfSample(pictures: OverlayPicture[], samples: number, sample: number): OverlayPicture | string {
  if (pictures.length === 0) {
    return 'No picture was given: capture with image=, or make ImageOverlay(image=...).';
  }
  if (pictures.length === samples) {
    return pictures[Math.min(sample, samples - 1)];
  }
  const given = pictures.length === 1 ? 'is 1 picture' : `are ${pictures.length} pictures`;
  return (
    `This attention has ${samples} samples and there ${given}: it may be inside windows of the ` +
    'picture, which cannot be laid over it. For a batch, give one picture per sample.'
  );
}
