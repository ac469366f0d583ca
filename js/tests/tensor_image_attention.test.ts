import { beforeEach, describe, expect, it, vi } from 'vitest';

import { PictureChoiceModel } from '../src/picture_choice';
import { TensorImage, TensorImageModel } from '../src/tensor_image';
import { HOSTILE, attentionOf, attentionWorld, mapPage } from './attention_world';
import { PLOT, fakeFigure, scaleModel, scaleView } from './figure';
import { foreign, listenerCount, make } from './models';
import { colorsOf, fakeCanvas, nextFrame, pixelsOf, press } from './page';

beforeEach(fakeCanvas);

const WORDS = [['who', 'play', 'the']];
const ALONG = { query_tokens: { sequence: 0, offset: 1 }, key_tokens: { sequence: 0, offset: 0 } };
const RECORD = attentionOf({ queries: 2, keys: 3, heads: 4 }, ALONG); // the last two of three tokens ask
const CODES = [252, 126, 253, 63, 63, 126];

interface Setting {
  record?: typeof RECORD;
  tokens?: string[][][];
  kind?: PictureChoiceModel['kind'] | null;
}

async function matrix({ record = RECORD, tokens = [WORDS], kind = 'weights' }: Setting = {}) {
  const log = { kind: 'log' as const, lo: Float64Array.of(-2), hi: Float64Array.of(0) };
  const other = { kind: 'difference' as const, lo: Float64Array.of(-0.5), hi: Float64Array.of(0.5) };
  const pages = [mapPage(RECORD, CODES), mapPage(RECORD, CODES, { kind: 'mean' }), mapPage(RECORD, CODES, { kind: 'row' })];
  const { store, selection } = attentionWorld(record, [...pages, mapPage(RECORD, CODES, log), mapPage(RECORD, CODES, other)], tokens);
  const choice = kind && make(PictureChoiceModel, { selection, kind });
  const scales = { x: scaleModel(), y: scaleModel() };
  const axes = { x_axis: foreign({ side: 'bottom' }), y_axis: foreign({ side: 'left' }) };
  const colors = colorsOf(selection, { choice });
  const model = make(TensorImageModel, { selection, choice, colors, scales, ...axes, visible: true });
  const view = new TensorImage({ model, options: {} } as never);
  const views = { x: scaleView(scales.x, PLOT.width, false), y: scaleView(scales.y, PLOT.height, false) };
  Object.assign(view, { parent: fakeFigure(), scales: views });
  await view.render();
  await nextFrame();
  const figure = view.parent as unknown as ReturnType<typeof fakeFigure>;
  const holder = figure.el.querySelector('.memviz-image-holder') as HTMLElement;
  holder.getBoundingClientRect = () => new DOMRect(60, 50, PLOT.width, PLOT.height);
  const canvas = figure.el.querySelector('canvas') as HTMLCanvasElement;
  const at = (row: number, col: number) => ({ clientX: 60 + (col + 0.5) * 100, clientY: 50 + (row + 0.5) * 100 });
  const said = (row: number, col: number) => {
    figure.el.dispatchEvent(new MouseEvent('pointermove', at(row, col)));
    return figure.el.querySelector('.memviz-tooltip')?.textContent?.replace(/[\u2068\u2069]/g, '');
  };
  const click = (row: number, col: number) => figure.el.dispatchEvent(new MouseEvent('click', at(row, col)));
  return { store, selection, choice: choice as PictureChoiceModel, colors, model, view, holder, canvas, said, click, ...axes };
}

const ticksOf = (axis: ReturnType<typeof foreign>) =>
  Object.values((axis.get('tick_labels') as object | null) ?? {}).map((text: string) => text.slice(1, -1));

describe('the matrix', () => {
  it('draws the chosen map', async () => {
    const { canvas, choice } = await matrix();
    expect(canvas.dataset).toMatchObject({ record: '0', kind: 'frame', state: 'ready' });
    choice.set('kind', 'mean');
    await nextFrame();
    expect(canvas.dataset).toMatchObject({ kind: 'mean', state: 'ready', painted: '2' });
  });

  it('leaves cells empty that are exactly 0, and no others', async () => {
    const { canvas } = await matrix();
    expect([...(pixelsOf.get(canvas) ?? [])].map((pixel) => pixel === 0)).toEqual(CODES.map((code) => code === 253));
  });

  it('leaves them empty in the frame of a selected attention too, but not in a difference', async () => {
    expect(pixelsOf.get((await matrix({ kind: null })).canvas)?.[2]).toBe(0);
    expect(pixelsOf.get((await matrix({ kind: 'difference' })).canvas)?.[2]).not.toBe(0);
  });

  it('is framed where empty cells may lie at its edge', async () => {
    const { canvas, choice } = await matrix();
    expect(canvas.dataset.empty).toBe('true');
    choice.set('kind', 'difference');
    await nextFrame();
    expect(canvas.dataset.empty).toBe('false');
  });

  it('stays while a layer without attention is selected', async () => {
    const { canvas, selection, model } = await matrix();
    selection.set('layer', 1);
    await nextFrame();
    expect([canvas.dataset.record, canvas.dataset.state, model.picture?.full_cols]).toEqual(['0', 'ready', 3]);
  });

  it('says why there is none', async () => {
    const { canvas, holder } = await matrix({ kind: 'rollout' });
    expect(canvas.dataset.state).toBe('message');
    expect(holder.textContent).toMatch(/^no rollout to attn attention/);
  });

  it('is described with the map that it is', async () => {
    const { holder } = await matrix({ kind: 'mean' });
    expect(holder.getAttribute('aria-label')).toMatch(/^heatmap of attn attention: query by key, mean of 4 heads/);
  });
});

