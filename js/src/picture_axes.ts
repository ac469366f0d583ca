/** What the axes of a picture say: the names of its dims, and ticks for the part that is visible: indices or tokens. */

import type { WidgetModel } from '@jupyter-widgets/base';

import { countText } from './number_text';
import { integerTicks } from './paint';
import { clearTokens, tokenTicks, writeTokens } from './token_axis';
import type { TextAt } from './token_axis';

// bqplot's own offsets let a label touch numbers of more than three digits
const SIDE_OFFSET_PX = 46;
const FOOT_OFFSET_PX = 36;
// what the name itself takes of the room beside the plot
const SIDE_NAME_PX = 12;
const FOOT_NAME_PX = 8;
const offsets = new WeakMap<WidgetModel, string>(); // the offsets that we wrote

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
  const [first, last] = visiblePart(domain, size);
  const upright = isUpright(axis);
  const most = !upright && size > 1000 ? MOST_LONG_NUMBERS : undefined;
  const ticks = integerTicks(first, last, most);
  clearTokens(axis);
  const shown = Array.from((axis.get('tick_values') as ArrayLike<number> | null) ?? []);
  if (shown.length !== ticks.length || shown.some((tick, i) => tick !== ticks[i])) {
    axis.set('tick_values', Float64Array.from(ticks));
  }
  nameAxis(axis, label, upright ? SIDE_OFFSET_PX : FOOT_OFFSET_PX);
}

/** As `labelAxis`, with the tokens that stand there. `px`: length of the axis; `room`: what they need beside the plot. */
export function labelTokens(
  axis: WidgetModel, label: string, domain: ArrayLike<number>, size: number, textAt: TextAt, px: number, room: number,
): void {
  const [first, last] = visiblePart(domain, size);
  const upright = isUpright(axis);
  writeTokens(axis, tokenTicks(textAt, first, last, px, upright));
  nameAxis(axis, label, room - (upright ? SIDE_NAME_PX : FOOT_NAME_PX));
}

/** First and last position of the visible part of an axis, ends of the domain cut to 0..size - 1. */
function visiblePart(domain: ArrayLike<number>, size: number): [number, number] {
  const ends = [Number(domain[0]), Number(domain[domain.length - 1])];
  const [first, last] = ends.every(Number.isFinite) ? [Math.min(...ends), Math.max(...ends)] : [0, size - 1];
  return [Math.max(first, 0), Math.min(last, Math.max(size - 1, 0))];
}

/** Whether an axis stands beside the plot. */
export function isUpright(axis: WidgetModel): boolean {
  return ['left', 'right'].includes(axis.get('side') as string);
}

/** Writes the name beyond the ticks; where the user put it, it stays. */
function nameAxis(axis: WidgetModel, label: string, offset_px: number): void {
  axis.set('label', label);
  const offset = axis.get('label_offset') as string | null;
  if (!offset || offset === offsets.get(axis)) {
    offsets.set(axis, `${offset_px}px`);
    axis.set('label_offset', `${offset_px}px`);
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
