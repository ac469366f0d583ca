import { describe, expect, it } from 'vitest';

import { labelAxis, labelTokens } from '../src/picture_axes';
import { tokenRoom, tokenTicks } from '../src/token_axis';
import { HOSTILE } from './attention_world';
import { foreign } from './models';

const of = (...texts: string[]) => (index: number) => texts[index] ?? null;
/** Without the characters that give each text a writing direction of its own. */
const plain = (labels: Record<string, string>) => Object.values(labels).map((text) => text.replace(/[\u2068\u2069]/g, ''));

describe('ticks', () => {
  it('are the tokens, as many as can be read', () => {
    const many = of(...Array.from({ length: 100 }, (_, i) => `t${i}`));
    expect(plain(tokenTicks(many, 0, 7, 300, true).labels)).toEqual(['t0', 't1', 't2', 't3', 't4', 't5', 't6', 't7']);
    expect(tokenTicks(many, 0, 99, 300, true).values).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    expect(tokenTicks(many, 40, 44, 300, true).values).toEqual([40, 41, 42, 43, 44]);
  });

  it('are turned where they would touch', () => {
    expect(tokenTicks(of('a', 'b', 'c'), 0, 2, 120, false).turned).toBe(false);
    expect(tokenTicks(of('attention', 'b', 'c'), 0, 2, 120, false).turned).toBe(true);
    expect(tokenTicks(of('attention', 'b', 'c'), 0, 2, 120, true).turned).toBe(false);
  });

  it('are short and isolated, whatever the text', () => {
    const { labels } = tokenTicks(of(...HOSTILE), 0, HOSTILE.length - 1, 500, true);
    expect(plain(labels)).toEqual(['<img src=x …', 'שלום', '👩‍👩‍👧‍👦', '∅', 'aaaaaaaaaaa…', 'x\\u202ey', '⏎', '␣']);
    expect(Object.values(labels).every((text) => text.startsWith('\u2068') && text.endsWith('\u2069'))).toBe(true);
  });

  it('are the index where a position has no text', () => {
    expect(plain(tokenTicks(of('a'), 0, 1, 300, true).labels)).toEqual(['a', '1']);
  });
});

describe('room', () => {
  it('grows with the longest token up to a limit', () => {
    const [short, long, longest] = [of('a'), of('attention'), of('w'.repeat(500))].map((texts) => tokenRoom(texts, 1, 300, true));
    expect(short).toBeLessThan(long);
    expect(long).toBeLessThan(longest);
    expect(longest).toBeLessThan(130);
  });

  it('under the plot is one line where nothing is turned', () => {
    expect(tokenRoom(of('play', 'the'), 2, 300, false)).toBe(9 + 11 + 20);
    expect(tokenRoom(of('play', 'the'), 2, 30, false)).toBeGreaterThan(40);
  });
});

describe('an axis', () => {
  const texts = of('attention', 'is');
  const write = (axis: ReturnType<typeof foreign>) => labelTokens(axis, 'key', [-0.5, 1.5], 2, texts, 40, 70);

  it('says texts, turned, with its name beyond them', () => {
    const axis = foreign({ side: 'bottom', tick_style: { fill: 'red' } });
    write(axis);
    expect(axis.get('tick_labels')).toEqual({ 0: '\u2068attention\u2069', 1: '\u2068is\u2069' });
    expect([[...axis.get('tick_values')], axis.get('label'), axis.get('label_offset')]).toEqual([[0, 1], 'key', '62px']);
    expect(axis.get('tick_style')).toMatchObject({ fill: 'red', 'text-anchor': 'end' });
  });

  it('is told the labels before the ticks that they stand at', () => {
    const axis = foreign({ side: 'left' });
    const told: string[] = [];
    axis.on('all', (event: string) => told.push(event));
    write(axis);
    expect(told.filter((event) => /tick_(labels|values)/.test(event))).toEqual(['change:tick_labels', 'change:tick_values']);
  });

  it('goes back to numbers with nothing left of the texts', () => {
    const axis = foreign({ side: 'bottom' });
    write(axis);
    labelAxis(axis, 'width', [-0.5, 1.5], 2);
    expect([axis.get('tick_labels'), axis.get('label_offset')]).toEqual([null, '36px']);
    expect(axis.get('tick_style')).toEqual({ 'text-anchor': '', transform: '' });
  });

  it('keeps what the user set', () => {
    const axis = foreign({ side: 'bottom', label_offset: '80px', tick_labels: { 0: 'zero' } });
    labelAxis(axis, 'width', [-0.5, 1.5], 2);
    expect([axis.get('label_offset'), axis.get('tick_labels')]).toEqual(['80px', { 0: 'zero' }]);
  });

  it('is not written again when nothing changed', () => {
    const axis = foreign({ side: 'bottom' });
    write(axis);
    let changes = 0;
    axis.on('change', () => (changes += 1));
    write(axis);
    expect(changes).toBe(0);
  });
});
