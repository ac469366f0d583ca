/**
 * Units and timesteps of the strips of MemoryPanels: which unit a row of cells is, and where the keys lead.
 *
 * In: a row, the cursor, the "units" page where the units are not by index. Out: indices and shares.
 */

import type { UnitOrder } from './memory_panels_words';
import type { PanelRow } from './memory_panels_rows';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';
import type { TextAt } from './token_axis';
import { tokenText } from './token_texts';

/** Rows of a "units" page that say which unit stands where; the first one is the time constant. */
const ORDER_ROWS: Record<UnitOrder, number> = { index: -1, timescale: 1, similarity: 2 };

/** Which unit stands in each row of a strip: by index, or, where `sorted`, as `units` says; null: not known yet. */
export interface UnitPlaces {
  sorted: boolean;
  units: ArrayLike<number> | null;
}

/** Which unit stands in which row of a strip. Asks for the order where it is not here. */
export function unitPlaces({ record, picture }: PanelRow, selection: SelectionModel, order: UnitOrder): UnitPlaces {
  if (order === 'index' || !picture) {
    return { sorted: false, units: null };
  }
  const sample = indexAlong(selection, 'sample', picture.axes.find(({ trait }) => trait === 'sample')?.size ?? 1);
  const measure = selection.store.memoryMeasure(record, 'units', sample);
  const start = ORDER_ROWS[order] * (measure?.cols ?? 0);
  return { sorted: true, units: measure && measure.data.subarray(start, start + measure.cols) };
}

/** The unit in a row of the picture; -1: not known yet. */
export function unitIn({ sorted, units }: UnitPlaces, position: number): number {
  return sorted ? (units?.[position] ?? -1) : position;
}

/** The row of the picture that a unit stands in; -1: not known yet. */
export function positionOf({ sorted, units }: UnitPlaces, unit: number): number {
  return sorted ? Array.from(units ?? []).indexOf(unit) : unit;
}

/** Where the selected unit lies in a strip, 0 on top, in shares of its height; null: not known. */
export function unitShare(row: PanelRow, selection: SelectionModel, order: UnitOrder): number | null {
  const found = row.picture ? positionOf(unitPlaces(row, selection, order), unitAlong(row, selection)) : -1;
  return row.picture && found >= 0 ? found / row.picture.full_rows : null;
}

/** The unit that the selection is at, of those of a part. */
export function unitAlong({ picture }: PanelRow, selection: SelectionModel): number {
  return picture?.row_trait ? indexAlong(selection, picture.row_trait, picture.full_rows) : 0;
}

/** The index that selects a unit; none where it is not known, or the selection has no such axis. */
export function unitIndex({ picture }: PanelRow, unit: number): Record<string, number> {
  return picture?.row_trait && unit >= 0 ? { [picture.row_trait]: unit } : {};
}

/** The indices that select, in this part, the unit that the selection is at, and its timestep. */
export function selectedUnit(row: PanelRow, selection: SelectionModel): Record<string, number> {
  const time = indexAlong(selection, 'time', row.picture?.full_cols ?? 1);
  return { time, ...unitIndex(row, unitAlong(row, selection)) };
}

/** The texts along the time of a part; null: there are none. */
export function timeTexts({ record, picture }: PanelRow, selection: SelectionModel): TextAt | null {
  const { catalog } = selection.store;
  const entry = catalog.records[record]?.memory?.tokens;
  if (!entry || !catalog.tokens[entry.sequence]) {
    return null;
  }
  const sample = indexAlong(selection, 'sample', picture?.axes.find(({ trait }) => trait === 'sample')?.size ?? 1);
  return (index) => tokenText(catalog, entry, sample, index);
}

/** Where a key leads: to a timestep, to another row, or it selects the part (`choose`); null: it is no key of ours. */
export function panelMove(
  key: string,
  time: number,
  steps: number,
  row: number,
  rows: number,
): { time: number } | { row: number } | { choose: true } | null {
  switch (key) {
    case 'ArrowLeft':
      return { time: Math.max(0, time - 1) };
    case 'ArrowRight':
      return { time: Math.min(steps - 1, time + 1) };
    case 'Home':
      return { time: 0 };
    case 'End':
      return { time: steps - 1 };
    case 'ArrowUp':
      return { row: Math.max(0, row - 1) };
    case 'ArrowDown':
      return { row: Math.min(rows - 1, row + 1) };
    case 'Enter':
    case ' ':
      return { choose: true };
    default:
      return null;
  }
}
