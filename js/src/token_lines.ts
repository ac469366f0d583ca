/**
 * TokenLines: queries on the left, keys on the right, a line for every weight from the threshold on.
 *
 * In: Selection, the choice of a map, the threshold. Out: query or key of the Selection, set by click or Enter. A token
 * under the pointer or the keyboard shows its own lines alone.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { hasAllQueries, hasQuery, weightAt } from './attention_rows';
import type { ReadMap, Side } from './attention_rows';
import type { AttentionEntry, Catalog } from './catalog';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { tokenLinesDefaults } from './generated/traits';
import type { TokenLinesState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { linesAbove, strongest } from './line_choice';
import type { Line } from './line_choice';
import { approximately, countText } from './number_text';
import type { SelectionModel } from './selection';
import { followAttention, pin, pinnedIndex, readMap, shownAttention, sideTexts, textsName } from './shown_attention';
import { TokenList } from './token_list';
import { positionWords } from './token_texts';
import { mapWords } from './weight_words';

/** Tokens a side: above, the lines cover each other. */
export const MOST_TOKENS = 64;
const ROW_PX = 20; // height of a token, as in token_style.ts
const ACROSS = 100; // width of the drawing in its own units; the page stretches it
const WIDEST_PX = 4;
const SPOKEN_LINES = 3;
const SVG = 'http://www.w3.org/2000/svg';
const SIDES: Side[] = ['query', 'key'];

export class TokenLinesModel extends DrawnModel<TokenLinesState> {
  static override serializers = {
    ...DrawnModel.serializers,
    selection: { deserialize: unpack_models },
    choice: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...tokenLinesDefaults() };
  }
}

export class TokenLinesView extends DrawnView<TokenLinesState> {
  private caption!: HTMLDivElement;
  private body!: HTMLDivElement;
  private lists!: Record<Side, TokenList>;
  private drawing!: SVGSVGElement;
  private texts: Record<Side, (string | null)[]> = { query: [], key: [] };
  private listed: { catalog: Catalog | null; name: string } = { catalog: null, name: '' };

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  protected build(): void {
    this.el.classList.add('memviz-lines');
    this.caption = element('div', 'memviz-tokens-caption memviz-note');
    this.caption.setAttribute('aria-live', 'polite');
    this.body = element('div', 'memviz-lines-body');
    this.lists = { query: this.tokenList('query'), key: this.tokenList('key') };
    this.lists.query.el.classList.add('memviz-lines-queries');
    this.lists.key.el.classList.add('memviz-lines-keys');
    this.drawing = document.createElementNS(SVG, 'svg');
    this.drawing.setAttribute('class', 'memviz-lines-drawn');
    this.drawing.setAttribute('preserveAspectRatio', 'none');
    this.drawing.setAttribute('aria-hidden', 'true'); // the caption and the tokens say what it shows
    this.body.append(this.lists.query.el, this.drawing, this.lists.key.el);
    this.el.append(this.caption, this.body);
    keepKeys(this.el, this.life);
    this.listenTo(this.model, 'change:threshold', () => this.schedule());
    this.listenTo(this.model, 'change:choice', this.life.guard(() => this.followAgain()));
  }

  private tokenList(side: Side): TokenList {
    const listener = {
      look: () => this.schedule(),
      pin: (index: number) => this.selection && pin(this.selection, side, index),
      describe: (index: number) => this.describe(side, index),
    };
    return new TokenList(this.life, listener, true);
  }

  protected follow(): void {
    followAttention(this.life, this.selection, this.model.trait('choice'), () => this.schedule());
  }

  private followAgain(): void {
    this.life.unfollow();
    this.follow();
    this.schedule();
  }

