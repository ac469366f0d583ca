import { expect, it } from 'vitest';

import { MAX_REQUEST_BYTES } from '../src/page_requests';
import { pageBytes, requestCost } from '../src/prefetch';
import { attentionOf } from './attention_world';
import { catalogOf } from './models';

const overview = { record: 0, kind: 'heads', page: 0 } as const;

it('asks for the overview of a long text alone, so that the next head need not wait for many', () => {
  const long = catalogOf(attentionOf({ queries: 2048, keys: 2048, heads: 16 }));
  expect(requestCost(long, overview)).toBeGreaterThan(MAX_REQUEST_BYTES / 2);
  const short = catalogOf(attentionOf({ queries: 15, keys: 15, heads: 12 }));
  expect(requestCost(short, overview)).toBeLessThan(MAX_REQUEST_BYTES / 100);
});

it('counts bytes alone for a frame', () => {
  const catalog = catalogOf(attentionOf({ queries: 2048, keys: 2048, heads: 16 }));
  const frame = { record: 0, kind: 'frame', page: 0 } as const;
  expect(requestCost(catalog, frame)).toBe(pageBytes(catalog, frame));
});
