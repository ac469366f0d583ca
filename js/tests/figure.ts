/** Stands in for what bqplot puts around a mark: a figure and scales. */

import { vi } from 'vitest';

import { foreign } from './models';

export const PLOT = { width: 300, height: 200 };

/** A bqplot LinearScale model that takes the domain it is given. */
export function scaleModel() {
  const model = foreign({ min: null, max: null });
  const scale = Object.assign(model, {
    domain: [] as number[],
    computeAndSetDomain: (values: number[]) => {
      scale.domain = [...values];
      model.trigger('domain_changed');
    },
    delDomain: vi.fn(),
  });
  return scale;
}

/** Its view on an axis of that many pixels. */
export function scaleView(model: ReturnType<typeof scaleModel>, pixels: number, reverse: boolean) {
  const at = (value: number) => ((value - model.domain[0]) / (model.domain[1] - model.domain[0])) * pixels;
  return { model, scale: (value: number) => (reverse ? pixels - at(value) : at(value)), setRange: vi.fn(), remove: vi.fn(), on: vi.fn() };
}

/** A figure of 400 x 300 pixels in the document, with a plot of the size PLOT. */
export function fakeFigure() {
  const el = document.createElement('div');
  const svg = document.createElement('div');
  el.append(svg);
  document.body.append(el);
  el.getBoundingClientRect = () => new DOMRect(0, 0, 400, 300);
  return {
    el,
    model: foreign({ min_aspect_ratio: 0.01, max_aspect_ratio: 100 }),
    svg: { node: () => svg },
    margin: { left: 60, right: 40, top: 50, bottom: 50 },
    autoLayout: false,
    plotareaWidth: PLOT.width,
    plotareaHeight: PLOT.height,
    renderHooks: {} as Record<string, () => void>,
    padded_range: () => [0, 1],
    relayout: vi.fn(),
  };
}
