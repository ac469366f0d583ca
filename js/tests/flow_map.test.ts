/** Attention flow, the map that is there for one query at a time: in every view, and in what is asked for. */

import { beforeEach, describe, expect, it } from 'vitest';

import { hasQuery, isEmptyAt, weightAt, weightLine } from '../src/attention_rows';
import type { ReadMap } from '../src/attention_rows';
import type { Frame, PictureEntry } from '../src/catalog';
import { ColorMappingModel } from '../src/color_mapping';
import { ImageOverlayModel, ImageOverlayView } from '../src/image_overlay';
import { linesAbove } from '../src/line_choice';
import { PictureChoiceModel } from '../src/picture_choice';
import { requestCost } from '../src/prefetch';
import { TensorImage, TensorImageModel } from '../src/tensor_image';
import { TokenLinesModel, TokenLinesView } from '../src/token_lines';
import { TokenViewModel, TokenViewView } from '../src/token_view';
import { attentionOf, attentionWorld, flowPage, withFlow } from './attention_world';
import { PLOT, fakeFigure, scaleModel, scaleView } from './figure';
import { FakeComm, catalogOf, foreign, layer, make, settled, world } from './models';
import { all, colorsOf, fakeCanvas, nextFrame, pixelsOf, shown } from './page';

beforeEach(() => {
  document.body.replaceChildren();
  fakeCanvas();
});

const SELF = { sequence: 0, offset: 0 };
const WORDS = [[['the', 'cat', 'sat', 'on']]];
const RECORD = withFlow(attentionOf({ queries: 4, keys: 4, heads: 2, samples: 2 }, { query_tokens: SELF, key_tokens: SELF }));
const CODES = [126, 252, 63, 253]; // of 0..0.5: 0.25, 0.5, 0.125, exactly 0
const PAGES = [flowPage(RECORD, 2, CODES, 0.5), flowPage(RECORD, 1, [252, 126, 253, 253])];

function flowing(record = RECORD, tokens: string[][][] = WORDS, pages = PAGES) {
  const { store, selection } = attentionWorld(record, pages, tokens);
  selection.set('query', 2);
  return { store, selection, choice: make(PictureChoiceModel, { selection, kind: 'flow' }) };
}

const plain = (text: string | null | undefined) => (text ?? '').replace(/[\u2068\u2069]/g, '');
const tokensOf = (root: HTMLElement) => all(root, '.memviz-token');
const strengths = (root: HTMLElement) => tokensOf(root).map((token) => Number(token.style.getPropertyValue('--memviz-w') || 0));
const over = (token: Element) => token.dispatchEvent(new MouseEvent('pointerover', { bubbles: true }));
const captionOf = (view: { el: HTMLElement }) => plain(view.el.querySelector('.memviz-tokens-caption')?.textContent);

describe('the choice', () => {
  it('shows the frame of the selected sample and query', () => {
    const { choice, selection } = flowing();
    expect([choice.pageKind, choice.flat(), [...(choice.frame()?.codes ?? [])]]).toEqual(['flow', 2, CODES]);
    selection.set({ sample: 1, query: 3 });
    expect(choice.flat()).toBe(7);
  });

  it('names layer, query and limits', () => {
    const { choice } = flowing();
    expect(choice.words(' of ').map(plain)).toEqual([
      'sample 0 of 2',
      'attention flow to attn attention from query 2 “sat”: follows weights only; paths compete for edges, and the parts ' +
        'do not sum to 1',
    ]);
    expect(choice.words().map(plain)).toEqual(['sample 0', 'attention flow to attn attention from query 2 “sat”']);
  });

  it('says where there is none', () => {
    const { choice } = flowing(attentionOf({ queries: 4, keys: 4 }));
    expect(choice.absence()).toMatch(/^no attention flow to attn attention: it needs square attention/);
  });

  it('is coloured from 0 to the largest of the row', () => {
    const { choice, selection } = flowing();
    const colors = make(ColorMappingModel, { selection, choice });
    expect([colors.trait('vmin'), colors.trait('vmax')]).toEqual([0, 0.5]);
    selection.set('query', 1);
    expect([colors.trait('vmin'), colors.trait('vmax')]).toEqual([0, 1]);
  });
});

