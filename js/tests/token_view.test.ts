import { beforeEach, describe, expect, it, vi } from 'vitest';

import { PictureChoiceModel } from '../src/picture_choice';
import { TokenViewModel, TokenViewView } from '../src/token_view';
import { HOSTILE, attentionOf, attentionWorld, mapPage } from './attention_world';
import { attentionCatalog, catalogOf, imageRecord, listenerCount, make, world } from './models';
import { all, nextFrame, press, shown, texts } from './page';

beforeEach(() => document.body.replaceChildren());

const SELF = { sequence: 0, offset: 0 };
const WORDS = ['the', 'cat', 'sat'];
// causal: 252 = 1, 126 = 0.5, 63 = 0.25, 253 = exactly 0
const CAUSAL = [252, 253, 253, 126, 126, 253, 63, 126, 63];

function tokenView(
  record = attentionOf({ queries: 3, keys: 3 }, { query_tokens: SELF, key_tokens: SELF }),
  codes: number[] = CAUSAL,
  tokens: string[][][] = [[WORDS]],
  state: object = {},
) {
  const { store, selection } = attentionWorld(record, codes.length ? [mapPage(record, codes)] : [], tokens);
  const model = make(TokenViewModel, { selection, ...state });
  const view = shown(TokenViewView, model);
  const [queries, keys] = all(view.el, '.memviz-token-list');
  return { store, selection, model, view, queries, keys, caption: view.el.querySelector('.memviz-tokens-caption') as HTMLElement };
}

const tokensOf = (root: HTMLElement) => all(root, '.memviz-token');
const strengths = (root: HTMLElement) => tokensOf(root).map((token) => Number(token.style.getPropertyValue('--memviz-w') || 0));
const over = (token: Element) => token.dispatchEvent(new MouseEvent('pointerover', { bubbles: true }));

describe('the text of one sequence', () => {
  it('is one line in reading order', () => {
    const { keys, queries } = tokenView();
    expect(texts(keys, '.memviz-token')).toEqual(WORDS);
    expect([queries.hidden, tokensOf(queries)]).toEqual([true, []]);
  });

  it('has backgrounds in shares of the largest weight of the selected query', async () => {
    const { keys, selection } = tokenView();
    expect(strengths(keys)).toEqual([1, 0, 0]);
    selection.set('query', 2);
    await nextFrame();
    expect(strengths(keys)).toEqual([0.5, 1, 0.5]);
  });

  it('shows what attends to the selected key in the other direction', () => {
    const { keys, caption } = tokenView(undefined, undefined, undefined, { direction: 'to' });
    expect(strengths(keys)).toEqual([1, 0.5, 0.25]);
    expect(caption.textContent).toContain('To key 0');
  });

  it('says what the strongest background stands for', async () => {
    const { caption, selection } = tokenView();
    selection.set('query', 2);
    await nextFrame();
    expect(caption.textContent?.replace(/[\u2068\u2069]/g, '')).toBe(
      'From query 2 “sat”: background = weight ÷ largest of the row, ≈ 0.5 (key 1 “cat”)',
    );
  });

  it('tells a screen reader which weights are exactly 0', async () => {
    const { keys, selection } = tokenView();
    const labels = () => tokensOf(keys).map((token) => token.getAttribute('aria-label')?.replace(/[\u2068\u2069]/g, '') ?? null);
    expect(labels()).toEqual([null, '“cat”, masked: exactly 0', '“sat”, masked: exactly 0']);
    selection.set('query', 2);
    await nextFrame();
    expect(labels()).toEqual([null, null, null]);
  });

  it('that goes on from earlier steps has its queries at the end', async () => {
    const record = attentionOf({ queries: 1, keys: 3 }, { query_tokens: { sequence: 0, offset: 2 }, key_tokens: SELF });
    const { keys, queries, caption } = tokenView(record, [63, 126, 63]);
    expect(queries.hidden).toBe(true);
    expect(tokensOf(keys).map((token) => token.getAttribute('aria-selected'))).toEqual(['false', 'false', 'true']);
    over(tokensOf(keys)[0]);
    await nextFrame();
    expect(caption.textContent).toMatch(/no query of this pass/);
    expect(strengths(keys)).toEqual([0, 0, 0]);
  });
});

