import { beforeEach, describe, expect, it, vi } from 'vitest';

import type { RecordEntry } from '../src/catalog';
import { TensorImage, TensorImageModel } from '../src/tensor_image';
import { PLOT, fakeFigure, scaleModel, scaleView } from './figure';
import { FakeComm, catalogOf, foreign, framePage, imageRecord, listenerCount, make, picture, settled, stepped, world } from './models';
import { colorsOf, fakeCanvas, nextFrame, pixelsOf, press } from './page';

beforeEach(fakeCanvas);

/** Time x channel, 4 timesteps of 6 channels. */
const overTime = (): RecordEntry => ({
  ...imageRecord(1, 6),
  shape: [4, 6],
  dims: ['time', 'channel'],
  extents: { time: 4, channel: 6 },
  frame: { ...picture([], 4, 6, 1), row_dim: 'time', col_dim: 'channel', row_trait: 'time', col_trait: 'channel' },
});
const PAGES = [
  framePage({ record: 0, kind: 'frame', page: 0 }, [2, 2, 3]),
  framePage({ record: 1, kind: 'frame', page: 0 }, [1, 4, 6]),
];

async function image({ pages = PAGES as object[], up = false, comm = undefined as FakeComm | undefined } = {}) {
  const { store, selection } = world(catalogOf(imageRecord(1, 2), overTime()), comm, { pages });
  const scales = { x: scaleModel(), y: scaleModel() };
  const axes = { x_axis: foreign({ side: 'bottom' }), y_axis: foreign({ side: 'left' }) };
  const colors = colorsOf(selection);
  const model = make(TensorImageModel, { selection, colors, scales, ...axes, visible: true });
  const open = async () => {
    const view = new TensorImage({ model, options: {} } as never);
    const views = { x: scaleView(scales.x, PLOT.width, false), y: scaleView(scales.y, PLOT.height, up) };
    Object.assign(view, { parent: fakeFigure(), scales: views });
    await view.render();
    await nextFrame();
    return view;
  };
  const view = await open();
  const figure = view.parent as unknown as ReturnType<typeof fakeFigure>;
  const holder = figure.el.querySelector('.memviz-image-holder') as HTMLElement;
  holder.getBoundingClientRect = () => new DOMRect(60, 50, PLOT.width, PLOT.height);
  const canvas = figure.el.querySelector('canvas') as HTMLCanvasElement;
  return { store, selection, colors, model, scales, ...axes, view, figure, holder, canvas, open };
}

const move = (figure: { el: HTMLElement }, clientX: number, clientY: number) =>
  figure.el.dispatchEvent(new MouseEvent('pointermove', { clientX, clientY }));
const tooltip = (figure: { el: HTMLElement }) => figure.el.querySelector('.memviz-tooltip') as HTMLElement;

describe('the canvas', () => {
  it('has one pixel per cell, coloured by the table', async () => {
    const { canvas, colors, selection, store } = await image();
    const frame = store.frame(0, 'frame', 0);
    const place = selection.place();
    if (!frame || !place) {
      throw new Error('no frame');
    }
    const [vmin, vmax] = colors.range(place, frame);
    const table = colors.table(frame, vmin, vmax);
    expect([canvas.width, canvas.height]).toEqual([3, 2]);
    expect([...(pixelsOf.get(canvas) ?? [])]).toEqual([...frame.codes].map((code) => table[code]));
  });

  it('says what it shows, once per frame of the screen', async () => {
    const { canvas, selection } = await image();
    selection.set('channel', 1);
    selection.set('channel', 0);
    selection.set('channel', 1);
    expect(canvas.dataset).toMatchObject({ record: '0', frame: '0', state: 'ready', painted: '1' });
    await nextFrame();
    expect(canvas.dataset).toMatchObject({ record: '0', frame: '1', state: 'ready', painted: '2' });
  });

  it('gives way to a sentence in a step in which the layer did not run, and comes back', async () => {
    const { canvas, figure, selection, store, holder } = await image();
    store.set('catalog', { ...store.catalog, layers: [stepped('conv', [[0], [], [1]])] });
    store.set('pages', PAGES);
    selection.set('step', 1);
    await nextFrame();
    expect([canvas.dataset.state, holder.textContent, holder.getAttribute('aria-label')]).toEqual(
      ['message', 'conv did not run in step 1', 'conv did not run in step 1']);
    expect(figure.el.classList.contains('memviz-no-picture')).toBe(true);
    selection.set('step', 2);
    await nextFrame();
    expect(canvas.dataset).toMatchObject({ state: 'ready', record: '1' });
  });

  it('keeps the old picture while loading, and clears it for a message', async () => {
    const comm = new FakeComm();
    const { canvas, selection, store } = await image({ pages: [PAGES[0]], comm });
    selection.set('layer', 1);
    await nextFrame();
    expect([canvas.dataset.state, pixelsOf.has(canvas)]).toEqual(['loading', true]);
    vi.spyOn(store, 'refusal').mockReturnValue('not kept');
    store.trigger('pages', 1, 'frame');
    await nextFrame();
    expect([canvas.dataset.state, pixelsOf.has(canvas)]).toEqual(['message', false]);
    expect(canvas.nextElementSibling?.textContent).toBe('not kept');
  });

  it('lies on the plot area, flipped where the scale runs the other way', async () => {
    const { holder, canvas } = await image();
    expect(holder.style).toMatchObject({ left: '60px', top: '50px', width: '300px', height: '200px' });
    expect([canvas.style.width, canvas.style.transform]).toEqual(['300px', 'scale(1, 1)']);
    expect((await image({ up: true })).canvas.style.transform).toBe('scale(1, -1)');
  });

  it('is not laid out again for another channel', async () => {
    const { selection, view, figure } = await image();
    const relayout = vi.spyOn(view, 'relayout');
    selection.set('channel', 1);
    await nextFrame();
    expect([relayout.mock.calls.length, figure.relayout.mock.calls.length]).toEqual([0, 1]);
  });
});

