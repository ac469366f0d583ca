/** What a HeadGrid says: names of layers made short, what a head does, measures in words. Values in, text out. */

import type { LayerEntry } from './catalog';
import type { HeadGridState } from './generated/traits';
import { approximately, countText } from './number_text';

export type HeadOrder = HeadGridState['order'];
export type HeadMeasures = Record<string, Float32Array>;

/** Codes of the kinds of heads, as in memviz_widgets/analysis/head_kinds.py; another kind has its first letter. */
const CODES: Record<string, string> = {
  'previous token': 'P',
  'current token': 'C',
  induction: 'I',
  sink: 'S',
  local: 'L',
  broad: 'B',
};
/** What the measures mean, in the order in which a head's words name them. */
const MEASURES: Record<Exclude<HeadOrder, 'index'>, { name: string; unit: string; meaning: string }> = {
  entropy: {
    name: 'entropy',
    unit: '',
    meaning: 'how evenly a head spreads its attention, from 0 (all on one key) to 1 (alike on all that it may see)',
  },
  distance: {
    name: 'distance',
    unit: ' tokens',
    meaning: 'how far from the query a head looks, in tokens, on average',
  },
  sink: { name: 'on the first key', unit: '', meaning: 'the share of attention on the first key, 0 to 1' },
  induction: {
    name: 'induction',
    unit: '',
    meaning: 'the share of attention on what followed the same token earlier, 0 to 1',
  },
};
const NOTHING = '\u2013'; // a measure that is not defined
const COLORS = 'Colours: from 0 (dark) to the largest weight of each head (bright); exactly 0 is empty.';
const DIGITS = 2; // under a map there is room for no more
const SMALLEST_SHARE = 0.005; // less would be rounded to 0
const MOST_TOKENS = 10_000;
const LINE_CHARACTERS = 18; // of a name: longer ones leave out what all have in common
const MOST_CHARACTERS = 40; // of a name: two or three lines beside the maps
const HEAD_CHARACTERS = 14; // before the cut in a name that is longer still

/** "P" for "previous token"; "" for no kind. */
export function kindCode(kind: string): string {
  return CODES[kind] ?? kind.slice(0, 1).toUpperCase();
}

/** The kind of a head by its number in the row "kind" of the measures; "" = no rule fits, or nothing known yet. */
export function kindOf(kinds: readonly string[], measures: HeadMeasures | null, head: number): string {
  return kinds[measures?.kind?.[head] ?? -1] ?? '';
}

/** The value that a head is sorted by, as it stands under its map; "" for the order by index or before it has come. */
export function measureText(order: HeadOrder, measures: HeadMeasures | null, head: number): string {
  const value = measures?.[order]?.[head];
  if (order === 'index' || value === undefined) {
    return '';
  }
  return Number.isNaN(value) ? NOTHING : order === 'distance' ? tokensText(value) : shareInShort(value);
}

/** 0.83, <.01, 0: a number 0..1 in the width of the smallest map, where a longer one would be cut and misread. */
function shareInShort(share: number): string {
  return share > 0 && share < SMALLEST_SHARE ? '<.01' : String(Number(share.toFixed(2)));
}

/** 1.4, 680, 12k: a number of tokens in the same width. */
function tokensText(tokens: number): string {
  return tokens < MOST_TOKENS ? approximately(tokens, DIGITS) : `${Math.round(tokens / 1000)}k`;
}

/** All that is known of a head: "head 3, previous token 0.91; entropy 0.2, distance 1.4 tokens, ...". */
export function headWords(head: number, kind: string, measures: HeadMeasures | null): string {
  const score = measures?.score?.[head];
  const scored = score === undefined || Number.isNaN(score) ? '' : ` ${approximately(score, DIGITS)}`;
  const name = `head ${head}${kind && `, ${kind}${scored}`}`;
  const known = Object.entries(MEASURES).flatMap(([measure, { name: called, unit }]) => {
    const value = measures?.[measure]?.[head];
    return value === undefined || Number.isNaN(value) ? [] : [`${called} ${approximately(value, DIGITS)}${unit}`];
  });
  return known.length ? `${name}; ${known.join(', ')}` : name;
}

/** The line below the grid. `kinds`: those on show. `sampled`: queries of a layer of which some were read; 0: all. */
export function captionText(order: HeadOrder, kinds: readonly string[], sampled: number): string {
  const codes = kinds.map((kind) => `${kindCode(kind)} ${kind}`);
  const sorted = order === 'index' ? '' : `Sorted by ${order}, largest first: ${MEASURES[order].meaning}.`;
  const read = `from some of the ${countText(sampled)} queries, evenly spread`;
  const some = sampled > 0 ? `Sampled: maps and measures are ${read}.` : '';
  const named = codes.length ? `${codes.join(', ')}: conventions, not findings.` : '';
  return [COLORS, sorted, named, some].filter((part) => part).join(' ');
}

/**
 * A short name per layer. What all names have in common goes first, from the second part to the last but one:
 * "encoder.layer.3.attention.self" becomes "encoder…3…self"; of what is still too long the first part goes too, and
 * then its middle.
 */
export function shortNames(layers: readonly LayerEntry[]): string[] {
  const parts = layers.map(({ label, kind }) => withoutEnd(label, ` ${kind}`).split('.'));
  const [before, after] = [sharedParts(parts), sharedParts(parts.map((each) => [...each].reverse()))];
  return parts.map((each) => {
    const whole = each.join('.');
    const end = Math.max(before, each.length - after); // no part counts twice
    const [first, last] = [each.slice(0, Math.min(1, before)), each.slice(Math.max(end, each.length - 1))];
    const told = [first, each.slice(before, end), last].map((some) => some.join('.')).filter((text) => text);
    const short = whole.length > LINE_CHARACTERS && told.length > 1 ? told.join('…') : whole;
    // The start that all have in common says less than the middle of what tells them apart.
    const spare = [...short].length > MOST_CHARACTERS && first.length > 0 && told.length > 1;
    return cutMiddle(spare ? `…${told.slice(1).join('…')}` : short);
  });
}

function withoutEnd(text: string, end: string): string {
  return text.endsWith(end) ? text.slice(0, -end.length) : text;
}

/** How many parts at the start are the same in all names; none where there is one name only. */
function sharedParts(names: readonly string[][]): number {
  const [first = [], ...others] = names;
  const differs = first.findIndex((part, i) => others.some((other) => other[i] !== part));
  return others.length === 0 ? 0 : differs < 0 ? first.length : differs;
}

/** Head and tail of a text with more than MOST_CHARACTERS. */
function cutMiddle(text: string): string {
  const characters = [...text]; // whole characters: a surrogate pair is not cut
  const tail = MOST_CHARACTERS - HEAD_CHARACTERS - 1;
  return characters.length <= MOST_CHARACTERS
    ? text
    : `${characters.slice(0, HEAD_CHARACTERS).join('')}…${characters.slice(-tail).join('')}`;
}
