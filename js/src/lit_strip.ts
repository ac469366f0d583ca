/** LitStrip: a thin bar along each side of a picture where timesteps stand, brighter where more was written. Pixels only. */

import type { PictureEntry } from './catalog';
import { litBars, litSides } from './lit_times';
import type { LitBar, LitSide } from './lit_times';
import { shareText } from './number_text';
import type { Box } from './paint';
import type { TextAt } from './token_axis';
import { positionWords } from './token_texts';

const SVG = 'http://www.w3.org/2000/svg';
const STRIP_PX = 6;
const LEAST_OPACITY = 0.15; // of a bar that is lit at all

/** Where the strip lies: the picture's box in the plot, the size of the plot, and positions to pixels. */
export interface LitPlot {
  picture: PictureEntry;
  box: Box;
  width: number;
  height: number;
  toX: (value: number) => number;
  toY: (value: number) => number;
  textsOf: (dim: string) => TextAt | null;
}

export class LitStrip {
  private drawn: unknown[] = [];

  constructor(private readonly group: Element) {}

  /** Null plot: there is no picture. Draws again only what is another row of shares or another place. */
  draw(lit: readonly number[], plot: LitPlot | null): void {
    const { left, top, width, height } = plot?.box ?? {};
    const drawn = [lit, plot?.picture, left, top, width, height, plot?.width, plot?.height];
    if (drawn.some((part, i) => part !== this.drawn[i])) {
      this.drawn = drawn;
      this.group.querySelectorAll('.memviz-lit').forEach((old) => old.remove());
      if (plot && lit.length > 0) {
        this.group.append(...litSides(plot.picture).map((side) => strip(lit, plot, side)));
      }
    }
  }
}

function strip(lit: readonly number[], plot: LitPlot, side: LitSide): SVGElement {
  const { picture, box } = plot;
  const along = side === 'column';
  const [size, dim] = along ? [picture.full_cols, picture.col_dim] : [picture.full_rows, picture.row_dim];
  const textAt = plot.textsOf(dim);
  const group = document.createElementNS(SVG, 'g');
  group.setAttribute('class', 'memviz-lit');
  group.dataset.axis = side;
  // at the edge beside the axis, in the part that can be seen
  const [foot, edge] = [Math.min(box.top + box.height, plot.height) - STRIP_PX, Math.max(0, box.left)];
  const place = (first: number, last: number): [number, number, number, number] => {
    const to = along ? plot.toX : plot.toY;
    const ends = [to(first - 0.5), to(last + 0.5)];
    const [start, length] = [Math.min(...ends), Math.max(1, Math.abs(ends[1] - ends[0]))];
    return along ? [start, foot, length, STRIP_PX] : [edge, start, STRIP_PX, length];
  };
  group.append(rect('memviz-lit-back', place(0, size - 1)));
  for (const bar of litBars(lit, size, along ? box.width : box.height)) {
    const drawn = rect('memviz-lit-bar', place(bar.first, bar.last));
    drawn.setAttribute('opacity', String(LEAST_OPACITY + (1 - LEAST_OPACITY) * bar.strength));
    const title = document.createElementNS(SVG, 'title');
    title.textContent = barWords(bar, textAt);
    drawn.append(title);
    group.append(drawn);
  }
  return group;
}

/** 'time 3 “the” wrote 42 %'; "times 4–7 wrote at most 12 % each". */
export function barWords({ first, last, share }: LitBar, textAt: TextAt | null): string {
  return first === last
    ? `${positionWords('time', first, textAt?.(first) ?? null)} wrote ${shareText(share)}`
    : `times ${first}–${last} wrote at most ${shareText(share)} each`;
}

function rect(name: string, [x, y, width, height]: [number, number, number, number]): SVGRectElement {
  const drawn = document.createElementNS(SVG, 'rect');
  drawn.setAttribute('class', name);
  Object.entries({ x, y, width, height }).forEach(([key, value]) => drawn.setAttribute(key, String(value)));
  return drawn;
}
