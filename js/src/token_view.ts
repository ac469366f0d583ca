/**
 * TokenView: the text as text. The background of each token is the weight of the selected query (or key) for it.
 *
 * In: Selection, the choice of a map. Out: query or key of the Selection, set by click or Enter; hover and focus only
 * look. Queries and keys of two sequences (cross-attention) are two lines of text.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { hasQuery, placedLine, weightAt, weightLine } from './attention_rows';
import type { ReadMap, Side, WeightLine } from './attention_rows';
import type { AttentionEntry, Catalog } from './catalog';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { tokenViewDefaults } from './generated/traits';
import type { TokenViewState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { FROM_ONE_QUERY } from './map_words';
import { approximately } from './number_text';
import type { SelectionModel } from './selection';
import { followAttention, pin, pinnedIndex, queryOffset } from './shown_attention';
import { readMap, shownAttention, sideTexts, textsName } from './shown_attention';
import type { ShownAttention } from './shown_attention';
import { TokenList } from './token_list';
import { positionWords } from './token_texts';
import { lineWords } from './weight_words';

type Direction = TokenViewState['direction'];
const SIDES: Side[] = ['query', 'key'];

/** A position on one side of the map. */
interface Looked {
  side: Side;
  index: number;
}

export class TokenViewModel extends DrawnModel<TokenViewState> {
  static override serializers = {
    ...DrawnModel.serializers,
    selection: { deserialize: unpack_models },
    choice: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...tokenViewDefaults() };
  }
}

export class TokenViewView extends DrawnView<TokenViewState> {
  private caption!: HTMLDivElement;
  private body!: HTMLDivElement;
  private lists!: Record<Side, TokenList>; // one sequence: all of it is in the list of the keys
  private texts: Record<Side, (string | null)[]> = { query: [], key: [] };
  private listed: { catalog: Catalog | null; name: string } = { catalog: null, name: '' };

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  protected build(): void {
    this.el.classList.add('memviz-tokens');
    this.caption = element('div', 'memviz-tokens-caption memviz-note');
    this.caption.setAttribute('aria-live', 'polite');
    this.body = element('div', 'memviz-tokens-body');
    this.lists = { query: this.tokenList('query'), key: this.tokenList('key') };
    this.body.append(this.lists.query.el, this.lists.key.el);
    this.el.append(this.caption, this.body);
    keepKeys(this.el, this.life);
    this.listenTo(this.model, 'change:direction', () => this.schedule());
    this.listenTo(this.model, 'change:choice', this.life.guard(() => this.followAgain()));
  }

  private tokenList(side: Side): TokenList {
    return new TokenList(this.life, {
      look: () => this.schedule(),
      pin: (index) => this.pinToken(side, index),
      describe: (index) => this.describe(side, index),
    });
  }

  protected follow(): void {
    followAttention(this.life, this.selection, this.model.trait('choice'), () => this.schedule());
  }

  private followAgain(): void {
    this.life.unfollow();
    this.follow();
    this.schedule();
  }

