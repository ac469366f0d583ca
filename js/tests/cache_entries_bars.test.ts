import { describe, expect, it } from 'vitest';

import { MOST_BARS, cacheHead, entryBars, evictedOf, rowsOf } from '../src/cache_entries_bars';
import { entryWords, growthWords } from '../src/cache_entries_words';

const f32 = (...values: number[]) => Float32Array.from(values);
const none = (count: number) => new Uint8Array(count);

describe('the rows of a head', () => {
  it('are found by measure, then head, then entry', () => {
    const measure = { rows: 2, cols: 3, data: f32(0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112) };
    const rows = rowsOf(measure, ['key norm', 'bytes'], 1);
    expect([Array.from(rows['key norm']), Array.from(rows.bytes)]).toEqual([[10, 11, 12], [110, 111, 112]]);
  });

  it('are those of the head of the cache that a head of queries reads', () => {
    const heads = [0, 1, 2, 3, 4, 5, 6, 7].map((head) => cacheHead(head, 8, 2)); // groups of 4
    expect(heads).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    expect([cacheHead(1, 2, 2), cacheHead(5, 1, 2)]).toEqual([1, 1]);
  });
});

describe('the bars', () => {
  it('are as high as the value is of the largest', () => {
    const { held, top, bars } = entryBars(f32(1, 2, 4), none(3), null);
    expect(held).toBe('M0.1 100v-25h0.8V100zM1.1 100v-50h0.8V100zM2.1 100v-100h0.8V100z');
    expect([top, bars]).toEqual([4, 3]);
  });

  it('of evicted entries are a path of their own', () => {
    const { held, evicted } = entryBars(f32(1, 1), Uint8Array.of(1, 0), null);
    expect([evicted.startsWith('M0.1'), held.startsWith('M1.1')]).toEqual([true, true]);
  });

  it('have room for the baseline', () => {
    const { baseline, top, held } = entryBars(f32(1, 1), none(2), f32(4, 2));
    expect([top, baseline]).toEqual([4, 'M0 0h1M1 50h1']);
    expect(held).toContain('v-25');
  });

  it('leave out what is no number', () => {
    expect(entryBars(f32(NaN, 1), none(2), null).held).toBe('M1.1 100v-100h0.8V100z');
    expect(entryBars(f32(NaN), none(1), null)).toMatchObject({ held: '', evicted: '', top: 0 });
  });

  it('of many entries stand for several, as high as the highest', () => {
    const values = Float32Array.from({ length: 2 * MOST_BARS }, (_, entry) => (entry === 1 ? 2 : 1));
    const { bars, pool, held } = entryBars(values, none(values.length), null);
    expect([bars, pool]).toEqual([MOST_BARS, 2]);
    expect(held).toMatch(/^M0.1 100v-100h0.8V100zM1.1 100v-50h/);
  });

  it('of nothing are nothing', () => expect(entryBars(f32(), none(0), null)).toMatchObject({ held: '', bars: 0 }));
});

it('an entry that is not held in the last step is evicted', () => {
  expect(Array.from(evictedOf(f32(2, 3, 3, 3), 4))).toEqual([1, 0, 0, 0]);
  expect(Array.from(evictedOf(f32(NaN, 1), 2))).toEqual([0, 0]);
  expect(Array.from(evictedOf(undefined, 2))).toEqual([0, 0]);
});

describe('the growth of a cache', () => {
  const growing = Float32Array.from({ length: 24 }, (_, step) => 2048 * (step + 1));

  it('is said per step', () => expect(growthWords(growing)).toBe('adds 2 KiB per step; 48 KiB after 24 steps'));
  it('of a sliding window ends', () => {
    const words = growthWords(growing.map((bytes) => Math.min(bytes, 8192)));
    expect(words).toBe('adds 2 KiB per step; 8 KiB after 4 steps, and from then on, as old entries make room');
  });
  it('of a static cache is none', () => {
    expect(growthWords(growing.map(() => 8192))).toBe('8 KiB from the first step on, however much of it is used');
  });
  it('of one entry is that entry', () => expect(growthWords(f32(512))).toBe('adds 512 B per step; 512 B after 1 step'));
  it('is nothing where it is not known', () => expect([growthWords(undefined), growthWords(f32(NaN))]).toEqual(['', '']));
});

describe('the words for an entry', () => {
  const rows = {
    'key norm': f32(1.5, 2),
    'attention received': f32(0.5, NaN),
    'uniform baseline': f32(0.25, 1),
    'held until': f32(0, 1),
    bytes: f32(2048, 4096),
  };

  it('say value and eviction', () => {
    expect(entryWords(rows, 'key norm', 0)).toBe('key norm 1.5; evicted after step 0');
    expect(entryWords(rows, 'bytes', 1)).toBe('bytes 4 KiB');
  });
  it('compare attention with uniform attention', () => {
    expect(entryWords(rows, 'attention received', 0)).toBe(
      'attention received 0.5 = 2 × uniform attention; evicted after step 0',
    );
  });
  it('say what is not known', () => expect(entryWords(rows, 'attention received', 1)).toBe('attention received not known'));
});