describe('the row', () => {
  const picture = RECORD.attention?.flow as PictureEntry;
  const frame: Frame = { codes: Uint8Array.from(CODES), rows: 1, cols: 4, lo: 0, hi: 0.5 };
  const map: ReadMap = { frame, picture, kind: 'flow', onlyQuery: 2 };

  it('is that of its query, whose number is no row of cells', () => {
    const line = weightLine(map, 'query', 2);
    expect([[...line.weights], [...line.empty], line.largest, line.peak]).toEqual([[0.25, 0.5, 0.125, 0], [0, 0, 0, 1], 0.5, 1]);
    expect([weightAt(map, 2, 1), isEmptyAt(map, 2, 3), hasQuery(map, 2)]).toEqual([0.5, true, true]);
  });

  it('is of no other query', () => {
    expect([...weightLine(map, 'query', 0).weights]).toEqual([NaN, NaN, NaN, NaN]);
    expect([weightAt(map, 0, 1), isEmptyAt(map, 0, 3), hasQuery(map, 0)]).toEqual([NaN, false, false]);
  });

  it('has lines from its query alone', () => {
    expect(linesAbove(map, 4, 4, 0.2).map(({ query, key }) => [query, key])).toEqual([[2, 0], [2, 1]]);
  });
});

describe('the matrix', () => {
  async function strip(record = RECORD, tokens = WORDS) {
    const { selection, choice } = flowing(record, tokens);
    const scales = { x: scaleModel(), y: scaleModel() };
    const axes = { x_axis: foreign({ side: 'bottom' }), y_axis: foreign({ side: 'left' }) };
    const colors = colorsOf(selection, { choice });
    const model = make(TensorImageModel, { selection, choice, colors, scales, ...axes, visible: true });
    const view = new TensorImage({ model, options: {} } as never);
    const views = { x: scaleView(scales.x, PLOT.width, false), y: scaleView(scales.y, PLOT.height, false) };
    Object.assign(view, { parent: fakeFigure(), scales: views });
    await view.render();
    await nextFrame();
    const { el } = view.parent as unknown as ReturnType<typeof fakeFigure>;
    return { selection, choice, model, el, view, canvas: el.querySelector('canvas') as HTMLCanvasElement, ...axes };
  }
  const labels = (axis: ReturnType<typeof foreign>) =>
    [axis.get('label'), ...Object.values((axis.get('tick_labels') as object | null) ?? {}).map(plain)];

  it('is one row, named after the query on its y axis', async () => {
    const { canvas, x_axis, y_axis } = await strip();
    expect([canvas.width, canvas.height, pixelsOf.get(canvas)?.[3]]).toEqual([4, 1, 0]);
    expect(labels(y_axis)).toEqual(['query 2', 'sat']);
    expect(labels(x_axis)).toEqual(['key', ...WORDS[0][0]]);
  });

  it('follows the query, and leaves its name behind with another map', async () => {
    const { choice, selection, y_axis, model } = await strip();
    const { room } = model;
    selection.set('query', 1);
    expect([labels(y_axis), model.room]).toEqual([['query 1', 'cat'], room]);
    choice.set('kind', 'mean');
    expect(labels(y_axis)).toEqual(['query', ...WORDS[0][0]]);
  });

  it('has the index on its y axis where there are no tokens', async () => {
    const { y_axis } = await strip(withFlow(attentionOf({ queries: 4, keys: 4 })), []);
    expect(labels(y_axis)).toEqual(['query 2', '2']);
  });

  it('says the query and the key under the pointer', async () => {
    const { el } = await strip();
    const holder = el.querySelector('.memviz-image-holder') as HTMLElement;
    holder.getBoundingClientRect = () => new DOMRect(60, 50, PLOT.width, PLOT.height);
    const said = (col: number) => {
      el.dispatchEvent(new MouseEvent('pointermove', { clientX: 60 + (col + 0.5) * (PLOT.width / 4), clientY: 100 }));
      return plain(el.querySelector('.memviz-tooltip')?.textContent);
    };
    expect(said(1)).toBe('sample 0, attention flow to attn attention from query 2 “sat”, key 1 “cat”: ≈ 0.5');
    expect(said(3)).toMatch(/, key 3 “on”: 0 \(less than 1e-9 could flow there\)$/);
  });

  it('sets the key by a click, and leaves the query', async () => {
    const { view, el, selection } = await strip();
    view.area.getBoundingClientRect = () => new DOMRect(60, 50, PLOT.width, PLOT.height);
    el.dispatchEvent(new MouseEvent('click', { clientX: 60 + PLOT.width - 5, clientY: 100 }));
    expect([selection.get('query'), selection.get('key')]).toEqual([2, 3]);
  });
});

