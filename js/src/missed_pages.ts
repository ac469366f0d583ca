/** MissedPages: pages that views asked for and that were not here, the last first. No page, no message. */

import { attentionPlace } from './attention_place';
import type { Catalog, PageKind } from './catalog';
import { memoryRecords } from './memory_place';
import { pageId } from './pages';
import type { PageName } from './pages';
import { isCostly } from './prefetch';
import type { SelectionModel } from './selection';

/** Missed pages remembered beyond those around the cursors: what views asked for last. */
const MAX_MISSES = 128;
/** Small pages of every layer at once, worth a replay each. */
const OVERVIEWS: PageKind[] = ['tiles', 'heads'];

export class MissedPages {
  private readonly missed = new Map<string, PageName>();

  note(name: PageName): void {
    this.missed.delete(pageId(name));
    this.missed.set(pageId(name), name);
    if (this.missed.size > MAX_MISSES) {
      this.missed.delete(this.missed.keys().next().value as string);
    }
  }

  delete(name: PageName): void {
    this.missed.delete(pageId(name));
  }

  clear(): void {
    this.missed.clear();
  }

  /** The last first; of what would be computed again only what a cursor is still at, and overviews. */
  still(catalog: Catalog, cursors: Iterable<SelectionModel>): PageName[] {
    const looked = new Set([...cursors].flatMap((cursor) => recordsAt(catalog, cursor)));
    const missed = [...this.missed.values()].filter((name) => !isCostly(name)).reverse();
    return missed.filter(
      ({ record, kind }) => looked.has(record) || OVERVIEWS.includes(kind) || !catalog.records[record]?.on_demand,
    );
  }
}

/** The record that a cursor is at, and the attention and the memory that are shown there. */
function recordsAt(catalog: Catalog, cursor: SelectionModel): (number | undefined)[] {
  return [cursor.place()?.index, attentionPlace(catalog, cursor)?.index, ...memoryRecords(catalog, cursor)];
}
