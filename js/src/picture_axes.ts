/** What the axes of a picture say: the names of its dims, and whole-number ticks for the part that is visible. */

import type { WidgetModel } from '@jupyter-widgets/base';

import { countText } from './number_text';
import { integerTicks } from './paint';

// bqplot's own offsets let a label touch numbers of more than three digits
const SIDE_OFFSET = '46px';
const FOOT_OFFSET = '36px';

// numbers of four digits beside each other, in a picture as narrow as a notebook beside an open side bar
const MOST_LONG_NUMBERS = 5;

/** "height", or "height (1 of 8 shown)" where one cell stands for several of the tensor. */
export function axisLabel(dim: string, pool: number): string {
  return dim && pool > 1 ? `${dim} (1 of ${countText(pool)} shown)` : dim;
}

/** Writes label and ticks to a bqplot Axis model; shown at once, never sent to the kernel. Null axis: nothing. */
export function labelAxis(axis: WidgetModel | null, label: string, domain: ArrayLike<number>, size: number): void {
  if (!axis) {
    return;
  }
  const ends = [Number(domain[0]), Number(domain[domain.length - 1])];
  const [first, last] = ends.every(Number.isFinite) ? [Math.min(...ends), Math.max(...ends)] : [0, size - 1];
  const upright = ['left', 'right'].includes(axis.get('side') as string);
  const most = !upright && size > 1000 ? MOST_LONG_NUMBERS : undefined;
  const ticks = integerTicks(Math.max(first, 0), Math.min(last, Math.max(size - 1, 0)), most);
  const shown = Array.from((axis.get('tick_values') as ArrayLike<number> | null) ?? []);
  if (shown.length !== ticks.length || shown.some((tick, i) => tick !== ticks[i])) {
    axis.set('tick_values', Float64Array.from(ticks));
  }
  axis.set('label', label);
  if (!axis.get('label_offset')) {
    axis.set('label_offset', upright ? SIDE_OFFSET : FOOT_OFFSET);
  }
  if (!axis.get('tick_format')) {
    axis.set('tick_format', 'd');
  }
}

/** The index that the selection holds for `trait`, within 0..size-1. */
export function indexAlong(selection: WidgetModel, trait: string, size: number): number {
  const index = Number(selection.get(trait) ?? 0);
  return Math.max(0, Math.min(size - 1, index));
}