describe('the text', () => {
  const text = (state: object = {}) => {
    const { selection, choice } = flowing();
    const view = shown(TokenViewView, make(TokenViewModel, { selection, choice, ...state }));
    return { selection, view, keys: all(view.el, '.memviz-token-list')[1] };
  };

  it('is shaded by the flow from the query', () => {
    const { view, keys } = text();
    expect(strengths(keys)).toEqual([0.5, 1, 0.25, 0]);
    expect(captionOf(view)).toBe('From query 2 “sat”: background = flow ÷ largest of the row, ≈ 0.5 (key 1 “cat”)');
  });

  it('stays so while another token is under the pointer, whose flow is not there', async () => {
    const { keys } = text();
    over(tokensOf(keys)[0]);
    await nextFrame();
    expect(strengths(keys)).toEqual([0.5, 1, 0.25, 0]);
    expect(plain(tokensOf(keys)[0].title)).toBe('the\nquery 2 “sat” → key 0 “the”: ≈ 0.25');
  });

  it('says that there is nothing in the other direction', () => {
    const { view, keys } = text({ direction: 'to' });
    expect(captionOf(view)).toBe('Attention flow is from one query: there is none to a key. Show where the query attends to.');
    expect(strengths(keys)).toEqual([0, 0, 0, 0]);
    over(tokensOf(keys)[0]);
    expect(tokensOf(keys)[0].title).toBe('the\n');
  });

  it('selects another query by a click', async () => {
    const { view, keys } = text();
    tokensOf(keys)[1].click();
    await nextFrame();
    expect([strengths(keys), captionOf(view).slice(0, 18)]).toEqual([[1, 0.5, 0, 0], 'From query 1 “cat”']);
  });
});

describe('the lines', () => {
  const lined = () => {
    const { selection, choice } = flowing();
    const view = shown(TokenLinesView, make(TokenLinesModel, { selection, choice }));
    const [queries, keys] = all(view.el, '.memviz-token-list');
    return { view, queries, keys, count: () => view.el.querySelectorAll('line').length };
  };

  it('are those of the selected query', () => {
    const { view, count } = lined();
    expect([count(), captionOf(view)]).toEqual([3, '3 of 4 pairs: width = flow, from 0.1 on']);
  });

  it('of another query are not there, which is said', async () => {
    const { view, queries, count } = lined();
    over(tokensOf(queries)[0]);
    await nextFrame();
    const sentence = 'query 0 “the” is not selected: flow is from the selected query alone';
    expect([count(), captionOf(view), tokensOf(queries)[0].title]).toEqual([0, sentence, 'the\n']);
  });

  it('to a key may be none', async () => {
    const { view, keys } = lined();
    over(tokensOf(keys)[3]);
    await nextFrame();
    expect(captionOf(view)).toBe('key 3 “on” has no flow with 0.1 or more');
  });
});

it('lies over the picture as the weights of a query do', () => {
  const { selection, choice } = flowing(withFlow(attentionOf({ queries: 4, keys: 4 })), []);
  const pictures = [{ png: new DataView(new ArrayBuffer(4)), width: 8, height: 8, note: '' }];
  const view = shown(ImageOverlayView, make(ImageOverlayModel, { selection, choice, pictures }));
  const pixels = [...(pixelsOf.get(view.el.querySelector('canvas') as HTMLCanvasElement) ?? [])];
  expect([pixels.length, pixels.map((pixel) => pixel === 0)]).toEqual([4, [false, false, false, true]]);
  expect(captionOf(view)).toMatch(/^From query 2.*: colour = flow ÷ largest of the patches, ≈ 0.5/);
});

describe('pages', () => {
  const asked = (comm: FakeComm) =>
    comm.custom.flatMap(({ wants }) => (wants as { kind: string; page: number }[]).filter(({ kind }) => kind === 'flow'));
  async function scrubbed() {
    const comm = new FakeComm();
    const layers = [{ ...layer('attn attention', [0]), path: 'attn', kind: 'attention' }];
    const { selection, store } = world({ ...catalogOf(RECORD), layers }, comm);
    const choice = make(PictureChoiceModel, { selection, kind: 'flow' });
    choice.frame();
    await settled();
    return { comm, selection, store, choice };
  }

  it('are asked for alone, and none beside', async () => {
    const { comm } = await scrubbed();
    expect(comm.custom[0].wants).toEqual([{ record: 0, kind: 'flow', page: 0 }]);
    expect(requestCost(catalogOf(RECORD), { record: 0, kind: 'flow', page: 0 })).toBe(Infinity);
  });

  it('of queries that were passed are not asked for later', async () => {
    const { comm, selection, store, choice } = await scrubbed();
    for (const query of [1, 2, 3]) {
      selection.set('query', query);
      choice.frame();
    }
    const { id } = comm.custom[0] as { id: number };
    for (let answered = id; answered < id + 5; answered++) {
      store.trigger('msg:custom', { type: 'done', id: answered }, []);
      await settled();
    }
    expect(asked(comm).map(({ page }) => page)).toEqual([0, 3]);
  });
});
