import { expect, it } from 'vitest';

import { powerTicks } from '../src/power_ticks';

it('are the ends and the decades between, as weights', () => {
  expect(powerTicks(-6, 0, 500).map(({ text }) => text)).toEqual(['1e−6', '1e−5', '0.0001', '0.001', '0.01', '0.1', '1']);
  expect(powerTicks(-2.5, 0, 500)).toEqual([
    { position: 0, text: '0.0032' },
    { position: 0.2, text: '0.01' },
    { position: 0.6, text: '0.1' },
    { position: 1, text: '1' },
  ]);
});

it('do not touch', () => {
  expect(powerTicks(-6, 0, 100).map(({ text }) => text)).toEqual(['1e−6', '1']);
});

it('survive a range of one value', () => {
  expect(powerTicks(-3, -3, 500)).toEqual([{ position: 0, text: '0.001' }]);
});