  private map(): { map: ReadMap | null; attention: AttentionEntry | null; message: string } {
    const shown = this.selection && shownAttention(this.selection, this.model.trait('choice'));
    if (!shown?.attention || !shown.picture) {
      return { map: null, attention: null, message: shown?.message ?? '' };
    }
    return { map: readMap(shown), attention: shown.attention, message: shown.message };
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  protected draw(): void {
    const { map, attention, message } = this.map();
    const excess = attention && tooMany(attention);
    this.body.hidden = !attention || excess !== '';
    this.el.dataset.state = this.body.hidden || (!map && message) ? 'message' : map ? 'ready' : 'loading';
    if (!this.selection || !attention || excess) {
      setText(this.caption, excess || message);
      return;
    }
    this.listTexts(this.selection, attention);
    const selection = this.selection;
    SIDES.forEach((side) => this.lists[side].pin(pinnedIndex(selection, attention, side)));
    if (map) {
      this.drawLines(map, attention);
    } else if (message) {
      this.drawing.replaceChildren();
      setText(this.caption, message);
    }
  }

  private listTexts(selection: SelectionModel, attention: AttentionEntry): void {
    const { queries, keys } = attention;
    const { catalog } = selection.store;
    const name = textsName(selection, attention);
    if (catalog === this.listed.catalog && name === this.listed.name) {
      return;
    }
    this.listed = { catalog, name };
    this.texts = { query: sideTexts(selection, attention, 'query'), key: sideTexts(selection, attention, 'key') };
    this.lists.query.show(this.texts.query, 'queries');
    this.lists.key.show(this.texts.key, 'keys');
    const height = ROW_PX * Math.max(queries, keys);
    this.drawing.setAttribute('viewBox', `0 0 ${ACROSS} ${height}`);
    this.drawing.setAttribute('height', String(height));
  }

  /** What is under the pointer or the keyboard; null: all lines are shown. */
  private looked(): { side: Side; index: number } | null {
    const side = SIDES.find((each) => this.lists[each].looked !== null);
    const index = side && this.lists[side].looked;
    return side && index !== null && index !== undefined ? { side, index } : null;
  }

  private drawLines(map: ReadMap, attention: AttentionEntry): void {
    const threshold = this.model.trait('threshold');
    const lines = linesAbove(map, attention.queries, attention.keys, threshold);
    const looked = this.looked();
    const shown = looked ? lines.filter((line) => line[looked.side] === looked.index) : lines;
    this.drawing.replaceChildren(...shown.map(lineElement));
    const queries = hasAllQueries(map) ? attention.queries : 1;
    setText(this.caption, this.captionText(map, shown, queries * attention.keys, looked));
  }

  private captionText(
    map: ReadMap,
    lines: Line[],
    pairs: number,
    looked: { side: Side; index: number } | null,
  ): string {
    const least = approximately(this.model.trait('threshold'));
    if (!looked) {
      const signs = map.kind === 'difference' ? '; blue above, orange below the other head' : '';
      const count = `${countText(lines.length)} of ${countText(pairs)} pairs`;
      return `${count}: width = ${mapWords(map.kind)}, from ${least} on${signs}`;
    }
    if (looked.side === 'query' && !hasQuery(map, looked.index)) {
      const what = mapWords(map.kind);
      return `${this.name('query', looked.index)} is not selected: ${what} is from the selected query alone`;
    }
    const other: Side = looked.side === 'query' ? 'key' : 'query';
    const words = (line: Line): string => `${this.name(other, line[other])} ≈ ${approximately(line.weight)}`;
    const told = strongest(lines, SPOKEN_LINES).map(words);
    const more = lines.length - told.length;
    const rest = more > 0 ? [`${countText(more)} more`] : [];
    const unattended = map.kind === 'flow' ? 'has no flow' : 'is attended by nothing';
    const [way, none] = looked.side === 'query' ? ['→', 'attends to nothing'] : ['←', unattended];
    const name = this.name(looked.side, looked.index);
    return told.length ? `${name} ${way} ${[...told, ...rest].join(', ')}` : `${name} ${none} with ${least} or more`;
  }

  private name(side: Side, index: number): string {
    return positionWords(side, index, this.texts[side][index] ?? null);
  }

  // -------------------------------------------------------------------------------------------------------- events

  /** The weight between a token under the pointer and the one that is selected on the other side. */
  private describe(side: Side, index: number): string {
    const { map, attention } = this.map();
    if (!this.selection || !map || !attention) {
      return '';
    }
    const pinned = pinnedIndex(this.selection, attention, side === 'query' ? 'key' : 'query');
    const [query, key] = side === 'query' ? [index, pinned] : [pinned, index];
    if (!hasQuery(map, query)) {
      return '';
    }
    return `${this.name('query', query)} → ${this.name('key', key)}: ≈ ${approximately(weightAt(map, query, key))}`;
  }
}

function tooMany({ queries, keys }: AttentionEntry): string {
  if (Math.max(queries, keys) <= MOST_TOKENS) {
    return '';
  }
  return (
    `Lines are drawn for at most ${MOST_TOKENS} tokens a side; here are ${countText(queries)} queries and ` +
    `${countText(keys)} keys. The text and the matrix show them all.`
  );
}

function lineElement({ query, key, weight }: Line): SVGElement {
  const line = document.createElementNS(SVG, 'line');
  const size = Math.min(1, Math.abs(weight));
  const attributes = {
    class: weight < 0 ? 'memviz-line memviz-line-minus' : 'memviz-line',
    x1: 0,
    y1: (query + 0.5) * ROW_PX,
    x2: ACROSS,
    y2: (key + 0.5) * ROW_PX,
    'stroke-width': Math.max(0.5, WIDEST_PX * size).toFixed(2),
    'stroke-opacity': (0.25 + 0.75 * size).toFixed(2),
  };
  Object.entries(attributes).forEach(([name, value]) => line.setAttribute(name, String(value)));
  return line;
}
