/** SeenRanges: the finite range of what has come so far, per record and kind of picture; it grows with the pages. */

import type { Ends, PageKind } from './catalog';
import type { Page } from './pages';

const NOTHING_SEEN: Ends = { min: null, max: null };
/** Kinds whose lo and hi are a range of shown values; a histogram tells of the frames that it was counted over. */
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
};

export class SeenRanges {
  private readonly seen = new Map<string, Ends>();

  of(record: number, kind: PageKind): Ends {
    return this.seen.get(`${record}/${kind}`) ?? NOTHING_SEEN;
  }

  note(page: Page): void {
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
  }
}
