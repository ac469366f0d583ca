/**
 * TokenList: texts in reading order, each with a background as strong as its weight. A listbox of DOM elements.
 *
 * In: texts, weights, the pinned position. Out: which position is looked at (hover, keyboard focus) and which is pinned
 * (click, Enter). Knows no model. Only tokens that are on the screen are shaded, and of them those whose shade changed:
 * a text of 8,192 tokens costs what the screen costs.
 */

import { shareOf } from './attention_rows';
import type { WeightLine } from './attention_rows';
import { element } from './drawn_view';
import type { Lifetime } from './lifetime';
import { SECTION_TOKENS, TokenSections } from './token_sections';
import { breaksLine, quoted, shortText, visibleText, writingDirection } from './token_texts';

const SHOWN_CHARACTERS = 60; // of one token: the rest is in its tooltip
const LEVELS = 1000; // steps of a shade
const TITLE_CHARACTERS = 10_000;
/** Marks that stand above or below a letter, of which any number may: the text is then as high as it likes. */
const STACKED = /\p{M}/u;

export interface TokenListener {
  /** Another position is looked at; null: none. */
  look(index: number | null): void;
  pin(index: number): void;
  /** What the tooltip adds to the text. */
  describe(index: number): string;
}

export class TokenList {
  readonly el: HTMLDivElement;
  private tokens: HTMLSpanElement[] = [];
  private texts: readonly (string | null)[] = [];
  private levels = new Int16Array(0); // shade that each token has, below 0 for a negative weight
  private empties = new Uint8Array(0);
  private pinned = -1;
  private hovered: number | null = null;
  private focused: number | null = null;
  private pressedByPointer = false;
  private line: WeightLine | null = null;
  private readonly sections: TokenSections;

  /** `column`: one token under the other, else as a text. */
  constructor(
    life: Lifetime,
    private readonly listener: TokenListener,
    private readonly column = false,
  ) {
    this.el = element('div', 'memviz-token-list');
    this.el.setAttribute('role', 'listbox');
    this.el.setAttribute('aria-orientation', column ? 'vertical' : 'horizontal');
    this.sections = new TokenSections(life, (section) => this.shadeSection(section));
    life.on(this.el, 'pointerover', (event) => this.hover(this.indexOf(event)));
    life.on(this.el, 'pointerleave', () => this.hover(null));
    life.on(this.el, 'pointerdown', () => (this.pressedByPointer = true));
    life.on(this.el, 'focusin', (event) => this.focusMoved(this.indexOf(event)));
    life.on(this.el, 'focusout', () => this.focusMoved(null));
    life.on(this.el, 'click', (event) => this.clicked(this.indexOf(event)));
    life.on(this.el, 'keydown', (event) => this.pressed(event));
  }

  /** What is looked at: under the pointer, else where the keyboard is. */
  get looked(): number | null {
    return this.hovered ?? this.focused;
  }

  /** Other texts; null: the position itself stands there. */
  show(texts: readonly (string | null)[], label: string): void {
    this.texts = texts;
    this.levels = new Int16Array(texts.length);
    this.empties = new Uint8Array(texts.length);
    this.tokens = texts.map((text, index) => tokenElement(text, index));
    this.hovered = this.focused = this.line = null;
    this.pinned = -1;
    const breaks = (index: number): Node[] =>
      !this.column && breaksLine(texts[index] ?? '') ? [document.createElement('br')] : [];
    this.el.replaceChildren(...this.sections.divide(this.tokens.map((token, index) => [token, ...breaks(index)])));
    this.el.dir = this.column ? 'ltr' : writingDirection(texts);
    this.el.setAttribute('aria-label', label);
    if (this.tokens.length) {
      this.tokens[0].tabIndex = 0;
    }
  }

  /** Backgrounds in shares of the largest; null: none. What is not on the screen has them when it is. */
  shade(line: WeightLine | null): void {
    this.line = line;
    for (let section = 0; section * SECTION_TOKENS < this.tokens.length; section++) {
      if (this.sections.isSeen(section)) {
        this.shadeSection(section);
      }
    }
  }

  private shadeSection(section: number): void {
    const stop = Math.min(this.tokens.length, (section + 1) * SECTION_TOKENS);
    for (let index = section * SECTION_TOKENS; index < stop; index++) {
      this.shadeToken(index);
    }
  }

  private shadeToken(index: number): void {
    const { line } = this;
    const token = this.tokens[index];
    const weight = line?.weights[index] ?? 0;
    const level = line ? Math.round(LEVELS * shareOf(weight, line.largest)) * (weight < 0 ? -1 : 1) : 0;
    if (level !== this.levels[index]) {
      token.style.setProperty('--memviz-w', String(Math.abs(level) / LEVELS));
      token.classList.toggle('memviz-token-minus', level < 0);
      this.levels[index] = level;
    }
    const empty = line?.empty[index] ?? 0;
    if (empty !== this.empties[index]) {
      this.markEmpty(index, empty === 1);
      this.empties[index] = empty;
    }
  }

