import { beforeEach, describe, expect, it } from 'vitest';

import { MemoryChoiceModel } from '../src/memory_choice';
import { TensorImage, TensorImageModel } from '../src/tensor_image';
import { PLOT, fakeFigure, scaleModel, scaleView } from './figure';
import { LAYERS, memoryPage, memoryWorld, unitsPage } from './memory_world';
import { foreign, make } from './models';
import { all, colorsOf, fakeCanvas, nextFrame, press } from './page';

beforeEach(fakeCanvas);

const TIME = [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 252];
const SHARES = [252, 253, 253, 253, 126, 126, 253, 253, 63, 63, 126, 253, 0, 63, 63, 126];
const PAGES = [
  memoryPage({}, [3, 4], TIME, -1, 0.5),
  memoryPage({ kind: 'timescale' }, [3, 4], TIME, -1, 0.5),
  memoryPage({ kind: 'wrote' }, [4, 4], SHARES),
  memoryPage({ kind: 'wrote_unit', page: 2 }, [4, 4], SHARES),
  memoryPage({ kind: 'frame' }, [4, 3], TIME, -1, 0.5),
  unitsPage(LAYERS.CELL, [2, 0, 1], [1, 2, 0]),
];

/** A map of 3 or 4 rows by 4 columns on a plot of 300 x 200 pixels. */
async function heatmap(state: object | null = {}, pages = PAGES) {
  const { store, selection } = memoryWorld(pages);
  selection.set('layer', LAYERS.CELL);
  const choice = state && make(MemoryChoiceModel, { selection, ...state });
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
  const rows = model.picture?.rows ?? 1;
  const cols = model.picture?.cols ?? 1;
  const at = (row: number, col: number) => ({
    clientX: 60 + ((col + 0.5) * PLOT.width) / cols,
    clientY: 50 + ((row + 0.5) * PLOT.height) / rows,
  });
  const said = (row: number, col: number) => {
    figure.el.dispatchEvent(new MouseEvent('pointermove', at(row, col)));
    return figure.el.querySelector('.memviz-tooltip')?.textContent?.replace(/[\u2068\u2069]/g, '');
  };
  const click = (row: number, col: number) => figure.el.dispatchEvent(new MouseEvent('click', at(row, col)));
  const bars = () => all(view.el, '.memviz-lit-bar').map((bar) => bar.textContent?.replace(/[\u2068\u2069]/g, ''));
  return { store, selection, choice, view, holder, said, click, bars, ...axes };
}

const labels = (axis: ReturnType<typeof foreign>) =>
  Object.values((axis.get('tick_labels') as object | null) ?? {}).map((text: string) => text.slice(1, -1));

describe('the map over time', () => {
  it('has units down and the tokens across', async () => {
    const { x_axis, y_axis } = await heatmap();
    expect([x_axis.get('label'), labels(x_axis), y_axis.get('label')]).toEqual(['time', ['a', 'b', 'c', 'd'], 'channel']);
  });

  it('says unit, step, token and value of a cell', async () => {
    const { said } = await heatmap();
    expect(said(2, 3)).toBe('cell of enc l0, channel 2, time 3 “d”: ≈ 0.5');
  });

  it('sets unit and time by a click, and lights up who wrote what is there', async () => {
    const { selection, click, bars } = await heatmap();
    click(2, 1);
    expect([selection.get('channel'), selection.get('time'), selection.get('lit')]).toEqual([2, 1, [0.5, 0.5, 0, 0]]);
    await nextFrame();
    expect(bars()).toEqual(['time 0 “a” wrote 50 %', 'time 1 “b” wrote 50 %']);
  });

  it('puts them out with Escape', async () => {
    const { selection, click, bars, holder } = await heatmap();
    click(2, 1);
    await nextFrame();
    press(holder, 'Escape');
    await nextFrame();
    expect([selection.get('lit'), bars()]).toEqual([[], []]);
  });
});

describe('units in another order', () => {
  it('have their own indices on the axis, under the pointer and in a click', async () => {
    const { selection, y_axis, said, click } = await heatmap({ order: 'timescale' });
    expect([y_axis.get('label'), labels(y_axis)]).toEqual(['channel by time constant, longest first', ['2', '0', '1']]);
    expect(said(0, 1)).toMatch(/^cell of enc l0, channel 2, time 1 “b”: /);
    click(0, 1);
    expect(selection.get('channel')).toBe(2);
  });

  it('are marked where the selected one stands', async () => {
    const { selection, view } = await heatmap({ order: 'timescale' });
    selection.set('channel', 1);
    await nextFrame();
    const band = view.el.querySelector('.memviz-band[data-axis=row]');
    expect(Number(band?.getAttribute('y'))).toBeCloseTo((2 / 3) * PLOT.height);
  });

  it('are not told, not marked and not chosen before their page has come', async () => {
    const { selection, view, said, click } = await heatmap({ order: 'timescale' }, PAGES.slice(0, 5));
    expect(said(0, 1)).toMatch(/^cell of enc l0, row 0 by time constant, longest first, time 1/);
    expect(view.el.querySelector('.memviz-band[data-axis=row]')).toBeNull();
    selection.set('channel', 1);
    click(0, 1);
    expect([selection.get('channel'), selection.get('time')]).toEqual([1, 1]);
  });
});

describe('the map of who wrote what', () => {
  it('says when it is read and who wrote it, and that a share is of what is held', async () => {
    const { said } = await heatmap({ map: 'wrote' });
    expect(said(2, 0)).toBe('cell of enc l0, read at 2 “c” → written at 0 “a”: ≈ 0.25 of what is held');
    expect(said(1, 3)).toMatch(/: 0 \(exactly: nothing that was written then is in it\)$/);
  });

  it('sets the time it is read at by a click, and lights up the writers along its columns alone', async () => {
    const { selection, view, click, bars } = await heatmap({ map: 'wrote' });
    click(2, 0);
    await nextFrame();
    expect([selection.get('time'), bars()]).toEqual([2, ['time 0 “a” wrote 25 %', 'time 1 “b” wrote 25 %', 'time 2 “c” wrote 50 %']]);
    expect(all(view.el, '.memviz-lit').map(({ dataset }) => dataset.axis)).toEqual(['column']);
  });
});

it('lights steps up in a picture without a choice, too, as strong as their share', async () => {
  const { selection, view } = await heatmap(null); // time down
  selection.set({ lit: [0, 0.4, 0.2, 0] });
  await nextFrame();
  const bars = all(view.el, '.memviz-lit-bar').map((bar) => [bar.getAttribute('y'), bar.getAttribute('height'), Number(bar.getAttribute('opacity'))]);
  expect(view.el.querySelector<SVGElement>('.memviz-lit')?.dataset.axis).toBe('row');
  expect(bars).toEqual([['50', '50', 1], ['100', '50', 0.575]]);
});
