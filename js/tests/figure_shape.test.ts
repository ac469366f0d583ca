import { expect, it, vi } from 'vitest';

import { FigureShape } from '../src/figure_shape';
import type { Room } from '../src/figure_shape';
import { attentionOf } from './attention_world';
import { foreign } from './models';

const OWN = { top: 10, bottom: 40, left: 60, right: 10 };
const PICTURE = attentionOf({ queries: 4, keys: 4 }).frame!;

function figureOf(autoLayout = false) {
  const el = document.createElement('div');
  el.getBoundingClientRect = () => new DOMRect(0, 0, 500, 400);
  const model = foreign({ fig_margin: OWN });
  const figure = { el, model, autoLayout, should_relayout: false, relayout: vi.fn(), get margin() { return model.get('fig_margin'); } };
  const shape = new FigureShape(figure as never);
  return { figure, model, fit: (room: Room) => shape.fit(PICTURE, room) };
}

it('makes the margin hold the tokens, and gives it back', () => {
  const { model, fit } = figureOf();
  fit({ left: 100, bottom: 20 });
  expect(model.get('fig_margin')).toEqual({ ...OWN, left: 100 });
  fit({});
  expect(model.get('fig_margin')).toEqual(OWN);
});

it('takes a margin that is set later as given', () => {
  const { model, fit } = figureOf();
  fit({ left: 100 });
  model.set('fig_margin', { ...OWN, left: 80 });
  fit({ left: 70 });
  expect(model.get('fig_margin').left).toBe(80);
});

it('keeps the cells square inside the new margin', () => {
  const { model, fit } = figureOf();
  fit({ left: 110, bottom: 90 }); // plot 300 x 300 in 420 x 400
  expect(model.get('min_aspect_ratio')).toBeCloseTo(420 / 400);
});

it('is not laid out again for the same', () => {
  const { figure, fit } = figureOf();
  fit({ left: 100 });
  fit({ left: 100 });
  expect(figure.relayout).toHaveBeenCalledTimes(1);
});

it('is laid out for a new margin although its size is the same', () => {
  const { figure, fit } = figureOf();
  fit({});
  expect(figure.should_relayout).toBe(false);
  fit({ left: 100 });
  expect(figure.should_relayout).toBe(true);
});

it('leaves a figure that lays itself out alone', () => {
  const { model, fit } = figureOf(true);
  fit({ left: 100 });
  expect(model.get('fig_margin')).toEqual(OWN);
});

it('says how high the whole width makes the figure', () => {
  const { figure, fit } = figureOf();
  fit({ left: 100 }); // plot 390 wide, 4 x 4 cells
  expect(figure.el.style.getPropertyValue('--memviz-picture-height')).toBe('440px');
  const row = figureOf();
  new FigureShape(row.figure as never).fit(attentionOf({ queries: 1, keys: 40 }).frame!, { left: 100 });
  expect(row.figure.el.style.getPropertyValue('--memviz-picture-height')).toBe('206px'); // 390 / 2.5 + 50
});