describe('tokens', () => {
  it('stand on both axes, each with its own offset', async () => {
    const { x_axis, y_axis } = await matrix();
    expect([ticksOf(x_axis), ticksOf(y_axis)]).toEqual([['who', 'play', 'the'], ['play', 'the']]);
    expect([x_axis.get('label'), y_axis.get('label')]).toEqual(['key', 'query']);
  });

  it('are indices where there are none', async () => {
    const { x_axis } = await matrix({ record: attentionOf({ queries: 2, keys: 3, heads: 4 }), tokens: [] });
    expect([x_axis.get('tick_labels') ?? null, [...x_axis.get('tick_values')]]).toEqual([null, [0, 1, 2]]);
  });

  it('follow the sample', async () => {
    const record = attentionOf({ queries: 2, keys: 3, heads: 4, samples: 2 }, ALONG);
    const { selection, x_axis } = await matrix({ record, tokens: [[...WORDS, ['a', 'b', 'c']]] });
    selection.set('sample', 1);
    expect(ticksOf(x_axis)).toEqual(['a', 'b', 'c']);
  });

  it('are text, whatever they contain', async () => {
    const size = { queries: HOSTILE.length, keys: HOSTILE.length };
    const place = { sequence: 0, offset: 0 };
    const record = attentionOf(size, { query_tokens: place, key_tokens: place });
    const { view, y_axis } = await matrix({ record, tokens: [[HOSTILE]] });
    expect(ticksOf(y_axis)[0]).toBe('<img src=x …');
    expect(view.parent.el.querySelector('img')).toBeNull();
  });

  it('ask for a margin that holds them', async () => {
    const long = [['attention', 'is', 'everything']];
    const { model } = await matrix({ tokens: [long] });
    expect(model.room.left).toBeGreaterThan(60);
    expect(model.room.bottom).toBe(40); // 300 pixels are enough for three words beside each other
  });
});

describe('reading', () => {
  it('says both tokens and the weight', async () => {
    const { said } = await matrix();
    expect(said(0, 1)).toBe('head 0, query 0 “play” → key 1 “play”: ≈ 0.5');
  });

  it('says that a weight is exactly 0, and asks nobody', async () => {
    const { said, store } = await matrix();
    const ask = vi.spyOn(store, 'askValue');
    expect(said(0, 2)).toBe('head 0, query 0 “play” → key 2 “the”: 0 (exactly: masked or never attended)');
    await new Promise((done) => setTimeout(done, 80));
    expect(ask).not.toHaveBeenCalled();
  });

  it.each([
    ['mean', 'mean of 4 heads, query 0 “play” → key 1 “play”: ≈ 0.5'],
    ['log', 'head 0, query 0 “play” → key 1 “play”: ≈ 0.1'],
    ['row', 'head 0, query 0 “play” → key 1 “play”: ≈ 0.5 of the largest in its row'],
    ['difference', 'head 0 minus head 0, query 0 “play” → key 1 “play”: ≈ 0'],
  ] as const)('says what a number of %s is', async (kind, text) => {
    expect((await matrix({ kind })).said(0, 1)).toBe(text);
  });

  it('asks for the exact value of that map', async () => {
    const { said, store } = await matrix({ kind: 'mean' });
    const ask = vi.spyOn(store, 'askValue').mockResolvedValue({ text: '0.4987', number: 0.4987, index: [0, 0, 0, 1] });
    said(0, 1);
    await new Promise((done) => setTimeout(done, 80));
    expect(ask).toHaveBeenCalledWith(0, 0, 0, 1, 'mean');
  });

  it('names first and last of the tokens under a pooled cell', async () => {
    const record = attentionOf({ queries: 2, keys: 3, heads: 4, pool: [1, 2] }, ALONG);
    const { model, said } = await matrix({ record });
    expect(model.picture?.cols).toBe(2);
    expect(said(0, 0)).toMatch(/query 0 “play” → key 0–1 “who” … “play”: largest/);
  });
});

describe('the selection', () => {
  it('is moved by a click to query and key; the query is the timestep', async () => {
    const { click, selection } = await matrix();
    click(1, 2);
    expect(['layer', 'query', 'key', 'time'].map((axis) => selection.get(axis))).toEqual([0, 1, 2, 1]);
  });

  it('comes to the attention when another layer was selected', async () => {
    const { click, selection } = await matrix();
    selection.set('layer', 1);
    click(1, 2);
    expect(['layer', 'query', 'key'].map((axis) => selection.get(axis))).toEqual([0, 1, 2]);
  });

  it('is moved by keyboard', async () => {
    const { holder, selection } = await matrix();
    holder.focus();
    press(holder, 'ArrowRight');
    press(holder, 'Enter');
    expect([selection.get('query'), selection.get('key')]).toEqual([0, 1]);
  });

  it('is marked as a row and a column', async () => {
    const { view, selection } = await matrix();
    selection.set({ query: 1, key: 2 });
    await nextFrame();
    const bands = ['row', 'column'].map((axis) => view.el.querySelector(`[data-axis=${axis}]`));
    expect([bands[0]?.getAttribute('y'), bands[1]?.getAttribute('x')]).toEqual(['100', '200']);
  });
});

it('leaves no listener behind', async () => {
  const { view, choice, selection, store, colors } = await matrix();
  const count = () => [choice, selection, store, colors].map(listenerCount);
  const before = count();
  view.remove();
  expect(count().every((now, i) => now < before[i])).toBe(true);
});