describe('the model', () => {
  it('gives the scales the extent of the record', async () => {
    const { scales, selection, model } = await image();
    expect([scales.x.domain, scales.y.domain]).toEqual([[-0.5, 2.5], [-0.5, 1.5]]);
    selection.set('layer', 1);
    expect([model.get('x'), model.get('y')]).toEqual([[-0.5, 5.5], [-0.5, 3.5]]);
  });

  it('names the dims and puts whole numbers on the axes', async () => {
    const { x_axis, y_axis, selection } = await image();
    selection.set('layer', 1);
    expect([x_axis.get('label'), y_axis.get('label')]).toEqual(['channel', 'time']);
    expect([[...x_axis.get('tick_values')], [...y_axis.get('tick_values')]]).toEqual([[0, 1, 2, 3, 4, 5], [0, 1, 2, 3]]);
  });

  it('keeps a zoom within one geometry and gives it up for another', async () => {
    const { scales, selection } = await image();
    scales.x.set({ min: 0, max: 1 });
    selection.set('channel', 1);
    expect(scales.x.get('max')).toBe(1);
    selection.set('layer', 1);
    expect([scales.x.get('min'), scales.x.get('max')]).toEqual([null, null]);
  });

  it('says on the axis that a cell stands for several', async () => {
    const { x_axis, selection, store } = await image();
    const record = store.catalog.records[0];
    const pooled = { ...record, frame: { ...picture([], 2, 3, 1), pool_cols: 8, full_cols: 24 } };
    store.set('catalog', { ...store.catalog, records: [pooled, store.catalog.records[1]] });
    expect(selection.place()?.index).toBe(0);
    expect(x_axis.get('label')).toBe('width (1 of 8 shown)');
  });
});

it('keeps the cells of a spatial picture square, and gives others the width', async () => {
  const { figure, selection } = await image(); // 3 x 2 cells; 400 x 300 with margins of 100
  expect(figure.model.get('min_aspect_ratio')).toBeCloseTo(400 / 300);
  selection.set('layer', 1);
  expect([figure.model.get('min_aspect_ratio'), figure.model.get('max_aspect_ratio')]).toEqual([1, 4]);
});

