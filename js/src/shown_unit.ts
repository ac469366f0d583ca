/**
 * Which part of a memory a reading is about, and which unit of it. Reads a catalog and a cursor; no DOM, no pages.
 *
 * In: Selection. Out: the record of a part at the cursor, the unit that is selected in it, and the words for both.
 */

import type { MemoryEntry, MemoryFrames, Place } from './catalog';
import { memoryPlace, placeOf } from './memory_place';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';
import { axisWords } from './shown_picture';

/** A part of a memory at the cursor; `layer`: its position in the catalog. */
export interface ShownPart {
  place: Place;
  layer: number;
  frames: MemoryFrames;
  entry: MemoryEntry;
}

/** One of `count` positions along the dim that counts units; `trait`: that of the selection, "" = it has none. */
export interface ShownUnit {
  trait: string;
  dim: string;
  index: number;
  count: number;
}

/** The part that is shown: the selected layer where it is one; null: no memory, or it did not run in this step. */
export function shownPart(selection: SelectionModel): ShownPart | null {
  const place = memoryPlace(selection.store.catalog, selection);
  return place && asPart(selection, place);
}

/** The first part of the shown memory that is `wanted`, the shown part before the others; null: it has none. */
export function partWith(selection: SelectionModel, wanted: (frames: MemoryFrames) => boolean): ShownPart | null {
  const shown = shownPart(selection);
  if (!shown || wanted(shown.frames)) {
    return shown;
  }
  for (const layer of shown.entry.layers) {
    const part = partAt(selection, layer);
    if (part && wanted(part.frames)) {
      return part;
    }
  }
  return null;
}

/** The part that the layer at this position is, at the cursor; null: none, or it did not run in this step. */
export function partAt(selection: SelectionModel, position: number): ShownPart | null {
  const place = placeOf(selection.store.catalog, position, selection);
  return place && asPart(selection, place);
}

function asPart(selection: SelectionModel, place: Place): ShownPart | null {
  const { catalog } = selection.store;
  const frames = place.record.memory;
  const entry = frames && catalog.memories[frames.memory];
  return frames && entry ? { place, layer: catalog.layers.indexOf(place.layer), frames, entry } : null;
}

/** The selected unit of a part; null: nothing in it counts units. */
export function shownUnit(selection: SelectionModel, { place, frames }: ShownPart): ShownUnit | null {
  const dim = frames.units;
  const at = place.record.dims.indexOf(dim);
  const count = frames.time?.full_rows ?? place.record.shape[at] ?? 0;
  if (!dim || count === 0) {
    return null;
  }
  const trait = frames.time ? frames.time.row_trait : dim in place.record.extents ? dim : '';
  return { trait, dim, index: trait ? indexAlong(selection, trait, count) : 0, count };
}

/** The selected sample of a part. */
export function shownSample(selection: SelectionModel, { place }: ShownPart): number {
  return indexAlong(selection, 'sample', place.record.extents.sample ?? 1);
}

/** "gate.f of enc l0, sample 1": the part, and the sample where there are several. */
export function partWords(selection: SelectionModel, part: ShownPart): string {
  const several = (part.place.record.extents.sample ?? 1) > 1;
  return `${part.place.layer.label}${several ? `, sample ${shownSample(selection, part)}` : ''}`;
}

/** "memory of ntm, sample 1, head 0": the part, and where it is cut along the axes that its picture over time lacks. */
export function frameWords(selection: SelectionModel, part: ShownPart): string {
  const { time } = part.frames;
  const others = time ? { ...time, axes: time.axes.filter((axis) => axis.trait !== 'sample') } : null;
  return [partWords(selection, part), ...(others ? axisWords(others, selection) : [])].join(', ');
}

/**
 * Selects these positions. Where the selected record is another part of the same memory and has such axes, it stays
 * selected; else the part itself becomes the selected layer.
 */
export function selectIn(selection: SelectionModel, part: ShownPart, indices: Record<string, number>): void {
  const here = selection.place()?.record;
  const inside = Object.entries(indices).every(([axis, index]) => index < (here?.extents[axis] ?? 0));
  const same = here?.memory?.memory === part.frames.memory;
  selection.set(same && inside ? indices : { layer: part.layer, ...indices });
}
