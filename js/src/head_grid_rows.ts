/**
 * What stands in the rows of a HeadGrid: one attention layer each, its heads in order, with their maps and measures.
 *
 * In: the catalog, the cursor, and the pages that the store holds; what is not here is asked for. Out: plain objects.
 */

import { attentionLayer, attentionLayers } from './attention_place';
import { recordAt, stepName } from './catalog';
import type { AttentionEntry, Catalog, Frame } from './catalog';
import type { FrameStoreModel } from './frame_store';
import { kindOf, shortNames } from './head_grid_words';
import type { HeadMeasures, HeadOrder } from './head_grid_words';
import { channelOrder } from './paint';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';

/** One layer of attention at the cursor's step and call. */
export interface GridRow {
  /** Position of the layer in the catalog. */
  layer: number;
  label: string;
  /** The label made short. */
  name: string;
  /** Number of the record; -1: the layer did not run. */
  record: number;
  /** Null: there is nothing to draw, and `note` says why. */
  attention: AttentionEntry | null;
  note: string;
}

/** The heads of a row from left to right: `heads[i]` is the number of the one at position i; a map may be on its way. */
export interface RowHeads {
  heads: Int32Array;
  maps: (Frame | null)[];
  measures: HeadMeasures | null;
  sample: number;
}

/** All attention layers in the order of the catalog. */
export function gridRows(catalog: Catalog, selection: SelectionModel): GridRow[] {
  const positions = attentionLayers(catalog);
  const names = shortNames(positions.map((position) => catalog.layers[position]));
  return positions.map((layer, row) => {
    const entry = catalog.layers[layer];
    const record = recordAt(entry, selection.stepIndex(), selection.callIndex()) ?? -1;
    const attention = catalog.records[record]?.attention ?? null;
    const absent = record < 0 ? `did not run in ${stepName(catalog, selection.stepIndex())}` : catalog.records[record].message;
    const note = attention ? '' : absent || 'its weights were not kept';
    return { layer, label: entry.label, name: names[row], record, attention, note };
  });
}

/** The heads of a row: by number, or the largest value first, equal ones by number and what has none last. */
export function rowHeads(
  { tiles, heads: count }: AttentionEntry,
  record: number,
  selection: SelectionModel,
  order: HeadOrder,
): RowHeads {
  const { store } = selection;
  const sample = indexAlong(selection, 'sample', tiles.axes.find(({ trait }) => trait === 'sample')?.size ?? 1);
  const measures = store.headMeasures(record, sample);
  const heads = channelOrder(count, order === 'index' ? null : (measures?.[order] ?? null));
  const maps = Array.from(heads, (head) => store.frame(record, 'tiles', selection.flat(tiles, { head })));
  return { heads, maps, measures, sample };
}

/** Row of the attention that the other views show; -1: there is none. */
export function shownRow(rows: readonly GridRow[], catalog: Catalog, selection: SelectionModel): number {
  const layer = attentionLayer(catalog, selection.layerIndex());
  return rows.findIndex((row) => row.layer === layer && row.attention !== null);
}

/** The kinds that heads of a row have. */
export function kindsIn({ heads, measures }: RowHeads, kinds: readonly string[]): string[] {
  return Array.from(heads, (head) => kindOf(kinds, measures, head)).filter((kind) => kind);
}

/** Records with maps or measures for which only some queries were read; of the pages used just now none is missed. */
export function sampledRecords(store: FrameStoreModel): Set<number> {
  const overviews = store.savedPages().filter(({ kind }) => kind === 'tiles' || kind === 'heads');
  return new Set(overviews.filter(({ sampled }) => sampled).map(({ record }) => record));
}
