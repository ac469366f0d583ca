import { describe, expect, it } from 'vitest';

import { approximately, byteText, countText, fixedDecimals, shareText } from '../src/number_text';

describe('an approximation', () => {
  it.each([
    [0.82134515, '0.8213'],
    [-2.1, '−2.1'],
    [0, '0'],
    [-0, '0'],
    [123456.7, '123500'],
    [1234567, '1.235e6'],
    [1.5e-7, '1.5e−7'],
    [-3.00001e-5, '−3e−5'],
    [1.7e308, '1.7e308'],
    [NaN, 'NaN'],
    [Infinity, '+Inf'],
    [-Infinity, '−Inf'],
  ])('of %d is %s', (value, text) => expect(approximately(value)).toBe(text));
});

it('keeps the decimals of an axis, and has no minus before zero', () => {
  expect([fixedDecimals(0.5, 2), fixedDecimals(-1, 1), fixedDecimals(-0.0001, 1)]).toEqual(['0.50', '−1.0', '0.0']);
});

it('says 0 % and 100 % only of none and all', () => {
  const shares = [0, 0.0001, 0.004, 0.123, 0.51, 0.9985, 0.99999, 1];
  expect(shares.map(shareText)).toEqual(['0 %', '< 0.1 %', '0.4 %', '12 %', '51 %', '99.9 %', '> 99.9 %', '100 %']);
});

it('separates thousands', () => {
  expect([countText(7), countText(2048), countText(1234567)]).toEqual(['7', '2,048', '1,234,567']);
});

it('counts bytes in units of 1024', () => {
  const bytes = [0, 412, 1024, 3_250_000, 128 * 2 ** 20, 5 * 2 ** 30];
  expect(bytes.map(byteText)).toEqual(['0 B', '412 B', '1 KiB', '3.1 MiB', '128 MiB', '5 GiB']);
});