  private shown(): ShownAttention | null {
    return this.selection && shownAttention(this.selection, this.model.trait('choice'));
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  protected draw(): void {
    const shown = this.shown();
    const attention = shown?.picture ? shown.attention : null;
    this.body.hidden = !attention;
    this.el.dataset.state = shown?.frame ? 'ready' : shown?.message ? 'message' : 'loading';
    if (!this.selection || !shown || !attention) {
      setText(this.caption, shown?.message ?? '');
      return;
    }
    this.listTexts(this.selection, attention);
    const looked = this.looked(this.selection, attention, shown.onlyQuery);
    this.markPinned(this.selection, attention);
    const map = readMap(shown);
    if (shown.onlyQuery !== null && looked?.side === 'key') {
      SIDES.forEach((side) => this.lists[side].shade(null));
      setText(this.caption, FROM_ONE_QUERY);
    } else if (map && looked) {
      this.shade(map, attention, looked);
    } else if (!map && shown.message) {
      SIDES.forEach((side) => this.lists[side].shade(null));
      setText(this.caption, shown.message);
    } else if (!looked) {
      this.shadeNothing();
    }
  }

  /** New elements only for new texts. */
  private listTexts(selection: SelectionModel, attention: AttentionEntry): void {
    const { catalog } = selection.store;
    const name = textsName(selection, attention);
    if (catalog === this.listed.catalog && name === this.listed.name) {
      return;
    }
    this.listed = { catalog, name };
    const single = queryOffset(attention) !== null;
    this.texts = { query: sideTexts(selection, attention, 'query'), key: sideTexts(selection, attention, 'key') };
    this.lists.query.el.hidden = single;
    this.lists.query.show(single ? [] : this.texts.query, 'queries');
    this.lists.key.show(this.texts.key, single ? 'tokens' : 'keys');
  }

  private markPinned(selection: SelectionModel, attention: AttentionEntry): void {
    const at = (side: Side): number => pinnedIndex(selection, attention, side);
    const offset = queryOffset(attention);
    if (offset === null) {
      SIDES.forEach((side) => this.lists[side].pin(at(side), this.body));
    } else {
      this.lists.key.pin(this.model.trait('direction') === 'from' ? at('query') + offset : at('key'), this.body);
    }
  }

  /**
   * What is under the pointer or the keyboard, else what is pinned; null: a token that asks nothing of this map. A map
   * of one query has nothing to look at but what is pinned.
   */
  private looked(selection: SelectionModel, attention: AttentionEntry, onlyQuery: number | null): Looked | null {
    const offset = queryOffset(attention);
    const side: Side = this.model.trait('direction') === 'from' ? 'query' : 'key';
    if (onlyQuery !== null) {
      return { side, index: pinnedIndex(selection, attention, side) };
    }
    if (offset === null) {
      const asked = SIDES.find((each) => this.lists[each].looked !== null);
      const index = asked && this.lists[asked].looked;
      return asked && index !== null && index !== undefined
        ? { side: asked, index }
        : { side, index: pinnedIndex(selection, attention, side) };
    }
    const position = this.lists.key.looked;
    return position === null
      ? { side, index: pinnedIndex(selection, attention, side) }
      : lookedAt(attention, side, position, offset);
  }

  private shade(map: ReadMap, attention: AttentionEntry, { side, index }: Looked): void {
    const line = weightLine(map, side, index);
    const offset = queryOffset(attention);
    const target: Side = side === 'query' ? 'key' : 'query';
    if (offset === null) {
      this.lists[side].shade(null);
      this.lists[target].shade(line);
    } else {
      this.lists.key.shade(side === 'query' ? line : placedLine(line, offset, attention.keys));
    }
    setText(this.caption, this.captionText(map, line, side, index));
  }

  private captionText(map: ReadMap, line: WeightLine, side: Side, index: number): string {
    return lineWords(map, line, {
      side,
      index,
      name: (dim: Side, position: number) => positionWords(dim, position, this.texts[dim][position] ?? null),
      drawn: 'background',
      signs: 'blue above, orange below the other head',
    });
  }

  private shadeNothing(): void {
    this.lists.key.shade(null);
    setText(this.caption, 'This token is no query of this pass: its row was computed in an earlier one.');
  }

  // -------------------------------------------------------------------------------------------------------- events

  /** "query 5 “play” → key 3 “the”: ≈ 0.0312" for the pinned position and a token under the pointer. */
  private describe(side: Side, index: number): string {
    const shown = this.shown();
    const map = shown && readMap(shown);
    if (!this.selection || !shown?.attention || !map) {
      return '';
    }
    const { attention } = shown;
    const offset = queryOffset(attention);
    const direction = this.model.trait('direction');
    const reads: Side = offset === null ? side : direction === 'from' ? 'key' : 'query';
    const position = reads === 'query' && offset !== null ? index - offset : index;
    if (position < 0 || position >= this.texts[reads].length) {
      return '';
    }
    const pinned = pinnedIndex(this.selection, attention, reads === 'key' ? 'query' : 'key');
    const [query, key] = reads === 'key' ? [pinned, position] : [position, pinned];
    if (!hasQuery(map, query)) {
      return '';
    }
    const words = (dim: Side, at: number): string => positionWords(dim, at, this.texts[dim][at] ?? null);
    return `${words('query', query)} → ${words('key', key)}: ≈ ${approximately(weightAt(map, query, key))}`;
  }

  private pinToken(side: Side, index: number): void {
    const attention = this.shown()?.attention;
    if (!this.selection || !attention) {
      return;
    }
    const offset = queryOffset(attention);
    if (offset === null) {
      this.turn(side === 'query' ? 'from' : 'to');
      pin(this.selection, side, index);
      return;
    }
    const looked = lookedAt(attention, this.model.trait('direction') === 'from' ? 'query' : 'key', index, offset);
    if (looked) {
      pin(this.selection, looked.side, looked.index);
    }
  }

  private turn(direction: Direction): void {
    if (direction !== this.model.trait('direction')) {
      this.model.set('direction', direction);
      this.model.save_changes();
    }
  }
}

/** The query or key that a position of a single sequence is; null: it is no query. */
function lookedAt(attention: AttentionEntry, side: Side, position: number, offset: number): Looked | null {
  const index = side === 'query' ? position - offset : position;
  return index >= 0 && (side === 'key' || index < attention.queries) ? { side, index } : null;
}
