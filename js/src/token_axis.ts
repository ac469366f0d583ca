/**
 * Tokens as ticks of a bqplot Axis: thinned to what can be read, cut short, turned where they are long.
 *
 * In: the texts along a side of an attention, the visible part and the pixels there are. Out: ticks on the axis model, and
 * the margin of the figure that they need. Texts are data: they only ever become the text of an SVG element.
 */

import type { WidgetModel } from '@jupyter-widgets/base';

import { integerTicks } from './paint';
import { isolated, shortText, visibleText } from './token_texts';

/** The text at a position; null: none, the index stands for itself. */
export type TextAt = (index: number) => string | null;

const TICK_CHARACTERS = 12;
const LINE_PX = 15; // one line of ticks, of turned ones too
const GAP_PX = 8; // between ticks that are not turned
const TICK_PX = 11; // of the font, see style.ts
const LATIN_WIDTH = 0.58; // of the font size, about
const WIDEST_TICK_PX = 92;
const TICK_PADDING_PX = 9; // from the axis line to the text
const NAME_PX = 20; // the name of the axis beyond the ticks
const FIRST_WIDE = 0x2e80; // from here on scripts whose characters are as wide as high, and emoji

// a quarter of a turn less than upright: short enough for the margin, and read without bending one's neck
const TURNED = { 'text-anchor': 'end', transform: 'translate(-9px, -1px) rotate(-45deg)' };
const NOT_TURNED = { 'text-anchor': '', transform: '' };
const TURNED_HEIGHT = Math.SQRT1_2;

export interface TokenTicks {
  values: number[];
  labels: Record<string, string>;
  turned: boolean;
}

/** Ticks for positions first..last on `px` pixels of an upright axis or a lying one. */
export function tokenTicks(textAt: TextAt, first: number, last: number, px: number, upright: boolean): TokenTicks {
  const values = integerTicks(first, last, Math.max(1, Math.floor(px / LINE_PX)));
  const labels: Record<string, string> = {};
  let widest = 0;
  for (const index of values) {
    labels[index] = tickText(textAt(index), index);
    widest = Math.max(widest, textWidth(labels[index]));
  }
  const step = values.length > 1 ? values[1] - values[0] : 1;
  const room = (px / Math.max(1, last - first + 1)) * step;
  return { values, labels, turned: !upright && widest + GAP_PX > room };
}

/** Pixels that an axis of `size` tokens needs beside the plot: ticks, and its name beyond them. */
export function tokenRoom(textAt: TextAt, size: number, px: number, upright: boolean): number {
  let widest = 0;
  for (let index = 0; index < size && widest < WIDEST_TICK_PX; index++) {
    widest = Math.max(widest, textWidth(roughText(textAt(index), index)));
  }
  const length = Math.min(widest, WIDEST_TICK_PX);
  const turned = length + GAP_PX > px / Math.max(1, size);
  const ticks = upright ? length : turned ? length * TURNED_HEIGHT + TICK_PX : TICK_PX;
  return Math.ceil(TICK_PADDING_PX + ticks + NAME_PX);
}

const withTokens = new WeakSet<WidgetModel>();

/** Writes ticks to an axis; shown at once, never sent to the kernel. */
export function writeTokens(axis: WidgetModel, { values, labels, turned }: TokenTicks): void {
  withTokens.add(axis);
  const style = { ...(axis.get('tick_style') as object), ...(turned ? TURNED : NOT_TURNED) };
  const shown = Array.from((axis.get('tick_values') as ArrayLike<number> | null) ?? []);
  const now = JSON.stringify([shown, axis.get('tick_labels'), axis.get('tick_style')]);
  if (now !== JSON.stringify([values, labels, style])) {
    // Labels first: bqplot draws new ticks in a transition, which writes the labels that it knew when it began.
    axis.set({ tick_labels: labels, tick_values: Float64Array.from(values), tick_style: style });
  }
}

/** Takes the texts off an axis again; what the user set on one that never had any stays. */
export function clearTokens(axis: WidgetModel): void {
  if (withTokens.delete(axis)) {
    axis.set({ tick_labels: null, tick_style: { ...(axis.get('tick_style') as object), ...NOT_TURNED } });
  }
}

function tickText(text: string | null, index: number): string {
  return text === null ? String(index) : isolated(shortText(visibleText(text), TICK_CHARACTERS));
}

/** As wide as `tickText`, about; of thousands of tokens, without telling characters apart. */
function roughText(text: string | null, index: number): string {
  return text === null ? String(index) : visibleText(text.slice(0, TICK_CHARACTERS)).slice(0, TICK_CHARACTERS);
}

/** About: fonts differ. */
function textWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const isolate = code >= 0x2066 && code <= 0x2069;
    width += isolate ? 0 : code >= FIRST_WIDE ? TICK_PX : TICK_PX * LATIN_WIDTH;
  }
  return width;
}
