/** The overlay canvas in PNG and SVG exports of a bqplot figure. */

import type { Figure } from 'bqplot';

import type { Lifetime } from './lifetime';
import type { Box } from './paint';

const SCALE = 2; // device pixels per CSS pixel of the exported picture
const exporting = new WeakSet<HTMLCanvasElement>();

/**
 * bqplot calls the hook just before it reads its own canvas, and places that image with the size of the whole figure
 * inside the plot area: so the canvas takes the size of the figure, is drawn on, and is put back when bqplot has read it
 * (in the same turn), because it would cover the figure on the page. `shown`: the pictures, the lowest first, and
 * their boxes in the plot.
 */
export function exportPicture(
  figure: Figure,
  key: string,
  life: Lifetime,
  shown: () => { canvas: HTMLCanvasElement; box: Box }[],
): void {
  figure.renderHooks[key] = life.guard(() => {
    const pictures = shown();
    const target = figure.webGLCanvas;
    if (pictures.length === 0 || figure.needsWebGLContext) {
      return;
    }
    if (!exporting.has(target)) {
      const { width, height } = target;
      exporting.add(target);
      target.width = Math.round(figure.width * SCALE);
      target.height = Math.round(figure.height * SCALE);
      queueMicrotask(() => {
        exporting.delete(target);
        target.width = width;
        target.height = height;
      });
    }
    pictures.forEach(({ canvas, box }) => drawInto(target.getContext('2d'), figure, canvas, box));
  });
  life.onEnd(() => delete figure.renderHooks[key]);
}

function drawInto(context: CanvasRenderingContext2D | null, figure: Figure, canvas: HTMLCanvasElement, box: Box): void {
  if (!context) {
    return;
  }
  context.save();
  context.imageSmoothingEnabled = false;
  context.scale(SCALE, SCALE);
  context.beginPath();
  context.rect(0, 0, figure.plotareaWidth, figure.plotareaHeight);
  context.clip();
  context.translate(box.left + (box.flipX ? box.width : 0), box.top + (box.flipY ? box.height : 0));
  context.scale(box.flipX ? -1 : 1, box.flipY ? -1 : 1);
  context.clearRect(0, 0, box.width, box.height); // where a detail is empty, so is the picture
  context.drawImage(canvas, 0, 0, box.width, box.height);
  context.restore();
}
