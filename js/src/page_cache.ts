/** PageCache: the pages held in the browser, within a byte budget; the least recently seen go first. */

import { pageId } from './pages';
import type { Page, PageName } from './pages';

export class PageCache {
  private readonly held = new Map<string, Page>(); // insertion order = order of last use, oldest first
  private heldBytes = 0;

  get bytes(): number {
    return this.heldBytes;
  }

  has(name: PageName): boolean {
    return this.held.has(pageId(name));
  }

  /** The page, which becomes the most recently used; null when it is not here. */
  use(name: PageName): Page | null {
    const id = pageId(name);
    const page = this.held.get(id);
    if (page === undefined) {
      return null;
    }
    this.held.delete(id);
    this.held.set(id, page);
    return page;
  }

  /** Takes a page in. Then old pages go until the budget holds, except it and those in `keep` (page ids). */
  add(page: Page, budgetBytes: number, keep: ReadonlySet<string>): void {
    const id = pageId(page);
    this.drop(id);
    this.held.set(id, page);
    this.heldBytes += page.bytes;
    for (const old of this.held.keys()) {
      if (this.heldBytes <= budgetBytes) {
        return;
      }
      if (old !== id && !keep.has(old)) {
        this.drop(old);
      }
    }
  }

  /** Most recently used first, as many as fit into `limitBytes`. */
  newest(limitBytes: number): Page[] {
    const pages: Page[] = [];
    let bytes = 0;
    for (const page of [...this.held.values()].reverse()) {
      if (bytes + page.bytes <= limitBytes) {
        pages.push(page);
        bytes += page.bytes;
      }
    }
    return pages;
  }

  clear(): void {
    this.held.clear();
    this.heldBytes = 0;
  }

  private drop(id: string): void {
    const page = this.held.get(id);
    if (page !== undefined) {
      this.held.delete(id);
      this.heldBytes -= page.bytes;
    }
  }
}