describe('reading', () => {
  it('says at once what is under the pointer, then exactly', async () => {
    const { figure, store } = await image();
    vi.spyOn(store, 'askValue').mockResolvedValue({ text: '0.82134515', number: 0.82134515, index: [0, 0, 1, 2] });
    move(figure, 60 + 299, 50 + 199);
    expect(tooltip(figure).textContent).toBe('channel 0, height 1, width 2: ≈ 0.01984'); // code 5 of 252 from 0 to 1
    await new Promise((done) => setTimeout(done, 80));
    await settled();
    expect(tooltip(figure).textContent).toBe('channel 0, height 1, width 2: 0.82134515');
    expect(store.askValue).toHaveBeenCalledWith(0, 0, 1, 2);
  });

  it('drops an answer for a cell that was left', async () => {
    const { figure, store } = await image();
    let answer: (value: { text: string; number: number; index: number[] }) => void = () => undefined;
    vi.spyOn(store, 'askValue').mockImplementation(() => new Promise((done) => (answer = done)));
    move(figure, 61, 51);
    await new Promise((done) => setTimeout(done, 80));
    move(figure, 60 + 299, 51);
    answer({ text: '9', number: 9, index: [] });
    await settled();
    expect(tooltip(figure).textContent).toBe('channel 0, height 0, width 2: ≈ 0.007937');
  });

  it('hides when the pointer leaves the plot', async () => {
    const { figure } = await image();
    move(figure, 61, 51);
    expect(tooltip(figure).hidden).toBe(false);
    move(figure, 10, 10);
    expect(tooltip(figure).hidden).toBe(true);
  });

  it('goes by keyboard, and is spoken', async () => {
    const { figure, holder, view } = await image();
    holder.focus();
    press(holder, 'Home');
    press(holder, 'ArrowRight');
    expect(figure.el.querySelector('[role=status]')?.textContent).toMatch(/^channel 0, height 1, width 1: ≈/);
    expect(view.el.querySelectorAll('[data-axis=cell]').length).toBeGreaterThan(0);
  });

  it('is off where the mark says so', async () => {
    const { figure, model } = await image();
    model.set('readout', false);
    move(figure, 61, 51);
    expect(tooltip(figure).hidden).toBe(true);
  });
});

describe('the selection', () => {
  it('is marked on the axes that the picture shows', async () => {
    const { view, selection } = await image();
    expect(view.el.querySelectorAll('.memviz-band')).toHaveLength(0);
    selection.set({ layer: 1, time: 3, channel: 2 });
    await nextFrame();
    const row = view.el.querySelector('[data-axis=row]');
    const column = view.el.querySelector('[data-axis=column]');
    expect([row?.getAttribute('y'), row?.getAttribute('height')]).toEqual(['150', '50']);
    expect([column?.getAttribute('x'), column?.getAttribute('width')]).toEqual(['100', '50']);
  });

  it('is moved by a click, along both', async () => {
    const { figure, selection } = await image();
    selection.set('layer', 1);
    await nextFrame();
    figure.el.dispatchEvent(new MouseEvent('click', { clientX: 60 + 260, clientY: 50 + 60 }));
    expect([selection.get('time'), selection.get('channel')]).toEqual([1, 5]);
  });
});

it('describes itself to a screen reader', async () => {
  const { holder } = await image();
  const label = holder.getAttribute('aria-label');
  expect([holder.getAttribute('role'), holder.tabIndex]).toEqual(['img', 0]);
  expect(label).toMatch(/^heatmap of a: height by width, channel 0 of 2; values of the layer from −1 to 3/);
});

it('shows two views of one mark, and takes nothing with it when one goes', async () => {
  const { open, selection, store, colors, scales, canvas } = await image();
  const count = () => [selection, store, colors, scales.x, scales.y].map(listenerCount);
  const before = count();
  const second = await open();
  const figure = second.parent as unknown as ReturnType<typeof fakeFigure>;
  second.remove();
  expect(count()).toEqual(before);
  expect(figure.el.querySelectorAll('.memviz-image-holder, .memviz-tooltip, .memviz-spoken')).toHaveLength(0);
  expect([Object.keys(figure.renderHooks), figure.el.className]).toEqual([[], '']);
  selection.set('channel', 1);
  await nextFrame();
  expect(canvas.dataset.frame).toBe('1');
});

describe('zoom and pan by keyboard', () => {
  it('zoom, pan and show all again, and leave the plain arrows to the reader', async () => {
    const { holder, scales, figure } = await image();
    const scale = scales.x as unknown as { domain: number[]; get(name: string): number | null; on(name: string, work: () => void): void };
    scale.on('change:min change:max', () => (scale.domain = [scale.get('min') ?? -0.5, scale.get('max') ?? 2.5]));
    scales.y.domain = [-0.5, 199.5];
    scales.x.domain = [-0.5, 2.5];
    holder.focus();
    press(holder, '+');
    expect([scales.y.get('min'), scales.y.get('max')].every((end) => end !== null)).toBe(true);
    press(holder, 'ArrowRight', { shiftKey: true });
    expect(figure.el.querySelectorAll('.memviz-spoken').length).toBe(1);
    press(holder, '0');
    expect([scales.x.get('min'), scales.y.get('max')]).toEqual([null, null]);
  });

  it('shows all again at a double click, but not on the toolbar', async () => {
    const { scales, figure } = await image();
    const toolbar = document.createElement('div');
    toolbar.className = 'toolbar_div';
    figure.el.append(toolbar);
    scales.x.set({ min: 0, max: 1 });
    toolbar.dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
    expect(scales.x.get('max')).toBe(1);
    figure.el.dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
    expect(scales.x.get('max')).toBeNull();
  });
});