describe('looking and pinning', () => {
  it('hover looks at another token, and leaves the selection', async () => {
    const { keys, selection } = tokenView();
    over(tokensOf(keys)[1]);
    await nextFrame();
    expect(strengths(keys)).toEqual([1, 1, 0]);
    expect(selection.get('query')).toBe(0);
    keys.dispatchEvent(new MouseEvent('pointerleave'));
    await nextFrame();
    expect(strengths(keys)).toEqual([1, 0, 0]);
  });

  it('a tooltip has the whole text and the weight from the selected query', () => {
    const { keys } = tokenView();
    over(tokensOf(keys)[1]);
    expect(tokensOf(keys)[1].title.replace(/[\u2068\u2069]/g, '')).toBe('cat\nquery 0 “the” → key 1 “cat”: ≈ 0');
  });

  it('a click selects the query', () => {
    const { keys, selection } = tokenView();
    tokensOf(keys)[2].click();
    expect([selection.get('query'), selection.get('key'), selection.get('time')]).toEqual([2, 0, 2]);
  });

  it('in the other direction a click selects the key', () => {
    const { keys, selection } = tokenView(undefined, undefined, undefined, { direction: 'to' });
    tokensOf(keys)[2].click();
    expect([selection.get('query'), selection.get('key'), selection.get('time')]).toEqual([0, 2, 0]);
  });

  it('while another layer is selected, a click selects the attention that is looked at', async () => {
    const { keys, selection } = tokenView();
    selection.set('layer', 1);
    await nextFrame();
    tokensOf(keys)[2].click();
    expect([selection.get('layer'), selection.get('query')]).toEqual([0, 2]);
  });

  it('works by keyboard: one token in the order of Tab, arrows, Home, End, Enter', async () => {
    const { keys, selection } = tokenView();
    const focused = () => tokensOf(keys).indexOf(document.activeElement as HTMLElement);
    const inTabOrder = () => tokensOf(keys).filter((token) => token.tabIndex === 0).length;
    tokensOf(keys)[0].focus();
    for (const [key, at] of [['ArrowRight', 1], ['End', 2], ['ArrowRight', 2], ['ArrowLeft', 1], ['Home', 0]] as const) {
      press(document.activeElement as Element, key);
      expect([focused(), inTabOrder()]).toEqual([at, 1]);
    }
    press(document.activeElement as Element, 'End');
    await nextFrame();
    expect(strengths(keys)).toEqual([0.5, 1, 0.5]); // focus looks
    expect(press(document.activeElement as Element, 'Enter').defaultPrevented).toBe(true);
    expect(selection.get('query')).toBe(2);
  });

  it('leaves keys with Ctrl to the host', () => {
    const { keys } = tokenView();
    expect(press(tokensOf(keys)[0], 'End', { ctrlKey: true }).defaultPrevented).toBe(false);
  });

  it('text from right to left turns the arrow keys', () => {
    const { keys } = tokenView(undefined, undefined, [[['שלום', 'עולם', 'של']]]);
    expect(keys.dir).toBe('rtl');
    tokensOf(keys)[0].focus();
    press(tokensOf(keys)[0], 'ArrowLeft');
    expect(document.activeElement).toBe(tokensOf(keys)[1]);
  });
});

describe('queries and keys of two sequences', () => {
  const cross = () =>
    tokenView(
      attentionOf({ queries: 2, keys: 3 }, { query_tokens: { sequence: 1, offset: 0 }, key_tokens: SELF }),
      [252, 126, 253, 63, 63, 126],
      [[WORDS], [['le', 'chat']]],
    );

  it('are two lines of text', () => {
    const { queries, keys } = cross();
    expect([texts(queries, '.memviz-token'), texts(keys, '.memviz-token')]).toEqual([['le', 'chat'], WORDS]);
    expect([strengths(queries), strengths(keys)]).toEqual([[0, 0], [1, 0.5, 0]]);
  });

  it('look from either of them at the other', async () => {
    const { queries, keys } = cross();
    over(tokensOf(keys)[2]);
    await nextFrame();
    expect([strengths(queries), strengths(keys)]).toEqual([[0, 1], [0, 0, 0]]);
  });

  it('a click on a key turns the direction', () => {
    const { keys, selection, model } = cross();
    tokensOf(keys)[2].click();
    expect([selection.get('key'), model.get('direction')]).toEqual([2, 'to']);
  });
});

