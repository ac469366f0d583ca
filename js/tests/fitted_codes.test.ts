import { describe, expect, it } from 'vitest';

import type { Frame } from '../src/catalog';
import { fittedCodes, fittedSize } from '../src/fitted_codes';

const frame = (codes: number[][], lo = -1, hi = 1): Frame => ({
  codes: Uint8Array.from(codes.flat()), rows: codes.length, cols: codes[0].length, lo, hi,
});

describe('the size', () => {
  it('is that of the frame where the screen has the pixels', () => {
    expect(fittedSize({ rows: 4, cols: 6 }, 200.4, 300)).toEqual({ rows: 4, cols: 6 });
  });

  it('is that of the screen where it has fewer, one pixel at least', () => {
    expect(fittedSize({ rows: 1024, cols: 1024 }, 440.6, 0.2)).toEqual({ rows: 441, cols: 1 });
  });
});

describe('the codes', () => {
  it('are the very ones of the frame where every cell has a pixel', () => {
    const whole = frame([[1, 2], [3, 4]]);
    expect(fittedCodes(whole, { rows: 2, cols: 2 }, 'magnitude', false)).toBe(whole.codes);
  });

  it('are the loudest on each pixel: of both signs, every cell on one pixel', () => {
    const loud = frame([[126, 0, 126, 130, 126], [126, 126, 126, 126, 251]]); // 0 is -1, 126 is 0, 252 is 1
    expect([...fittedCodes(loud, { rows: 1, cols: 2 }, 'magnitude', false)]).toEqual([0, 251]);
  });

  it('never lose one cell among 1,024 x 1,024', () => {
    const codes = new Uint8Array(1024 * 1024).fill(126);
    codes[777 * 1024 + 333] = 252;
    const out = fittedCodes({ codes, rows: 1024, cols: 1024, lo: -1, hi: 1 }, { rows: 441, cols: 441 }, 'magnitude', false);
    expect([out.indexOf(252), out.filter((code) => code === 252).length]).toEqual([
      Math.floor((777 * 441) / 1024) * 441 + Math.floor((333 * 441) / 1024), 1,
    ]);
  });

  it('put NaN before infinities and these before numbers', () => {
    const bad = frame([[252, 254, 255, 253], [252, 252, 253, 254]]);
    expect([...fittedCodes(bad, { rows: 2, cols: 1 }, 'magnitude', false)]).toEqual([255, 254]);
  });

  it('are the largest of logarithms, not those furthest from 0, and an exact 0 comes last', () => {
    const logs = frame([[0, 252, 253, 100]], -9, 0);
    expect([...fittedCodes(logs, { rows: 1, cols: 2 }, 'value', true)]).toEqual([252, 100]);
    const weights = frame([[253, 0], [253, 253]], 0.1, 1);
    expect([...fittedCodes(weights, { rows: 2, cols: 1 }, 'magnitude', true)]).toEqual([0, 253]);
  });
});
