/** Where a finding of the health report is in the Selection, and how to go there. Nothing is drawn here. */

import type { HealthPlace, HealthRow } from './generated/catalog';
import type { SelectionModel } from './selection';

const JUMP_ROWS = 10; // that PageUp and PageDown go past

/** The indices that a row names, with the `place`th of its places. */
export function namedIndices(row: HealthRow, place: number): Record<string, number> {
  const index = row.places[place];
  return row.axis && index !== undefined ? { ...row.at, [row.axis]: index } : { ...row.at };
}

/** Moves the selection there in one step, and into the record as ever; false where no view shows the place. */
export function goTo(selection: SelectionModel, place: HealthPlace, named: Record<string, number> = {}): boolean {
  const { layer, step, call } = place;
  if (layer < 0) {
    return false;
  }
  selection.set({ layer, step, call, ...named });
  return true;
}

/** Which of the row's places the selection is at; 0 when it names none and the record is selected; -1 = elsewhere. */
export function placeAt(selection: SelectionModel, row: HealthRow): number {
  const { layer, step, call } = row.place;
  const here = selection.layerIndex() === layer && selection.stepIndex() === step && selection.callIndex() === call;
  if (!here || !row.axis) {
    return here ? 0 : -1;
  }
  return row.places.indexOf(selection.get(row.axis) as number);
}

/** The row that a key leads to from `index`, of those that are shown; undefined for keys that are not for this. */
export function rowAfter(key: string, shown: number[], index: number): number | undefined {
  const at = shown.indexOf(index);
  const last = shown.length - 1;
  const to: Record<string, number> = {
    ArrowUp: at - 1,
    ArrowDown: at + 1,
    PageUp: at - JUMP_ROWS,
    PageDown: at + JUMP_ROWS,
    Home: 0,
    End: last,
  };
  return key in to ? shown[Math.max(0, Math.min(last, to[key]))] : undefined;
}
