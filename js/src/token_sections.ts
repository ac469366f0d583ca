/**
 * TokenSections: which parts of a long list of tokens are on the screen: only those are shaded as the cursor moves.
 *
 * In: the nodes of a list. Out: the same in sections, which of them are seen, and a call when one comes into view.
 */

import { element } from './drawn_view';
import type { Lifetime } from './lifetime';

/** Tokens of a section: a few lines of text. */
export const SECTION_TOKENS = 256;

export class TokenSections {
  private readonly seen = new Set<number>();
  private readonly observer: IntersectionObserver | null;
  private sections: HTMLElement[] = [];

  /** `appeared`: a section has come into view. */
  constructor(
    life: Lifetime,
    private readonly appeared: (section: number) => void,
  ) {
    const look = life.guard((entries: IntersectionObserverEntry[]) => entries.forEach((entry) => this.note(entry)));
    this.observer = typeof IntersectionObserver === 'undefined' ? null : new IntersectionObserver(look);
    life.onEnd(() => this.observer?.disconnect());
  }

  /** The nodes of each token, in as many sections as there are; a short list stays as it is. */
  divide(nodes: Node[][]): Node[] {
    this.observer?.disconnect();
    const count = Math.ceil(nodes.length / SECTION_TOKENS);
    this.seen.clear();
    this.sections = [];
    for (let number = 0; number < count; number++) {
      this.seen.add(number); // until the observer says otherwise: the first picture has no wait
    }
    if (count < 2) {
      return nodes.flat();
    }
    for (let number = 0; number < count; number++) {
      const section = element('span', 'memviz-token-section');
      section.setAttribute('role', 'presentation');
      section.append(...nodes.slice(number * SECTION_TOKENS, (number + 1) * SECTION_TOKENS).flat());
      this.sections.push(section);
      this.observer?.observe(section);
    }
    return this.sections;
  }

  /** Whether a section may be on the screen. */
  isSeen(section: number): boolean {
    return this.seen.has(section);
  }

  private note({ target, isIntersecting }: IntersectionObserverEntry): void {
    const section = this.sections.indexOf(target as HTMLElement);
    if (section < 0 || isIntersecting === this.seen.has(section)) {
      return; // of a list that is gone, or nothing new
    }
    if (isIntersecting) {
      this.seen.add(section);
      this.appeared(section);
    } else {
      this.seen.delete(section);
    }
  }
}
