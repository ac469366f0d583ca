/** CurvePlot: draws the curve of distances as SVG. Points in, elements out; knows no model. */

import { tenTo } from './color_range';
import { curveScale, decades, heightOf } from './comparison_curve_points';
import type { CurvePoint, CurveScale } from './comparison_curve_points';
import { approximately } from './number_text';

const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT_PX = 150;
const LEFT_PX = 52; // labels of the decades
const RIGHT_PX = 8;
const TOP_PX = 8;
const ZERO = 1.16; // the line of 0, below the lowest decade
const DEFAULT_WIDTH_PX = 640; // before the page has laid us out

/** What is marked besides the points: layers, and the distance from which they count as apart. */
export interface CurveMarks {
  selected: number;
  pointed: number | null;
  bound: number;
}

export class CurvePlot {
  /** The element, to be put into the page; it takes the keyboard. */
  readonly el: HTMLElement;
  private width = DEFAULT_WIDTH_PX;
  private layers = 0;

  constructor() {
    const plot = document.createElementNS(SVG, 'svg');
    plot.classList.add('memviz-curve-plot');
    plot.setAttribute('role', 'slider');
    plot.setAttribute('aria-label', 'distance by layer');
    plot.setAttribute('tabindex', '0');
    this.el = plot as Element as HTMLElement; // what is used of it, both have
  }

  draw(points: readonly CurvePoint[], { selected, pointed, bound }: CurveMarks, width: number): void {
    this.width = width || DEFAULT_WIDTH_PX;
    this.layers = points.length;
    this.el.setAttribute('viewBox', `0 0 ${this.width} ${HEIGHT_PX}`);
    const scale = curveScale(points, bound);
    const cursors = [this.vertical('memviz-curve-cursor', selected)];
    if (pointed !== null && pointed !== selected) {
      cursors.push(this.vertical('memviz-curve-pointed', pointed));
    }
    this.el.replaceChildren(...this.grid(scale, bound), ...cursors, this.line(points, scale), ...this.dots(points, scale, bound));
  }

  /** What a screen reader is told. */
  say(layer: number, layers: number, text: string): void {
    this.el.setAttribute('aria-valuemin', '0');
    this.el.setAttribute('aria-valuemax', String(Math.max(0, layers - 1)));
    this.el.setAttribute('aria-valuenow', String(layer));
    this.el.setAttribute('aria-valuetext', text);
  }

  /** The layer nearest to a position in the window. */
  layerAt(clientX: number): number {
    const box = this.el.getBoundingClientRect();
    const share = (clientX - box.left - LEFT_PX) / Math.max(1, box.width - LEFT_PX - RIGHT_PX);
    return Math.max(0, Math.min(this.layers - 1, Math.floor(share * this.layers)));
  }

  private xOf(layer: number): number {
    return LEFT_PX + (layer + 0.5) * this.room;
  }

  /** Pixels per layer. */
  private get room(): number {
    return (this.width - LEFT_PX - RIGHT_PX) / Math.max(1, this.layers);
  }

  private grid(scale: CurveScale, bound: number): SVGElement[] {
    const rows: [number, string][] = decades(scale).map((power) => [tenTo(power), approximately(tenTo(power), 1)]);
    rows.push([0, '0'], ...(scale.infinite ? [[Infinity, '∞'] as [number, string]] : []));
    const lines = rows.flatMap(([value, text]) => {
      const y = yOf(value, scale);
      const label = svg('text', '', { x: LEFT_PX - 6, y: y + 4, 'text-anchor': 'end' });
      label.textContent = text;
      return [this.horizontal('memviz-curve-grid', y), label];
    });
    return bound > 0 ? [...lines, this.horizontal('memviz-curve-bound', yOf(bound, scale))] : lines;
  }

  private horizontal(name: string, y: number): SVGElement {
    return svg('line', name, { x1: LEFT_PX, x2: this.width - RIGHT_PX, y1: y, y2: y });
  }

  private vertical(name: string, layer: number): SVGElement {
    const x = this.xOf(layer);
    return svg('line', name, { x1: x, x2: x, y1: TOP_PX / 2, y2: HEIGHT_PX - TOP_PX / 2 });
  }

  /** Breaks where a layer has no number. */
  private line(points: readonly CurvePoint[], scale: CurveScale): SVGElement {
    let pen = 'M';
    const path = points.map(({ layer, value }) => {
      if (value === null) {
        pen = 'M';
        return '';
      }
      const step = `${pen}${this.xOf(layer).toFixed(1)} ${yOf(value, scale).toFixed(1)}`;
      pen = 'L';
      return step;
    });
    return svg('path', 'memviz-curve-line', { d: path.join('') || 'M0 0' });
  }

  private dots(points: readonly CurvePoint[], scale: CurveScale, bound: number): SVGElement[] {
    const radius = Math.max(1.2, Math.min(4, this.room / 3));
    return points
      .filter(({ record }) => record !== null)
      .map(({ layer, value }) => {
        const dot = svg('circle', 'memviz-curve-dot', { cx: this.xOf(layer), cy: yOf(value ?? 0, scale), r: radius });
        dot.dataset.layer = String(layer);
        dot.dataset.state = value === null ? 'unmeasured' : value > bound ? 'apart' : 'alike';
        return dot;
      });
  }
}

function yOf(value: number, scale: CurveScale): number {
  return TOP_PX + heightOf(value, scale, ZERO) * ((HEIGHT_PX - 2 * TOP_PX) / ZERO);
}

function svg(tag: 'line' | 'text' | 'path' | 'circle', name: string, values: Record<string, number | string>): SVGElement {
  const made = document.createElementNS(SVG, tag);
  if (name) {
    made.setAttribute('class', name);
  }
  Object.entries(values).forEach(([key, value]) => made.setAttribute(key, String(value)));
  return made;
}
