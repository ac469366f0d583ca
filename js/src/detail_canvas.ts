/** DetailCanvas: draws the visible part of a zoomed picture over the pooled one, one pixel per cell. No model. */

import type { Frame } from './catalog';
import { element } from './drawn_view';
import { paintCodes, pictureBox } from './paint';
import type { Box } from './paint';
import type { Detail } from './picture_detail';

type ToPixels = (value: number) => number;

export class DetailCanvas {
  readonly el = element('canvas', 'memviz-detail');
  private drawn: Frame | null = null;
  private drawnFor = ''; // range and colours that it shows
  private painted = 0;

  constructor() {
    this.el.hidden = true;
  }

  /** In the plot, in CSS pixels; the scales give the place of an index. */
  boxOf({ pools, rows, cols }: Detail, toX: ToPixels, toY: ToPixels): Box {
    const [down, across] = [rows[0] * pools[0], cols[0] * pools[1]];
    const [height, width] = [(rows[1] - rows[0]) * pools[0], (cols[1] - cols[0]) * pools[1]];
    return pictureBox((v) => toX(v + across), (v) => toY(v + down), height, width);
  }

  /** `colors`: names what the table was made for; a table that is not needed is not made. */
  paint(detail: Detail | null, colors: string, table: (frame: Frame) => Uint32Array): void {
    this.el.hidden = detail === null;
    const context = detail && this.el.getContext('2d');
    if (!context || (detail.frame === this.drawn && colors === this.drawnFor)) {
      return;
    }
    const { frame } = detail;
    [this.drawn, this.drawnFor] = [frame, colors];
    [this.el.width, this.el.height] = [frame.cols, frame.rows];
    const image = context.createImageData(frame.cols, frame.rows);
    paintCodes(new Uint32Array(image.data.buffer), frame.codes, table(frame));
    context.putImageData(image, 0, 0);
    this.painted += 1;
    Object.assign(this.el.dataset, { pools: detail.pools.join(' '), painted: String(this.painted) });
  }
}
