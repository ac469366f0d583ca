/**
 * Where a map of the shown memory is found: in which of its parts, and which row says who wrote what is there. Pure.
 *
 * In: a catalog and a cursor. Out: records, geometries and rows; no pages.
 */

import type { Catalog, MemoryEntry, PictureEntry, Place, RecordEntry } from './catalog';
import type { MemoryChoiceState } from './generated/traits';
import { memoryLayer, placeOf, shownMemory } from './memory_place';
import { pictureOf } from './prefetch';
import type { SelectionModel } from './selection';
import type { FrameKind } from './shown_picture';

type MapName = MemoryChoiceState['map'];

/** `times`: the timestep of each row, where that is not its number; null: it is, or rows are no timesteps. */
export interface MemoryMap {
  place: Place;
  picture: PictureEntry;
  times: number[] | null;
}

/** A row of a map of who wrote what: the row of frame `flat` in `picture`. */
export interface LitRow {
  record: number;
  kind: FrameKind;
  picture: PictureEntry;
  flat: number;
  row: number;
}

/** The selected part's map; of all but the map over time that of another part, where the selected one has none. */
export function memoryMap(catalog: Catalog, cursor: SelectionModel, map: MapName, kind: FrameKind): MemoryMap | null {
  const memory = shownMemory(catalog, cursor);
  if (!memory) {
    return null;
  }
  const attended = map === 'wrote' && memory.form === 'kv';
  const own = memoryLayer(catalog, cursor.layerIndex());
  const others = map === 'time' ? [] : [memory.content, ...memory.layers];
  for (const layer of attended ? [memory.attention] : [own, ...others]) {
    const place = placeOf(catalog, layer, cursor);
    const picture = place && (map === 'cursor' ? ofMoment(place.record) : pictureOf(place.record, kind));
    if (place && picture) {
      const entries = placeOf(catalog, memory.content, cursor)?.record.extents.time;
      return attended ? attentionMap(place, picture, entries) : { place, picture, times: null };
    }
  }
  return null;
}

/** The row at the cursor's time of the first map there is among `kinds`; null: none, or none at that time. */
export function litRow(catalog: Catalog, cursor: SelectionModel, map: MapName, kinds: FrameKind[]): LitRow | null {
  for (const kind of kinds) {
    const found = memoryMap(catalog, cursor, map, kind);
    if (found) {
      const { place, picture, times } = found;
      const time = cursor.trait('time');
      const row = times ? times.indexOf(time) : time;
      const flat = cursor.flat(picture, headOf(cursor, shownMemory(catalog, cursor), picture));
      return row >= 0 && row < picture.full_rows ? { record: place.index, kind, picture, flat, row } : null;
    }
  }
  return null;
}

/** Query heads share the heads of a KV cache in groups: the head of `picture` that belongs to the cursor's. */
export function headOf(cursor: SelectionModel, memory: MemoryEntry | null, picture: PictureEntry): Record<string, number> {
  const heads = picture.axes.find(({ trait }) => trait === 'head')?.size ?? 1;
  const selectable = cursor.extent('head');
  if (memory?.form !== 'kv' || selectable === 0) {
    return {};
  }
  const head = cursor.trait('head');
  if (selectable > heads && selectable % heads === 0) {
    return { head: Math.floor(head / (selectable / heads)) };
  }
  return heads > selectable && heads % selectable === 0 ? { head: head * (heads / selectable) } : {};
}

/** What a part is at one moment; null: one number per unit, which the map over time shows already. */
function ofMoment({ frame }: RecordEntry): PictureEntry | null {
  return frame && ![frame.row_dim, frame.col_dim].includes('time') ? frame : null;
}

const asTimes = new WeakMap<PictureEntry, PictureEntry>();

/**
 * Weights as a map of who wrote what: the queries are when it is read, and the last of them wrote the last entry. A
 * static cache has more keys than entries.
 */
function attentionMap(place: Place, frame: PictureEntry, entries?: number): MemoryMap {
  const picture = asTimes.get(frame) ?? { ...frame, row_trait: 'time', col_trait: '' };
  asTimes.set(frame, picture);
  const { queries = 0, keys = 0 } = place.record.attention ?? {};
  const before = Math.max(0, (entries ?? keys) - queries); // entries of the cache from earlier calls
  return { place, picture, times: before ? Array.from({ length: queries }, (_, query) => query + before) : null };
}
