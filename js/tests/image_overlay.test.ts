import { beforeEach, describe, expect, it, vi } from 'vitest';

import { ImageOverlayModel, ImageOverlayView } from '../src/image_overlay';
import { palette } from '../src/palette';
import { PictureChoiceModel } from '../src/picture_choice';
import { HOSTILE, attentionOf, attentionWorld, mapPage } from './attention_world';
import { catalogOf, imageRecord, listenerCount, make, world } from './models';
import { all, fakeCanvas, nextFrame, pixelsOf, press, shown, texts } from './page';

beforeEach(() => {
  document.body.replaceChildren();
  fakeCanvas();
});

const VIRIDIS = palette('viridis');
const PNG = new DataView(Uint8Array.of(0, 137, 80, 78, 71).buffer, 1); // with an offset, as on the wire
const PICTURE = { png: PNG, width: 8, height: 8, note: '' };
// a class token and 2 x 2 patches; row 0 is the class token's: 252 = 1, 126 = 0.5, 63 = 0.25, 253 = exactly 0
const CODES = [252, 126, 63, 253, 0, 63, 63, 63, 63, 252, ...Array<number>(15).fill(126)];

function overlay(record = attentionOf({ queries: 5, keys: 5 }), codes: number[] = CODES, state: object = {}, tokens: string[][][] = []) {
  const { store, selection } = attentionWorld(record, codes.length ? [mapPage(record, codes)] : [], tokens);
  const model = make(ImageOverlayModel, { selection, pictures: [PICTURE], ...state });
  const view = shown(ImageOverlayView, model);
  const canvas = view.el.querySelector('canvas') as HTMLCanvasElement;
  const stage = view.el.querySelector('.memviz-overlay-stage') as HTMLElement;
  vi.spyOn(stage, 'getBoundingClientRect').mockReturnValue(new DOMRect(0, 0, 100, 100));
  return { store, selection, model, view, canvas, stage, caption: view.el.querySelector('.memviz-tokens-caption') as HTMLElement };
}

const at = (type: string, x: number, y: number) => new MouseEvent(type, { clientX: x, clientY: y, bubbles: true });
const ringOf = (view: ImageOverlayView) => view.el.querySelector<HTMLElement>('.memviz-overlay-ring') as HTMLElement;

describe('patches', () => {
  it('are the weights of the selected query in shares of the largest patch; 0 is transparent', () => {
    const { canvas } = overlay();
    expect([canvas.width, canvas.height]).toEqual([2, 2]);
    expect([...(pixelsOf.get(canvas) ?? [])]).toEqual([VIRIDIS[255], VIRIDIS[128], 0, VIRIDIS[0]]);
  });

  it('follow the selected query', async () => {
    const { canvas, selection } = overlay();
    selection.set('query', 1);
    await nextFrame();
    expect([...(pixelsOf.get(canvas) ?? [])]).toEqual([VIRIDIS[64], VIRIDIS[64], VIRIDIS[64], VIRIDIS[255]]);
  });

  it('lie over the picture as strongly as opacity says', async () => {
    const { canvas, model, view } = overlay();
    expect([canvas.style.opacity, view.el.querySelector('img')?.src]).toEqual(['0.6', `data:image/png;base64,${btoa('\x89PNG')}`]);
    model.set('opacity', 0.2);
    await nextFrame();
    expect(canvas.style.opacity).toBe('0.2');
  });

  it('of a difference are red above and blue below', () => {
    const record = attentionOf({ queries: 4, keys: 4, heads: 2 });
    const codes = [0, 252, 126, 126, ...Array<number>(12).fill(126)];
    const page = mapPage(record, codes, { kind: 'difference', lo: Float64Array.of(-0.5), hi: Float64Array.of(0.5) });
    const { selection } = attentionWorld(record, [page]);
    const choice = make(PictureChoiceModel, { selection, kind: 'difference' });
    const view = shown(ImageOverlayView, make(ImageOverlayModel, { selection, choice, pictures: [PICTURE] }));
    const pixels = pixelsOf.get(view.el.querySelector('canvas') as HTMLCanvasElement) ?? [];
    expect([pixels[0], pixels[1]]).toEqual([palette('vik')[0], palette('vik')[255]]);
  });

  it('say the grid, the largest, and what was done to the picture', () => {
    const { caption } = overlay(undefined, undefined, { pictures: [{ ...PICTURE, note: 'picture values -2 .. 2 stretched' }] });
    expect(caption.textContent).toBe(
      'From query 0: colour = weight ÷ largest of the patches, ≈ 0.5 (key 1, row 0 column 0); 2 x 2 patches, 1 token apart; ' +
        'picture values -2 .. 2 stretched',
    );
  });
});

describe('tokens that are no patches', () => {
  it('are labelled boxes with a background of their own', () => {
    const { view } = overlay();
    expect(texts(view.el, '.memviz-token')).toEqual(['token 0']);
    expect(all(view.el, '.memviz-token')[0].style.getPropertyValue('--memviz-w')).toBe('1');
  });

  it('are selected by a click', async () => {
    const { view, selection } = overlay();
    selection.set('query', 3);
    await nextFrame();
    expect(ringOf(view).hidden).toBe(false);
    all(view.el, '.memviz-token')[0].click();
    await nextFrame();
    expect([selection.get('query'), ringOf(view).hidden]).toEqual([0, true]);
  });

  it('may have any text', () => {
    const tokens = { sequence: 0, offset: 0 };
    const record = attentionOf({ queries: 5, keys: 5 }, { query_tokens: tokens, key_tokens: tokens });
    const { view } = overlay(record, CODES, { rows: 2, cols: 2 }, [[HOSTILE.slice(0, 5)]]);
    expect(texts(view.el, '.memviz-token')).toEqual([HOSTILE[0]]);
    expect(all(view.el, '[onerror]')).toEqual([]);
  });
});

