import { describe, expect, it } from 'vitest';

import {
  breaksLine,
  positionWords,
  quoted,
  shortText,
  tokenText,
  tokenTexts,
  visibleText,
  writingDirection,
} from '../src/token_texts';
import { HOSTILE, attentionOf, attentionWorld } from './attention_world';

const FAMILY = '👩‍👩‍👧‍👦';

describe('text of a position', () => {
  const { store } = attentionWorld(attentionOf({ queries: 1, keys: 1 }), [], [[['the', 'cat', 'sat']]]);

  it('is found behind the offset of its axis', () => {
    expect(tokenText(store.catalog, { sequence: 0, offset: 2 }, 0, 0)).toBe('sat');
  });

  it('is none without a sequence, for another sample, and past the end', () => {
    const at = (sequence: number, sample: number, index: number) => tokenText(store.catalog, { sequence, offset: 0 }, sample, index);
    expect([at(-1, 0, 0), at(0, 1, 0), at(0, 0, 3)]).toEqual([null, null, null]);
  });

  it('comes for a whole axis at once', () => {
    expect(tokenTexts(store.catalog, { sequence: 0, offset: 1 }, 0, 3)).toEqual(['cat', 'sat', null]);
  });
});

describe('what cannot be seen', () => {
  it.each([
    ['', '∅'],
    [' ', '␣'],
    ['a b', 'a b'],
    ['a\nb', 'a⏎b'],
    ['\r\n', '⏎'],
    ['\t', '⇥'],
    ['\u0000', '␀'],
    ['x\u202ey', 'x\\u202ey'],
    ['Ġplay', 'Ġplay'],
    [FAMILY, FAMILY],
  ])('%j is shown as %j', (text, shown) => expect(visibleText(text)).toBe(shown));

  it('ends a line only with a line break', () => expect(['a\n', 'a', ''].map(breaksLine)).toEqual([true, false, false]));
});

describe('a long text', () => {
  it('is cut with an ellipsis', () => expect(shortText('abcdefgh', 4)).toBe('abc…'));
  it('stays whole when it fits', () => expect(shortText('abcd', 4)).toBe('abcd'));
  it('never loses half of an emoji', () => expect(shortText(FAMILY.repeat(5), 3)).toBe(`${FAMILY}${FAMILY}…`));
  it('counts characters as a reader does', () => expect(shortText(FAMILY.repeat(3), 3)).toBe(FAMILY.repeat(3)));
  it('of 10,000 combining marks stays small', () => {
    expect(shortText(`a${'\u0301'.repeat(10_000)}`, 12).length).toBeLessThan(500);
  });
});

it('keeps a token from turning the words around it, whatever it is', () => {
  for (const text of HOSTILE) {
    const words = quoted(text);
    expect([words.startsWith('“\u2068'), words.endsWith('\u2069”')]).toEqual([true, true]);
    expect(words.slice(2, -2)).not.toMatch(/[\u202a-\u202e\u2066-\u2069\n]/);
    expect(words.length).toBeLessThan(60);
  }
});

it('names a position by its text, and by its index where there is none', () => {
  expect(positionWords('key', 3, 'the')).toBe('key 3 “\u2068the\u2069”');
  expect(positionWords('key', 3, null)).toBe('key 3');
});

it('reads the way in which most of the texts run', () => {
  expect(writingDirection(['[CLS]', 'שלום', 'עולם', 'של', '.'])).toBe('rtl');
  expect(writingDirection(['a', 'b', 'שלום', '1', null])).toBe('ltr');
  expect(writingDirection([])).toBe('ltr');
});
