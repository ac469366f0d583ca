/**
 * Texts of tokens as people read them. Pure: texts in, texts out.
 *
 * In: the catalog's texts. Out: the text at a position, made visible, shortened, or wrapped for a sentence. The text of
 * a token is data of somebody else: it may be empty, a line break, an override of the writing direction, 10,000
 * characters, or look like HTML.
 */

import type { Catalog, TokensEntry } from './catalog';

export const EMPTY_TEXT = '∅';
/** Nothing that is shown or spoken in a sentence is longer than this. */
export const SPOKEN_CHARACTERS = 40;
const LINE_BREAK = '⏎';
const FIRST_STRONG_ISOLATE = '\u2068';
const POP_ISOLATE = '\u2069';
const RIGHT_TO_LEFT = /^[^\p{L}]*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
const HAS_LETTER = /\p{L}/u;
const TEXTS_FOR_DIRECTION = 200; // enough to tell which way a text runs
const UNITS_PER_CHARACTER = 32; // a family of four with skin tones has 19; more is no character but a trick

/** The text at position `index` of an axis; null: there are no texts, so the index stands for itself. */
export function tokenText(catalog: Catalog, entry: TokensEntry, sample: number, index: number): string | null {
  return catalog.tokens[entry.sequence]?.[sample]?.[index + entry.offset] ?? null;
}

/** The texts at positions 0 .. count - 1 of an axis, each as in `tokenText`. */
export function tokenTexts(catalog: Catalog, entry: TokensEntry, sample: number, count: number): (string | null)[] {
  return Array.from({ length: count }, (_, index) => tokenText(catalog, entry, sample, index));
}

/** `text` with what cannot be seen made visible: nothing, blanks alone, line breaks, tabs, control characters. */
export function visibleText(text: string): string {
  if (text === '') {
    return EMPTY_TEXT;
  }
  const shown = text
    .replace(/\r\n|[\n\r\u2028\u2029]/g, LINE_BREAK)
    .replace(/\t/g, '⇥')
    // controls as their pictures, changes of the writing direction as what one would type: they work beyond the token
    .replace(/[\u0000-\u001f]/g, (control) => String.fromCharCode(0x2400 + control.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (control) => `\\u${hex(control)}`);
  return shown.trim() === '' ? shown.replace(/\s/g, '␣') : shown;
}

/** Whether a line of text ends in this token. */
export function breaksLine(text: string): boolean {
  return /[\n\r\u2028\u2029]/.test(text);
}

/** The first `most` characters as a reader counts them, "…" for the rest; an emoji is never cut in two. */
export function shortText(text: string, most = 12): string {
  if (text.length <= most) {
    return text;
  }
  const characters = firstCharacters(text.slice(0, (most + 1) * UNITS_PER_CHARACTER), most + 1);
  if (characters.length <= most && characters.join('').length === text.length) {
    return text;
  }
  return `${characters.slice(0, most - 1).join('')}…`;
}

/** A token in a sentence: visible, short, and kept from turning the words around it. */
export function quoted(text: string, most = SPOKEN_CHARACTERS): string {
  return `“${isolated(shortText(visibleText(text), most))}”`;
}

/** `text` with a writing direction of its own, in plain text. */
export function isolated(text: string): string {
  return `${FIRST_STRONG_ISOLATE}${text}${POP_ISOLATE}`;
}

/** 'key 3 “the”', or 'key 3' where there are no texts. */
export function positionWords(dim: string, index: number, text: string | null): string {
  return text === null ? `${dim} ${index}` : `${dim} ${index} ${quoted(text)}`;
}

/** The way in which most of the texts run. */
export function writingDirection(texts: readonly (string | null)[]): 'ltr' | 'rtl' {
  let balance = 0;
  for (const text of texts.slice(0, TEXTS_FOR_DIRECTION)) {
    const start = (text ?? '').slice(0, SPOKEN_CHARACTERS);
    balance += HAS_LETTER.test(start) ? (RIGHT_TO_LEFT.test(start) ? 1 : -1) : 0;
  }
  return balance > 0 ? 'rtl' : 'ltr';
}

function firstCharacters(text: string, most: number): string[] {
  const characters: string[] = [];
  for (const { segment } of segments(text)) {
    characters.push(segment);
    if (characters.length === most) {
      break;
    }
  }
  return characters;
}

/** Characters as a reader counts them; code points where the browser cannot tell. */
function segments(text: string): Iterable<{ segment: string }> {
  if (typeof Intl !== 'undefined' && 'Segmenter' in Intl) {
    return new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text);
  }
  return Array.from(text, (segment) => ({ segment }));
}

function hex(character: string): string {
  return character.charCodeAt(0).toString(16).padStart(4, '0');
}
