import { beforeEach, describe, expect, it } from 'vitest';

import { PictureChoiceModel } from '../src/picture_choice';
import { TokenLinesModel, TokenLinesView } from '../src/token_lines';
import { HOSTILE, attentionOf, attentionWorld, mapPage } from './attention_world';
import { catalogOf, imageRecord, listenerCount, make, world } from './models';
import { all, nextFrame, press, shown, texts } from './page';

beforeEach(() => document.body.replaceChildren());

const SELF = { sequence: 0, offset: 0 };
// 252 = 1, 126 = 0.5, 63 = 0.25, 13 = 0.05, 253 = exactly 0
const CODES = [252, 253, 253, 126, 126, 253, 63, 126, 13];

function tokenLines(
  record = attentionOf({ queries: 3, keys: 3 }, { query_tokens: SELF, key_tokens: SELF }),
  codes = CODES,
  tokens: string[][][] = [[['the', 'cat', 'sat']]],
  state: object = {},
) {
  const { store, selection } = attentionWorld(record, [mapPage(record, codes)], tokens);
  const model = make(TokenLinesModel, { selection, ...state });
  const view = shown(TokenLinesView, model);
  const [queries, keys] = all(view.el, '.memviz-token-list');
  return { store, selection, model, view, queries, keys, caption: view.el.querySelector('.memviz-tokens-caption') as HTMLElement };
}

const lines = (root: HTMLElement) =>
  [...root.querySelectorAll('line')].map((line) => [Number(line.getAttribute('y1')), Number(line.getAttribute('y2'))]);
const tokensOf = (root: HTMLElement) => all(root, '.memviz-token');
const plain = (text: string | null) => (text ?? '').replace(/[\u2068\u2069]/g, '');

describe('lines', () => {
  it('join the middles of the tokens of every pair from the threshold on', () => {
    const { view, caption } = tokenLines();
    expect(lines(view.el)).toEqual([[10, 10], [30, 10], [30, 30], [50, 10], [50, 30]]);
    expect(caption.textContent).toBe('5 of 9 pairs: width = weight, from 0.1 on');
  });

  it('are as wide and as strong as the weight', () => {
    const [first, second] = [...tokenLines().view.el.querySelectorAll('line')];
    expect([first, second].map((line) => line.getAttribute('stroke-width'))).toEqual(['4.00', '2.00']);
    expect([first, second].map((line) => line.getAttribute('stroke-opacity'))).toEqual(['1.00', '0.63']);
  });

  it('follow the threshold, but a weight of 0 never has one', async () => {
    const { view, model } = tokenLines();
    model.set('threshold', 0.5);
    await nextFrame();
    expect(lines(view.el)).toHaveLength(4);
    model.set('threshold', 0);
    await nextFrame();
    expect(lines(view.el)).toHaveLength(6);
  });

  it('of a difference have its sign', () => {
    const record = attentionOf({ queries: 1, keys: 2, heads: 2 });
    const page = mapPage(record, [0, 252], { kind: 'difference', lo: Float64Array.of(-0.5), hi: Float64Array.of(0.5) });
    const { selection } = attentionWorld(record, [page]);
    const choice = make(PictureChoiceModel, { selection, kind: 'difference' });
    const view = shown(TokenLinesView, make(TokenLinesModel, { selection, choice }));
    const signs = [...view.el.querySelectorAll('line')].map((line) => line.classList.contains('memviz-line-minus'));
    expect(signs).toEqual([true, false]);
  });
});

describe('a token', () => {
  it('under the pointer shows its lines alone, and says the strongest', async () => {
    const { view, queries, caption } = tokenLines();
    tokensOf(queries)[2].dispatchEvent(new MouseEvent('pointerover', { bubbles: true }));
    await nextFrame();
    expect(lines(view.el)).toEqual([[50, 10], [50, 30]]);
    expect(plain(caption.textContent)).toBe('query 2 “sat” → key 1 “cat” ≈ 0.5, key 0 “the” ≈ 0.25');
    queries.dispatchEvent(new MouseEvent('pointerleave'));
    await nextFrame();
    expect(lines(view.el)).toHaveLength(5);
  });

  it('on the right shows what attends to it, also nothing', async () => {
    const { keys, caption } = tokenLines();
    tokensOf(keys)[2].focus();
    await nextFrame();
    expect(plain(caption.textContent)).toBe('key 2 “sat” is attended by nothing with 0.1 or more');
  });

  it('is selected by a click or Enter on its side', () => {
    const { queries, keys, selection } = tokenLines();
    tokensOf(queries)[1].click();
    tokensOf(keys)[0].focus();
    press(document.activeElement as Element, 'ArrowDown');
    press(document.activeElement as Element, 'ArrowDown');
    press(document.activeElement as Element, 'Enter');
    expect([selection.get('query'), selection.get('key')]).toEqual([1, 2]);
  });
});

describe('instead of lines', () => {
  it('a sentence for more than 64 tokens a side', () => {
    const { view, caption } = tokenLines(attentionOf({ queries: 2, keys: 65 }), Array<number>(130).fill(63), []);
    expect(caption.textContent).toMatch(/^Lines are drawn for at most 64 tokens a side; here are 2 queries and 65 keys\./);
    expect([all(view.el, '.memviz-token'), lines(view.el)]).toEqual([[], []]);
  });

  it('64 are drawn', () => {
    expect(lines(tokenLines(attentionOf({ queries: 64, keys: 64 }), Array<number>(4096).fill(63), []).view.el)).toHaveLength(4096);
  });

  it('the sentence of a model without attention', () => {
    const { selection } = world(catalogOf(imageRecord(1, 1)));
    const view = shown(TokenLinesView, make(TokenLinesModel, { selection }));
    expect(view.el.textContent).toMatch(/^No attention was found/);
  });
});

it('keeps hostile texts as text', () => {
  const record = attentionOf({ queries: 8, keys: 8 }, { query_tokens: SELF, key_tokens: SELF });
  const { view, keys } = tokenLines(record, Array<number>(64).fill(126), [[HOSTILE]]);
  expect(all(view.el, 'img, br')).toEqual([]);
  expect(texts(keys, '.memviz-token')[0]).toBe('<img src=x onerror=alert(1)>');
  expect(Math.max(...texts(keys, '.memviz-token').map((text) => text?.length ?? 0))).toBeLessThan(61);
});

it('leaves nothing behind', () => {
  const { view, selection, store, model } = tokenLines();
  const count = () => [selection, store].map(listenerCount);
  const before = count();
  shown(TokenLinesView, model).remove();
  expect(count()).toEqual(before);
  view.remove();
});