describe('pointer and keyboard', () => {
  it('a click on a patch selects the query, where patches attend to patches', () => {
    const { stage, selection } = overlay();
    stage.dispatchEvent(at('click', 75, 75));
    expect([selection.get('query'), selection.get('key')]).toEqual([4, 0]);
  });

  it('a click selects the key, where a text attends to a picture', async () => {
    const { stage, selection, view } = overlay(attentionOf({ queries: 2, keys: 5 }), CODES.slice(0, 10));
    stage.dispatchEvent(at('click', 25, 75));
    await nextFrame();
    expect([selection.get('query'), selection.get('key')]).toEqual([0, 3]);
    expect([ringOf(view).style.left, ringOf(view).style.top]).toEqual(['0%', '50%']);
  });

  it('the patch under the pointer is read out', () => {
    const { stage, view } = overlay();
    stage.dispatchEvent(at('pointermove', 75, 25));
    expect(texts(view.el, '.memviz-overlay-readout')).toEqual(['key 2, row 0 column 1: ≈ 0.25']);
    stage.dispatchEvent(at('pointermove', 25, 75));
    expect(texts(view.el, '.memviz-overlay-readout')).toEqual(['key 3, row 1 column 0: 0, masked or never attended']);
    stage.dispatchEvent(new MouseEvent('pointerleave'));
    expect(texts(view.el, '.memviz-overlay-readout')).toEqual(['']);
  });

  it('arrow keys go from patch to patch, Enter selects', () => {
    const { stage, selection, view } = overlay();
    for (const key of ['ArrowRight', 'ArrowDown', 'ArrowRight', 'Enter']) {
      press(stage, key);
    }
    expect(texts(view.el, '[role=option].memviz-spoken')[0]).toMatch(/^key 4, row 1 column 1/);
    expect(selection.get('query')).toBe(4);
  });
});

describe('where the queries are the patches', () => {
  it('shows what they give the selected key', () => {
    const tokens = { query_tokens: { sequence: -1, offset: 0 }, key_tokens: { sequence: 0, offset: 0 } };
    const { canvas, caption } = overlay(attentionOf({ queries: 4, keys: 2 }, tokens), [252, 0, 126, 0, 63, 0, 253, 0], {}, [[['a', 'cat']]]);
    expect([...(pixelsOf.get(canvas) ?? [])]).toEqual([VIRIDIS[255], VIRIDIS[128], VIRIDIS[64], 0]);
    expect(caption.textContent).toMatch(/^To key 0/);
  });
});

describe('instead of an overlay', () => {
  it.each([
    ['no picture', attentionOf({ queries: 5, keys: 5 }), { pictures: [] }, /^No picture was given/],
    ['windows', attentionOf({ queries: 4, keys: 4, samples: 9 }), {}, /^This attention has 9 samples and there is 1 picture: it may be inside windows/],
    ['no grid', attentionOf({ queries: 3, keys: 3 }), {}, /^3 positions do not make a grid/],
    ['a wrong wish', attentionOf({ queries: 5, keys: 5 }), { rows: 3, cols: 3 }, /do not make a grid with rows = 3, cols = 3/],
  ])('a sentence for %s', (_, record, state, sentence) => {
    const { caption, view } = overlay(record, Array<number>(record.extents.query * record.extents.key).fill(63), state);
    expect(caption.textContent).toMatch(sentence);
    expect([view.el.dataset.state, view.el.querySelector<HTMLElement>('.memviz-overlay-body')?.hidden]).toEqual(['message', true]);
  });

  it('a sentence for tokens of a text, unless rows and cols are set', async () => {
    const tokens = { sequence: 0, offset: 0 };
    const words = attentionOf({ queries: 5, keys: 5 }, { query_tokens: tokens, key_tokens: tokens });
    const { caption, model, view } = overlay(words, CODES, {}, [[['a', 'b', 'c', 'd', 'e']]]);
    expect(caption.textContent).toMatch(/^This attention is between tokens of a text\./);
    model.set({ rows: 2, cols: 2 });
    await nextFrame();
    expect(view.el.dataset.state).toBe('ready');
  });

  it('the sentence of a model without attention', () => {
    const { selection } = world(catalogOf(imageRecord(1, 1)));
    expect(shown(ImageOverlayView, make(ImageOverlayModel, { selection, pictures: [PICTURE] })).el.textContent).toMatch(/^No attention was found/);
  });
});

it('shows the picture of the selected sample', async () => {
  const second = { ...PICTURE, png: new DataView(Uint8Array.of(65).buffer) };
  const record = attentionOf({ queries: 4, keys: 4, samples: 2 });
  const pages = [0, 1].map((page) => mapPage(record, Array<number>(16).fill(63), { page }));
  const { selection } = attentionWorld(record, pages);
  const view = shown(ImageOverlayView, make(ImageOverlayModel, { selection, pictures: [PICTURE, second] }));
  selection.set('sample', 1);
  await nextFrame();
  expect(view.el.querySelector('img')?.src).toBe('data:image/png;base64,QQ==');
});

it('leaves nothing behind', () => {
  const { view, selection, store, model } = overlay();
  const count = () => [selection, store].map(listenerCount);
  const before = count();
  shown(ImageOverlayView, model).remove();
  expect(count()).toEqual(before);
  view.remove();
});
