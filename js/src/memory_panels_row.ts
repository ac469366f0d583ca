/** PanelStrip: one row of MemoryPanels in the page: the name of the part with its range, and its strip on a canvas. */

import type { Frame } from './catalog';
import { element, setText } from './drawn_view';
import { panelHeight, stripHeight, stripWidth } from './memory_panels_layout';
import type { PanelLayout } from './memory_panels_layout';
import { paintStrip, stripColors } from './memory_panels_paint';
import type { PanelRow } from './memory_panels_rows';
import { distrust, rangeText, unitsText } from './memory_panels_words';

const LEAST_MARK_PX = 3; // of the mark at the selected unit

/** Everything that a strip shows; two of the same `key` look the same. */
export interface StripContent {
  key: string;
  frame: Frame | null;
  layout: PanelLayout;
}

export class PanelStrip {
  readonly el = element('div', 'memviz-panel');
  readonly strip = element('div', 'memviz-panel-strip');
  private readonly name = element('div', 'memviz-panel-name');
  private readonly title = element('span', 'memviz-panel-title');
  private readonly facts = element('span', 'memviz-panel-facts');
  private readonly canvas = element('canvas', 'memviz-panel-canvas');
  private readonly mark = element('div', 'memviz-panel-mark');
  private readonly note = element('div', 'memviz-panel-note memviz-note');
  private row: PanelRow | null = null;
  private key = '';
  private painted = 0;

  constructor(position: number) {
    this.el.setAttribute('role', 'option');
    this.el.dataset.row = String(position);
    this.el.tabIndex = -1;
    this.canvas.setAttribute('aria-hidden', 'true');
    this.mark.setAttribute('aria-hidden', 'true');
    this.name.append(this.title, this.facts);
    this.strip.append(this.canvas, this.mark);
    this.el.append(this.name, this.strip, this.note);
  }

  /** The name and the room of the row, whether it is in view or not; returns the height. */
  place(row: PanelRow, layout: PanelLayout): number {
    const strip = row.picture ? stripHeight(row.picture.full_rows) : 0;
    const height = panelHeight(layout, strip);
    this.row = row;
    this.el.classList.toggle('memviz-panel-stacked', layout.label === 0);
    this.el.style.height = `${height}px`;
    this.name.style.width = layout.label ? `${layout.label}px` : '';
    setText(this.title, [row.name, row.which].filter(Boolean).join(', '));
    if (row.picture) {
      const width = stripWidth(layout, row.picture.full_cols);
      Object.assign(this.strip.style, { width: `${width}px`, height: `${strip}px` });
    }
    return height;
  }

  /** Fills the row; null: takes the picture out of it. `problem`: why it will not come. `residual`: see FrameStore. */
  show(content: StripContent | null, problem: string, residual: number | null): void {
    const note = this.row?.note || problem;
    setText(this.note, note);
    this.note.title = note;
    this.note.hidden = !note;
    this.strip.hidden = !this.row?.picture || Boolean(problem);
    if (!content) {
      this.canvas.width = this.canvas.height = 0;
      this.key = '';
    } else if (content.key !== this.key) {
      this.key = content.key;
      this.paint(content);
    }
    this.describe(content?.frame ?? null, note, residual);
  }

  /** Whether it is the part that the cursor is on, and where its unit lies: a share 0..1 from the top; null: not known. */
  select(selected: boolean, unit: number | null): void {
    const units = this.row?.picture?.full_rows ?? 1;
    this.el.setAttribute('aria-selected', String(selected));
    this.mark.hidden = !selected || unit === null || units < 2;
    if (unit !== null) {
      const height = Math.max(LEAST_MARK_PX, stripHeight(units) / units);
      Object.assign(this.mark.style, { top: `${unit * stripHeight(units)}px`, height: `${height}px` });
    }
  }

  /** The range is known once the picture is there. */
  private describe(frame: Frame | null, note: string, residual: number | null): void {
    const { picture, pinned, label, which } = this.row ?? { picture: null, pinned: null, label: '', which: '' };
    const range = frame ? rangeText(stripColors(pinned, frame)) : '';
    const doubt = distrust(residual);
    const facts = picture ? [doubt, range, unitsText(picture)].filter(Boolean).join(', ') : '';
    setText(this.facts, facts);
    this.facts.classList.toggle('memviz-panel-doubt', doubt !== '');
    this.name.title = [label, which, facts].filter(Boolean).join(', ');
    this.el.setAttribute('aria-label', [this.title.textContent, facts, note].filter(Boolean).join(', '));
  }

  private paint({ frame, layout }: StripContent): void {
    const { picture, pinned } = this.row ?? { picture: null, pinned: null };
    if (!picture) {
      return;
    }
    const ratio = window.devicePixelRatio || 1;
    const sides = [stripWidth(layout, picture.full_cols), stripHeight(picture.full_rows)];
    const [width, height] = sides.map((side) => Math.max(1, Math.round(side * ratio)));
    Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext('2d');
    if (context) {
      const image = context.createImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer);
      paintStrip(pixels, width, height, picture, frame, frame && stripColors(pinned, frame));
      context.putImageData(image, 0, 0);
      this.painted += 1;
    }
    Object.assign(this.canvas.dataset, { state: frame ? 'ready' : 'loading', painted: this.painted });
  }
}
