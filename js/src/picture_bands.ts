/** Bands: thin frames around cells, rows and columns of a picture, so that they show on light and dark cells alike. */

import type { PictureEntry } from './catalog';
import { pictureBox } from './paint';
import type { Box } from './paint';
import { indexAlong } from './picture_axes';
import { rowOfIndex } from './shown_picture';
import type { ShownPicture } from './shown_picture';

const SVG = 'http://www.w3.org/2000/svg';

/** What a band is around, and where it lies in the plot. */
export type Band = [name: string, box: Box];
type ToPixels = (value: number) => number;

/** Bands around the selected row and column, where the picture shows an axis of the selection. */
export function selectedBands(shown: ShownPicture, picture: PictureEntry, toX: ToPixels, toY: ToPixels): Band[] {
  const { selection } = shown;
  const bands: Band[] = [];
  const row = picture.row_trait && picture.full_rows > 1 ? selectedRow(shown, picture) : -1;
  if (row >= 0) {
    bands.push(['row', pictureBox(toX, (v) => toY(v + row), 1, picture.full_cols)]);
  }
  if (picture.col_trait && picture.full_cols > 1) {
    const col = indexAlong(selection, picture.col_trait, picture.full_cols);
    bands.push(['column', pictureBox((v) => toX(v + col), toY, picture.full_rows, 1)]);
  }
  return bands;
}

/** The row of the selected index; -1: in an order that has not come yet, or in no row. */
export function selectedRow(shown: ShownPicture, { row_trait, full_rows }: PictureEntry): number {
  const known = shown.rowOrder?.() ?? null;
  return known ? rowOfIndex(shown, Number(shown.selection.get(row_trait) ?? 0)) : indexAlong(shown.selection, row_trait, full_rows);
}

/** One rectangle with a halo per band, in place of those that were there. */
export function drawBands(group: Element, bands: Band[]): void {
  group.querySelectorAll('.memviz-band').forEach((band) => band.remove());
  for (const [name, box] of bands) {
    for (const stroke of ['halo', 'line']) {
      const rect = document.createElementNS(SVG, 'rect');
      rect.setAttribute('class', `memviz-band memviz-band-${stroke}`);
      rect.dataset.axis = name;
      rect.setAttribute('x', String(box.left));
      rect.setAttribute('y', String(box.top));
      rect.setAttribute('width', String(Math.max(1, box.width)));
      rect.setAttribute('height', String(Math.max(1, box.height)));
      group.append(rect);
    }
  }
}