  /** Frames the pinned position (-1: none), and makes it the one that Tab reaches. Scrolls `box`, never the page. */
  pin(index: number, box: HTMLElement | null = null): void {
    if (index !== this.pinned) {
      this.tokens[this.pinned]?.setAttribute('aria-selected', 'false');
      this.tokens[index]?.setAttribute('aria-selected', 'true');
      this.pinned = index;
      if (this.focused === null && this.tokens[index]) {
        this.rove(index);
      }
      keepInView(box, this.tokens[index]);
    }
  }

  /** Weight 0 is no background, which cannot be heard: it is said. */
  private markEmpty(index: number, empty: boolean): void {
    const token = this.tokens[index];
    token.toggleAttribute('data-empty', empty);
    if (empty) {
      token.setAttribute('aria-label', `${quoted(this.texts[index] ?? String(index))}, masked: exactly 0`);
    } else {
      token.removeAttribute('aria-label');
    }
  }

  private indexOf(event: Event): number | null {
    const token = (event.target as Element).closest<HTMLElement>('.memviz-token');
    return token ? Number(token.dataset.index) : null;
  }

  // -------------------------------------------------------------------------------------------------------- events

  private hover(index: number | null): void {
    if (index !== null) {
      this.tokens[index].title = this.title(index);
    }
    this.lookAgain(() => (this.hovered = index));
  }

  private focusMoved(index: number | null): void {
    const byKeyboard = !this.pressedByPointer;
    this.pressedByPointer = false;
    // what a click focuses is pinned, and must not hide what is pinned elsewhere later
    this.lookAgain(() => (this.focused = byKeyboard ? index : null));
  }

  private clicked(index: number | null): void {
    this.pressedByPointer = false;
    if (index !== null) {
      this.rove(index);
      this.listener.pin(index);
    }
  }

  private lookAgain(change: () => void): void {
    const before = this.looked;
    change();
    if (this.looked !== before) {
      this.listener.look(this.looked);
    }
  }

  private title(index: number): string {
    const text = this.texts[index];
    const words = this.listener.describe(index);
    return text === null ? words : `${shortText(visibleText(text), TITLE_CHARACTERS)}\n${words}`;
  }

  private pressed(event: KeyboardEvent): void {
    const at = this.indexOf(event);
    if (at === null || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (event.key === 'Enter' || event.key === ' ') {
      this.listener.pin(at);
    } else {
      const target = this.target(event.key, at);
      if (target === undefined) {
        return;
      }
      this.rove(Math.max(0, Math.min(this.tokens.length - 1, target)));
      this.tokens.find((token) => token.tabIndex === 0)?.focus();
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** Where a key goes from a position; undefined: it is no key of ours. */
  private target(key: string, at: number): number | undefined {
    const forward = this.el.dir === 'rtl' ? -1 : 1;
    const targets: Record<string, (() => number) | undefined> = {
      ArrowLeft: () => at - forward,
      ArrowRight: () => at + forward,
      ArrowUp: () => (this.column ? at - 1 : this.otherLine(at, -1)),
      ArrowDown: () => (this.column ? at + 1 : this.otherLine(at, 1)),
      Home: () => 0,
      End: () => this.tokens.length - 1,
    };
    return targets[key]?.();
  }

  /** The nearest token in the line above or below; the same where there is none. */
  private otherLine(from: number, step: 1 | -1): number {
    const { offsetTop: top, offsetLeft: left } = this.tokens[from];
    let [nearest, gap, line] = [from, Infinity, NaN];
    for (let i = from + step; i >= 0 && i < this.tokens.length; i += step) {
      const { offsetTop, offsetLeft } = this.tokens[i];
      if (offsetTop === top) {
        continue;
      }
      line = Number.isNaN(line) ? offsetTop : line;
      if (offsetTop !== line) {
        break;
      }
      if (Math.abs(offsetLeft - left) < gap) {
        [nearest, gap] = [i, Math.abs(offsetLeft - left)];
      }
    }
    return nearest;
  }

  /** Makes one token the only one in the order of Tab. */
  private rove(index: number): void {
    this.tokens.find((token) => token.tabIndex === 0)?.setAttribute('tabindex', '-1');
    this.tokens[index].tabIndex = 0;
  }
}

/** `box` is what the token's offset is measured from. */
function keepInView(box: HTMLElement | null, token: HTMLElement | undefined): void {
  if (box && token && box.scrollHeight > box.clientHeight) {
    const { offsetTop, offsetHeight } = token;
    if (offsetTop < box.scrollTop || offsetTop + offsetHeight > box.scrollTop + box.clientHeight) {
      box.scrollTop = offsetTop - box.clientHeight / 2;
    }
  }
}

function tokenElement(text: string | null, index: number): HTMLSpanElement {
  const shown = text === null ? String(index) : shortText(visibleText(text), SHOWN_CHARACTERS);
  const token = element('span', 'memviz-token', shown);
  token.classList.toggle('memviz-token-stacked', STACKED.test(shown));
  token.dir = 'auto';
  token.tabIndex = -1;
  token.dataset.index = String(index);
  token.setAttribute('role', 'option');
  token.setAttribute('aria-selected', 'false');
  return token;
}
