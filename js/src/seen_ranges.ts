/** SeenRanges: range and error of what has come so far, per record; both grow with the pages. */

import type { Ends, PageKind } from './catalog';
import type { Page } from './pages';

const NOTHING_SEEN: Ends = { min: null, max: null };
/**
 * Kinds whose lo and hi are a range of shown values, and whose range that is: a histogram tells of the frames that it was
 * counted over, and rows in another order are the same values.
 */
const RANGED: Partial<Record<PageKind, PageKind>> = {
  frame: 'frame',
  histogram: 'frame',
  row: 'row',
  log: 'log',
  mean: 'mean',
  max: 'max',
  difference: 'difference',
  rollout: 'rollout',
  flow: 'flow',
  time: 'time',
  timescale: 'time',
  similarity: 'time',
  wrote: 'wrote',
  wrote_unit: 'wrote_unit',
  reads: 'reads',
};

export class SeenRanges {
  private readonly seen = new Map<string, Ends>();
  private readonly residuals = new Map<number, number>();

  /** Finite range of a record's pictures of one kind. */
  of(record: number, kind: PageKind): Ends {
    return this.seen.get(`${record}/${RANGED[kind] ?? kind}`) ?? NOTHING_SEEN;
  }

  /** Largest error of a record's values; null: none of them were recovered. */
  residual(record: number): number | null {
    return this.residuals.get(record) ?? null;
  }

  note(page: Page): void {
    if (typeof page.residual === 'number') {
      this.residuals.set(page.record, Math.max(page.residual, this.residual(page.record) ?? 0));
    }
    const kind = RANGED[page.kind];
    const [lows, highs] = [page.lo, page.hi].map((ends) => [...ends].filter(Number.isFinite));
    if (kind && lows.length > 0) {
      const { min, max } = this.of(page.record, kind);
      const [low, high] = [Math.min(...lows), Math.max(...highs)];
      this.seen.set(`${page.record}/${kind}`, { min: Math.min(min ?? low, low), max: Math.max(max ?? high, high) });
    }
  }

  clear(): void {
    this.seen.clear();
    this.residuals.clear();
  }
}
