/** PictureCanvas: draws a frame, one pixel per cell, or per pixel of the screen where that has fewer. No model. */

import type { Frame } from './catalog';
import { element } from './drawn_view';
import { fittedCodes, fittedSize } from './fitted_codes';
import type { Loudness, Size } from './fitted_codes';
import { paintCodes } from './paint';
import type { Box } from './paint';

/** How a frame is drawn. `key`: names record, kind and colours; `table`: is not made where nothing is drawn. */
export interface Drawing {
  key: string;
  loudness: Loudness;
  emptyZeros: boolean;
  table: () => Uint32Array;
}

export class PictureCanvas {
  readonly el = element('canvas', 'memviz-image');
  private image: ImageData | null = null;
  private pixels = new Uint32Array(0);
  private painted = 0;
  /** Whether several cells fall on a pixel. */
  crowded = false;
  private drawnFor = ''; // what the canvas shows, and the page that it was drawn from
  private drawnFrom: ArrayBufferLike | null = null;

  constructor() {
    this.el.width = this.el.height = 1;
  }

  /** Whether a frame of this size is drawn otherwise in this box, which is in CSS pixels. */
  isOtherwise(frame: Size, box: Box | null): boolean {
    const { rows, cols } = seenSize(frame, box);
    return this.drawnFor !== '' && (rows !== this.el.height || cols !== this.el.width);
  }

  paint(frame: Frame, box: Box | null, { key, loudness, emptyZeros, table }: Drawing): void {
    const context = this.el.getContext('2d');
    if (!context || !frame.rows || !frame.cols) {
      return;
    }
    const size = seenSize(frame, box);
    const drawnFor = [key, frame.codes.byteOffset, size.rows, size.cols].join(' ');
    if (drawnFor === this.drawnFor && frame.codes.buffer === this.drawnFrom) {
      return; // an answer of the kernel, say, that changed nothing
    }
    if (this.image?.width !== size.cols || this.image.height !== size.rows) {
      [this.el.width, this.el.height] = [size.cols, size.rows];
      this.image = context.createImageData(size.cols, size.rows);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.crowded = size.rows < frame.rows || size.cols < frame.cols;
    [this.drawnFor, this.drawnFrom] = [drawnFor, frame.codes.buffer];
    paintCodes(this.pixels, fittedCodes(frame, size, loudness, emptyZeros), table());
    context.putImageData(this.image, 0, 0);
    this.painted += 1;
    this.el.dataset.painted = String(this.painted);
  }

  clear(): void {
    this.el.getContext('2d')?.clearRect(0, 0, this.el.width, this.el.height);
    this.drawnFor = '';
  }
}

function seenSize(frame: Size, box: Box | null): Size {
  const ratio = window.devicePixelRatio || 1;
  const seen = box !== null && box.width > 0 && box.height > 0; // else it has no place yet
  return seen ? fittedSize(frame, box.height * ratio, box.width * ratio) : { rows: frame.rows, cols: frame.cols };
}
