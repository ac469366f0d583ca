import { describe, expect, it } from 'vitest';

import type { Frame } from '../src/catalog';
import { headAfter } from '../src/head_grid_keys';
import { gridLayout, mapCorner, paintMap, rowLayout, rowsBetween, weightTable } from '../src/head_grid_layout';
import { captionText, kindCode, measureText, shortNames } from '../src/head_grid_words';
import { NEUTRAL_PIXEL } from '../src/paint';
import { palette } from '../src/palette';
import { layer } from './models';

const frame = (rows: number, cols: number, codes: number[], lo = 0, hi = 1): Frame => ({
  codes: Uint8Array.from(codes),
  rows,
  cols,
  lo,
  hi,
});

describe('layout', () => {
  it('puts the heads beside each other where they fit, and into lines of one length where they do not', () => {
    expect(gridLayout(600, 12, 1)).toMatchObject({ columns: 12, side: 34, pitch: 40, label: 116 });
    expect(gridLayout(600, 16, 1)).toMatchObject({ columns: 8, side: 55 });
    expect(gridLayout(2000, 4, 1)).toMatchObject({ columns: 4, side: 56 });
  });

  it('is never wider than there is room', () => {
    for (const available of [40, 150, 260, 479, 480, 600, 900]) {
      for (const most of [1, 3, 8, 12, 16, 25, 64, 100]) {
        const grid = gridLayout(available, most, 2);
        const { width } = rowLayout(grid, most, 1);
        expect(width + grid.label).toBeLessThanOrEqual(available);
        expect(grid.side).toBeGreaterThanOrEqual(28);
      }
    }
  });

  it('stands the name above where it is narrow', () => {
    const narrow = gridLayout(300, 4, 1);
    const row = rowLayout(narrow, 4, 1);
    expect([narrow.label, row.rowHeight - row.height]).toEqual([0, 18]);
  });

  it('gives a flat map less height, a tall one at most twice its width', () => {
    const grid = gridLayout(600, 12, 1);
    expect([0.01, 0.5, 1, 40].map((tall) => rowLayout(grid, 12, tall).mapHeight)).toEqual([9, 17, 34, 68]);
  });

  it('goes on in the next line', () => {
    const grid = gridLayout(600, 16, 2);
    const row = rowLayout(grid, 16, 1);
    expect(row).toMatchObject({ lines: 2, linePitch: 55 + 28 + 6, height: 2 * 89 });
    expect(mapCorner(grid, row, 9)).toEqual([61, 89]);
  });

  it('knows which rows are in view', () => {
    expect(rowsBetween([50, 50, 50, 50], 60, 110)).toEqual([1, 2]);
    expect(rowsBetween([50, 50, 50, 50], 50, 100)).toEqual([1, 1]);
    expect(rowsBetween([], 0, 100)).toEqual([-1, 0]);
  });
});

describe('pixels', () => {
  const colors = palette('viridis');

  it('are dark for 0 and bright for the largest weight of the head, not for its least', () => {
    const table = weightTable(frame(1, 1, [0], 0.25, 0.5));
    expect([table[0], table[252]]).toEqual([colors[128], colors[255]]);
  });

  it('are bright all over where all weights are alike, and dark where they are 0', () => {
    expect(weightTable(frame(1, 1, [0], 0.125, 0.125))[0]).toBe(colors[255]);
    expect(weightTable(frame(1, 1, [0], 0, 0))[0]).toBe(colors[0]);
    expect(weightTable(frame(1, 1, [253], NaN, NaN))[0]).toBe(colors[0]);
  });

  it('are transparent for exactly 0 and loud for what is no number', () => {
    const table = weightTable(frame(1, 1, [0]));
    expect([table[253], table[255]]).toEqual([0, 0xffff00ff]);
  });

  it('show the largest of the cells that fall on them', () => {
    const diagonal = frame(4, 4, [252, 253, 253, 253, 0, 252, 253, 253, 0, 0, 9, 253, 0, 0, 0, 253]);
    const out = new Uint32Array(4);
    paintMap(out, 2, { left: 0, top: 0, width: 2, height: 2 }, diagonal);
    expect([...out]).toEqual([colors[255], 0, colors[0], colors[Math.floor((9 / 252) * 256)]]);
  });

  it('repeat a cell where there are more of them', () => {
    const out = new Uint32Array(12);
    paintMap(out, 4, { left: 1, top: 0, width: 3, height: 2 }, frame(1, 2, [0, 252]));
    const line = [0, colors[0], colors[255], colors[255]];
    expect([...out]).toEqual([...line, ...line, 0, 0, 0, 0]);
  });

  it('are neutral for a map on its way', () => {
    const out = new Uint32Array(4);
    paintMap(out, 2, { left: 0, top: 1, width: 2, height: 1 }, null);
    expect([...out]).toEqual([0, 0, NEUTRAL_PIXEL, NEUTRAL_PIXEL]);
  });
});

