/** Two recordings of two layers and their difference, with a page of each, for the tests of a comparison. */

import type { Catalog } from '../src/catalog';
import type { DistanceEntry } from '../src/generated/catalog';
import type { SelectionModel } from '../src/selection';
import { FakeComm, NO_TEXTS, framePage, imageRecord, stats, stepped, world } from './models';

/** Layers a (one call) and b (two calls), of two channels each; statistics from `lo` to `hi`. */
export function twoLayers(lo: number | null, hi: number | null): Catalog {
  const records = [imageRecord(1, 2), imageRecord(1, 2), imageRecord(1, 2)].map((record) => ({
    ...record,
    stats: lo === null ? null : stats(lo, hi),
  }));
  return { ...NO_TEXTS, layers: [stepped('a', [[0]]), stepped('b', [[1, 2]])], records, lo, hi };
}

export function cursor(lo: number | null, hi: number | null, comm?: FakeComm): SelectionModel {
  const pages = [framePage({ record: 0, kind: 'frame', page: 0 }, [2, 2, 3])];
  return world(twoLayers(lo, hi), comm, { pages }).selection;
}

export function entry(record: number, relative_l2: number | null, more: Partial<DistanceEntry> = {}): DistanceEntry {
  return { record, relative_l2, infinite: false, cosine: null, cka: null, rows: 0, note: '', ...more };
}
