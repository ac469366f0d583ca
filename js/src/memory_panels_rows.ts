/**
 * What stands in the rows of MemoryPanels: a part of the shown memory each, or one of its heads, over time.
 *
 * In: the catalog and the cursor. Out: plain objects; nothing is asked for here.
 */

import { recordAt } from './catalog';
import type { AxisEntry, Catalog, MemoryEntry, MemoryKind, PictureEntry, RecordEntry } from './catalog';
import { partName } from './memory_panels_words';
import type { UnitOrder } from './memory_panels_words';
import { countText } from './number_text';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';

const MOST_HEADS = 4; // of a part with more, only the selected head has a strip
const NOT_KEPT = 'its values were not kept';

/** The pages that hold the units in an order. */
export const ORDER_PAGES: Record<UnitOrder, MemoryKind & ('time' | 'timescale' | 'similarity')> = {
  index: 'time',
  timescale: 'timescale',
  similarity: 'similarity',
};

export interface PanelRow {
  /** Position of the layer in the catalog. */
  layer: number;
  label: string;
  name: string;
  /** "head 0 of 2", "width 3 of 20": which of the pictures of the part; "" where there is one. */
  which: string;
  /** Number of the record; -1: the layer did not run. */
  record: number;
  /** Null: there is nothing to draw, and `note` says why. */
  picture: PictureEntry | null;
  /** Position of the picture in the record's. */
  flat: number;
  /** The indices that the strip adds to the selection: those of the axes it is one position of. */
  at: Record<string, number>;
  pinned: number[] | null;
  note: string;
}

/** A row per part, in the order of the memory; one per head where there are a few. */
export function panelRows(catalog: Catalog, { layers }: MemoryEntry, selection: SelectionModel): PanelRow[] {
  const kinds = layers.map((layer) => catalog.layers[layer].kind);
  return layers.flatMap((layer) => {
    const entry = catalog.layers[layer];
    const several = kinds.filter((kind) => kind === entry.kind).length > 1;
    const name = several && entry.item ? `${partName(entry.kind)} ${entry.item}` : partName(entry.kind);
    return partRows(catalog, layer, name, selection);
  });
}

function partRows(catalog: Catalog, layer: number, name: string, selection: SelectionModel): PanelRow[] {
  const entry = catalog.layers[layer];
  const { label } = entry;
  const record = recordAt(entry, selection.stepIndex(), selection.callIndex()) ?? -1;
  const found = catalog.records[record];
  const picture = found?.memory?.time ?? null;
  const common = { layer, label, name, record, picture, pinned: found?.memory?.pinned ?? null };
  if (!picture) {
    const note = found ? whyNone(found) : `did not run in step ${selection.stepIndex()}`;
    return [{ ...common, which: '', flat: 0, at: {}, note }];
  }
  const heads = picture.axes.find(({ trait }) => trait === 'head')?.size ?? 1;
  const shown = heads > 1 && heads <= MOST_HEADS ? Array.from({ length: heads }, (_, head) => ({ head })) : [{}];
  return shown.map((replace) => {
    const at = Object.fromEntries(chosenAxes(picture).map((axis) => [axis.trait, positionOn(axis, selection, replace)]));
    const which = chosenAxes(picture).map(({ dim, trait, size }) => `${dim} ${at[trait]} of ${countText(size)}`);
    return { ...common, which: which.join(', '), flat: selection.flat(picture, at), at, note: '' };
  });
}

/** The axes along which a strip is one of several, the sample apart: that one is the same for all strips. */
function chosenAxes(picture: PictureEntry): AxisEntry[] {
  return picture.axes.filter(({ trait, size }) => trait !== 'sample' && size > 1);
}

function positionOn({ trait, size }: AxisEntry, selection: SelectionModel, replace: Record<string, number>): number {
  return replace[trait] ?? indexAlong(selection, trait, size);
}

/** Why a part has no picture over time: a sentence. */
function whyNone({ message, dims, shape, frame }: RecordEntry): string {
  const steps = shape[dims.indexOf('time')];
  const few = steps !== undefined && steps <= 1 ? `${countText(steps)} timestep: nothing to see over time` : '';
  const short = steps === undefined ? 'it has no time' : few;
  return message || short || (frame ? 'it has no picture over time' : NOT_KEPT);
}

/** Timesteps of the longest part. */
export function stepsOf(rows: readonly PanelRow[]): number {
  return rows.reduce((most, { picture }) => Math.max(most, picture?.full_cols ?? 0), 0);
}

/** "sample 0 of 8"; "" where there is one sample. */
export function sampleWords(rows: readonly PanelRow[], selection: SelectionModel): string {
  const axis = rows.flatMap(({ picture }) => picture?.axes ?? []).find(({ trait }) => trait === 'sample');
  return axis && axis.size > 1 ? `sample ${indexAlong(selection, 'sample', axis.size)} of ${countText(axis.size)}` : '';
}

/** Whether a row is the one that the cursor is on. */
export function isSelected({ layer, at, picture }: PanelRow, selection: SelectionModel): boolean {
  const axes = picture ? chosenAxes(picture) : [];
  return layer === selection.layerIndex() && axes.every((axis) => positionOn(axis, selection, {}) === at[axis.trait]);
}
