/**
 * Which memory a view shows while the cursor is anywhere in the model. Pure: a catalog and a cursor, no events.
 *
 * The selected layer if it is part of a memory; else the content of the memory of the selected module or inside it, else
 * around it, else the next one in execution order, else the last.
 */

import { recordAt, stepName } from './catalog';
import type { LayerCursor } from './attention_place';
import type { Catalog, MemoryEntry, Place } from './catalog';

const NO_MEMORY = 'No memory was found in this recording: no recurrent layer, and no module whose memory is known.';

/** Position of the memory that a layer is part of, by layer. A catalog never changes. */
const owners = new WeakMap<Catalog, Map<number, number>>();

/** Position in `catalog.memories` of the memory that this layer is part of; -1: of none. */
export function memoryOf(catalog: Catalog, layer: number): number {
  let known = owners.get(catalog);
  if (!known) {
    known = new Map(catalog.memories.flatMap(({ layers }, memory) => layers.map((part) => [part, memory] as const)));
    owners.set(catalog, known);
  }
  return known.get(layer) ?? -1;
}

/** The layer that stands for a memory: what it holds, else its first part. */
export function contentLayer({ content, layers }: MemoryEntry): number {
  return content >= 0 ? content : (layers[0] ?? -1);
}

/** Positions of all parts of all memories, in the order in which they are shown. */
export function memoryLayers(catalog: Catalog): number[] {
  return catalog.memories.flatMap(({ layers }) => layers);
}

/** Position of the layer to show; -1: the recording has no memory. */
export function memoryLayer(catalog: Catalog, selected: number): number {
  if (memoryOf(catalog, selected) >= 0) {
    return selected;
  }
  const contents = catalog.memories.map(contentLayer).filter((layer) => catalog.layers[layer]);
  const found = contents.sort((one, other) => one - other);
  const layer = catalog.layers[selected];
  if (!layer || found.length === 0) {
    return found[0] ?? -1;
  }
  const inside = found.find((position) => isWithin(catalog.layers[position].path, layer.path));
  const around = [...found].reverse().find((position) => isWithin(layer.path, catalog.layers[position].path));
  const next = found.find((position) => position > selected) ?? found[found.length - 1];
  // The model itself is around everything: then the next one in execution order says more.
  return (layer.path === '' ? undefined : inside ?? around) ?? next;
}

/** The memory to show; null: the recording has none. */
export function shownMemory(catalog: Catalog, cursor: LayerCursor): MemoryEntry | null {
  return catalog.memories[memoryOf(catalog, memoryLayer(catalog, cursor.layerIndex()))] ?? null;
}

/** The record of a layer at the cursor's step and call; null: it did not run then, or there is no such layer. */
export function placeOf(catalog: Catalog, position: number, cursor: LayerCursor): Place | null {
  const layer = catalog.layers[position];
  const index = layer && recordAt(layer, cursor.stepIndex(), cursor.callIndex());
  const record = index === undefined ? undefined : catalog.records[index];
  return layer && record && index !== undefined ? { index, record, layer } : null;
}

/** The record of the part to show; null: none in this step, or none in the recording (see `memoryAbsence`). */
export function memoryPlace(catalog: Catalog, cursor: LayerCursor): Place | null {
  return placeOf(catalog, memoryLayer(catalog, cursor.layerIndex()), cursor);
}

/** Records of all parts of the memory to show, and of the attention that reads it. */
export function memoryRecords(catalog: Catalog, cursor: LayerCursor): number[] {
  const memory = shownMemory(catalog, cursor);
  const layers = memory ? [...memory.layers, memory.attention] : [];
  return layers.flatMap((layer) => placeOf(catalog, layer, cursor)?.index ?? []);
}

/** Why there is no memory to show: a sentence. */
export function memoryAbsence(catalog: Catalog, cursor: LayerCursor): string {
  const layer = catalog.layers[memoryLayer(catalog, cursor.layerIndex())];
  return layer ? `${layer.label} did not run in ${stepName(catalog, cursor.stepIndex())}` : NO_MEMORY;
}

/** Whether a module is another one or inside it. */
function isWithin(path: string, outer: string): boolean {
  return path === outer || path.startsWith(`${outer}.`);
}