describe('hostile texts', () => {
  const record = () => attentionOf({ queries: 8, keys: 8 }, { query_tokens: SELF, key_tokens: SELF });

  it('stay text: nothing is parsed, nothing is longer than a line', () => {
    const { keys, view } = tokenView(record(), Array<number>(64).fill(126), [[HOSTILE]]);
    expect(all(view.el, 'img, script')).toEqual([]);
    const found = texts(keys, '.memviz-token');
    expect(found.slice(0, 4)).toEqual(['<img src=x onerror=alert(1)>', 'שלום', '👩‍👩‍👧‍👦', '∅']);
    expect(found[4]).toBe(`${'a'.repeat(59)}…`);
    expect(found.slice(5)).toEqual(['x\\u202ey', '⏎', '␣']);
    expect(tokensOf(keys).every((token) => token.dir === 'auto')).toBe(true);
    expect(all(keys, 'br')).toHaveLength(1);
  });

  it('are whole in the tooltip', () => {
    const { keys } = tokenView(record(), Array<number>(64).fill(126), [[HOSTILE]]);
    over(tokensOf(keys)[4]);
    expect(tokensOf(keys)[4].title.split('\n')[0]).toBe('a'.repeat(10_000));
  });
});

describe('without', () => {
  it('texts, the positions stand there', () => {
    expect(texts(tokenView(attentionOf({ queries: 3, keys: 3 }), CAUSAL, []).keys, '.memviz-token')).toEqual(['0', '1', '2']);
  });

  it('attention, a sentence says so', () => {
    const { selection } = world(catalogOf(imageRecord(1, 1)));
    const view = shown(TokenViewView, make(TokenViewModel, { selection }));
    expect(view.el.textContent).toMatch(/^No attention was found in this recording/);
    expect(view.el.dataset.state).toBe('message');
  });

  it('values, the message of the record', () => {
    const catalog = attentionCatalog();
    const { selection } = world({ ...catalog, records: [{ ...catalog.records[0], frame: null, message: 'over the budget' }] });
    expect(shown(TokenViewView, make(TokenViewModel, { selection })).el.textContent).toBe('over the budget');
  });

  it('a page, the text waits for its weights', async () => {
    const { view, keys, store } = tokenView(undefined, []);
    expect([view.el.dataset.state, texts(keys, '.memviz-token'), strengths(keys)]).toEqual(['message', WORDS, [0, 0, 0]]);
    store.set('pages', [mapPage(attentionOf({ queries: 3, keys: 3 }), CAUSAL)]);
    await nextFrame();
    expect([view.el.dataset.state, strengths(keys)]).toEqual(['ready', [1, 0, 0]]);
  });
});

describe('with a choice of map', () => {
  it('reads that map, with the sign of a difference', async () => {
    const record = attentionOf({ queries: 1, keys: 3, heads: 2 });
    const page = mapPage(record, [0, 126, 252], { kind: 'difference', lo: Float64Array.of(-0.5), hi: Float64Array.of(0.5) });
    const { selection } = attentionWorld(record, [page]);
    const choice = make(PictureChoiceModel, { selection, kind: 'difference' });
    const view = shown(TokenViewView, make(TokenViewModel, { selection, choice }));
    const keys = all(view.el, '.memviz-token-list')[1];
    expect(strengths(keys)).toEqual([1, 0, 1]);
    expect(tokensOf(keys).map((token) => token.classList.contains('memviz-token-minus'))).toEqual([true, false, false]);
    choice.set('kind', 'rollout');
    await nextFrame();
    expect(view.el.textContent).toContain('no rollout to attn attention');
  });
});

it('passes over 2,048 tokens without touching those that stay', async () => {
  const record = attentionOf({ queries: 2, keys: 2048 });
  const codes = Array<number>(4096).fill(63);
  codes[0] = codes[2048] = 252;
  codes[2048 + 7] = 126;
  const shaded = () => new Promise((done) => setTimeout(done, 1)); // a long text after the frame
  const { keys, selection } = tokenView(record, codes, []);
  await shaded();
  const set = vi.spyOn(CSSStyleDeclaration.prototype, 'setProperty');
  selection.set('query', 1);
  await nextFrame();
  await shaded();
  expect(set.mock.calls).toEqual([['--memviz-w', '0.5']]);
  expect(strengths(keys).slice(0, 9)).toEqual([1, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.5, 0.25]);
});

it('scrolls its own text to a query that was selected elsewhere, never the page', async () => {
  const { keys, view, selection } = tokenView();
  const body = view.el.querySelector('.memviz-tokens-body') as HTMLElement;
  const sizes = { scrollHeight: 900, clientHeight: 100 };
  Object.entries(sizes).forEach(([name, value]) => Object.defineProperty(body, name, { value }));
  Object.defineProperty(tokensOf(keys)[2], 'offsetTop', { value: 500 });
  selection.set('query', 2);
  await nextFrame();
  expect(body.scrollTop).toBe(450);
});

it('leaves nothing behind', () => {
  const { view, selection, store, model } = tokenView();
  const count = () => [selection, store].map(listenerCount);
  const before = count();
  shown(TokenViewView, model).remove();
  expect(count()).toEqual(before);
  view.remove();
});
