/**
 * Which attention a view shows while the cursor is anywhere in the model. Pure: a catalog and a cursor, no events.
 *
 * The selected layer if it is attention; else the attention that ran in the selected module or inside it, else around
 * it, else the next one in execution order, else the last.
 */

import { recordAt, stepName } from './catalog';
import type { Catalog, LayerEntry, Place } from './catalog';

/** The part of a SelectionModel that is read here. */
export interface LayerCursor {
  layerIndex(): number;
  stepIndex(): number;
  callIndex(): number;
}

/** Positions of the layers that are attention, by layers: asked for at every move, and a catalog never changes. */
const known = new WeakMap<readonly LayerEntry[], readonly number[]>();

/** Positions of the layers that are attention, in execution order. */
export function attentionLayers({ layers }: Catalog): readonly number[] {
  let found = known.get(layers);
  if (!found) {
    found = layers.flatMap((layer, position) => (layer.kind === 'attention' ? [position] : []));
    known.set(layers, found);
  }
  return found;
}

/** Position of the attention layer to show; -1: the model has none. */
export function attentionLayer(catalog: Catalog, selected: number): number {
  const found = attentionLayers(catalog);
  const layer = catalog.layers[selected];
  if (!layer || found.length === 0 || layer.kind === 'attention') {
    return layer?.kind === 'attention' ? selected : (found[0] ?? -1);
  }
  const related = [
    found.find((position) => isWithin(catalog.layers[position].path, layer.path)),
    [...found].reverse().find((position) => isWithin(layer.path, catalog.layers[position].path)),
    found.find((position) => position > selected),
  ];
  // The model itself is around everything: then the next one in execution order says more.
  return (layer.path === '' ? undefined : related[0] ?? related[1]) ?? related[2] ?? found[found.length - 1];
}

/** The record of the attention to show; null: none in this step, or none in the model (see `attentionAbsence`). */
export function attentionPlace(catalog: Catalog, cursor: LayerCursor): Place | null {
  const position = attentionLayer(catalog, cursor.layerIndex());
  const layer: LayerEntry | undefined = catalog.layers[position];
  const index = layer && recordAt(layer, cursor.stepIndex(), cursor.callIndex());
  const record = index === undefined ? undefined : catalog.records[index];
  return layer && record && index !== undefined ? { index, record, layer } : null;
}

/** Why there is no attention to show: a sentence. */
export function attentionAbsence(catalog: Catalog, cursor: LayerCursor): string {
  const position = attentionLayer(catalog, cursor.layerIndex());
  if (position < 0) {
    return 'No attention was found in this recording: nothing in it multiplied the result of a softmax with values.';
  }
  return `${catalog.layers[position].label} did not run in ${stepName(catalog, cursor.stepIndex())}`;
}

/** Whether a module is another one or inside it. */
function isWithin(path: string, outer: string): boolean {
  return path === outer || path.startsWith(`${outer}.`);
}
