/** Shape of the figure around a picture: square cells where both sides are of one kind, margins that hold the ticks. */

import type { WidgetModel } from '@jupyter-widgets/base';
import type { Figure } from 'bqplot';

import type { PictureEntry } from './catalog';
import { figureRatio } from './paint';

/** Pixels that are needed beside the plot, by side. */
export type Room = Partial<Record<'top' | 'bottom' | 'left' | 'right', number>>;
type Margin = Figure['margin'];

/** Columns per row beyond which a picture is drawn with cells that are higher than wide: see figureRatio. */
const WIDEST = 2.5;
const SQUARE = ['height width', 'query key'];
/** What a figure's margin was before it grew, and what it has grown to. */
const grown = new WeakMap<WidgetModel, { own: Margin; written: Margin }>();

export class FigureShape {
  private shapedFor = ''; // what it was last set for: a second view must not start a contest

  constructor(private readonly figure: Figure) {}

  /** Gives the figure the aspect ratio that keeps the cells of a spatial picture square; others use the width. */
  fit(picture: PictureEntry, room: Room): void {
    this.offerHeight(picture, room);
    const { width, height } = this.figure.el.getBoundingClientRect();
    if (!(width > 0) || !(height > 0)) {
      return;
    }
    const square = SQUARE.includes(`${picture.row_dim} ${picture.col_dim}`);
    const cells = square ? picture.full_cols / Math.max(1, picture.full_rows) : 0;
    const shapedFor = [width, height, cells, JSON.stringify(room)].join(' ');
    if (shapedFor === this.shapedFor) {
      return;
    }
    this.shapedFor = shapedFor;
    if (growMargin(this.figure, room)) {
      this.figure.should_relayout = true; // bqplot notes it by itself only once all of the figure has been made
    }
    const { margin, autoLayout } = this.figure;
    const [marginX, marginY] = autoLayout ? [0, 0] : [margin.left + margin.right, margin.top + margin.bottom];
    const ratio = figureRatio(cells, width, height, marginX, marginY);
    this.figure.model.set({ min_aspect_ratio: square ? ratio : 1, max_aspect_ratio: square ? ratio : 4 });
    this.figure.relayout(); // at once: bqplot itself would wait 300 ms
  }

  /** Tells the style sheet how high the whole width makes the figure; a row of weights needs less than a matrix. */
  private offerHeight(picture: PictureEntry, room: Room): void {
    const { el, margin } = this.figure;
    const [left, right, top, bottom] = (['left', 'right', 'top', 'bottom'] as const).map((side) =>
      Math.max(margin[side], room[side] ?? 0),
    );
    const plotWidth = el.getBoundingClientRect().width - left - right;
    const ratio = Math.min(WIDEST, Math.max(1, picture.full_cols / Math.max(1, picture.full_rows)));
    if (plotWidth > 0) {
      el.style.setProperty('--memviz-picture-height', `${Math.ceil(plotWidth / ratio) + top + bottom}px`);
    }
  }
}

/**
 * Makes the margin hold `room`, never narrower than what the figure was given; what is set later counts as given.
 * Whether that changed it.
 */
function growMargin(figure: Figure, room: Room): boolean {
  const now = figure.model.get('fig_margin') as Margin | undefined;
  if (!now || figure.autoLayout) {
    return false;
  }
  const before = grown.get(figure.model);
  const own = before && sameMargin(before.written, now) ? before.own : now;
  const wanted = { ...own };
  for (const side of ['top', 'bottom', 'left', 'right'] as const) {
    wanted[side] = Math.max(own[side], room[side] ?? 0);
  }
  grown.set(figure.model, { own, written: wanted });
  if (sameMargin(wanted, now)) {
    return false;
  }
  figure.model.set('fig_margin', wanted);
  return true;
}

function sameMargin(one: Margin, other: Margin): boolean {
  return (['top', 'bottom', 'left', 'right'] as const).every((side) => one[side] === other[side]);
}