describe('the key', () => {
  const counts = [5, 0, 4]; // lines of 3: 3 + 2, nothing, 3 + 1
  const from = (row: number, position: number) => (key: string) => headAfter(key, { row, position }, counts, 3);

  it('goes along the line and stops at its ends', () => {
    expect(['ArrowLeft', 'ArrowRight', 'Home', 'End'].map(from(0, 4))).toEqual(
      [3, 4, 0, 4].map((position) => ({ row: 0, position })),
    );
  });

  it('goes down line by line, past rows without heads', () => {
    expect(from(0, 2)('ArrowDown')).toEqual({ row: 0, position: 4 }); // the line below is shorter
    expect(from(0, 4)('ArrowDown')).toEqual({ row: 2, position: 1 });
    expect(from(2, 3)('ArrowDown')).toBeNull();
  });

  it('goes up into the last line of the row above', () => {
    expect(from(2, 1)('ArrowUp')).toEqual({ row: 0, position: 4 });
    expect(from(2, 3)('ArrowUp')).toEqual({ row: 2, position: 0 });
    expect(from(0, 1)('ArrowUp')).toBeNull();
  });

  it('turns pages to the first and last rows', () => {
    expect([from(2, 1)('PageUp'), from(0, 1)('PageDown')]).toEqual([{ row: 0, position: 1 }, { row: 2, position: 1 }]);
  });
});

describe('words', () => {
  const named = (...labels: string[]) =>
    shortNames(labels.map((label) => ({ ...layer(`${label} attention`, [0]), kind: 'attention' })));

  it('keep what tells one layer from another', () => {
    const long = ['encoder.layer.0.attention.self', 'encoder.layer.11.attention.self'];
    expect(named(...long)).toEqual(['encoder…0…self', 'encoder…11…self']);
    expect(named('h.0.attn', 'h.1.attn')).toEqual(['h.0.attn', 'h.1.attn']);
  });

  it('are cut in their middle where nothing else helps', () => {
    const long = 'a_transformer_whose_only_attention_is_named_at_length';
    expect(named(long)).toEqual(['a_transformer_…ention_is_named_at_length']);
    expect([...named('b', long)[1]]).toHaveLength(40);
  });

  it('tell encoder from decoder', () => {
    const ends = ['encoder.layers.0.self', 'decoder.layers.0.self', 'decoder.layers.0.cross'];
    const sides = ends.map((end) => `model.${end}`);
    expect(named(...sides)).toEqual(sides.map((name) => name.replace('model.', 'model…')));
  });

  it('leave out the start that all share before they are cut', () => {
    const ends = ['encoder.layers.0.self_attn', 'decoder.layers.0.multihead_attn'];
    expect(named(...ends.map((end) => `transformer.${end}`))).toEqual([`transformer…${ends[0]}`, `…${ends[1]}`]);
  });

  it('cut no character in two', () => {
    expect(named('\u{1F600}'.repeat(50))[0]).toBe(`${'\u{1F600}'.repeat(14)}…${'\u{1F600}'.repeat(25)}`);
  });

  it('have a code for every kind', () => {
    expect(['previous token', 'broad', 'windowed', ''].map(kindCode)).toEqual(['P', 'B', 'W', '']);
  });

  it('have numbers short enough for the smallest map', () => {
    const text = (order: 'sink' | 'distance', value: number) =>
      measureText(order, { [order]: Float32Array.of(value) }, 0);
    const shares = [0, 0.00052, 0.0051, 0.5, 0.9999].map((value) => text('sink', value));
    expect(shares).toEqual(['0', '<.01', '0.01', '0.5', '1']);
    expect([0.26, 1.93, 683.14, 12345].map((value) => text('distance', value))).toEqual(['0.26', '1.9', '680', '12k']);
  });

  it('say when not all queries were read', () => {
    const sentence = 'Sampled: maps and measures are from some of the 2,048 queries, evenly spread.';
    expect(captionText('index', [], 2048)).toContain(sentence);
    expect(captionText('index', [], 0)).not.toContain('Sampled');
  });
});
