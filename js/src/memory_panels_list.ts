/**
 * StripList: the rows of MemoryPanels in the page, those in view filled. A listbox with one option per part.
 *
 * In: rows, the cursor, and pictures from the store; only rows in view ask for them. Out: what lies under a point.
 */

import type { Catalog, Frame } from './catalog';
import { element } from './drawn_view';
import { rowsBetween } from './head_grid_layout';
import { panelLayout, pointAt, timeX } from './memory_panels_layout';
import type { PanelLayout, StripPoint } from './memory_panels_layout';
import type { ReadStrip } from './memory_panels_readout';
import { PanelStrip } from './memory_panels_row';
import { ORDER_PAGES, isSelected, stepsOf } from './memory_panels_rows';
import type { PanelRow } from './memory_panels_rows';
import { timeTexts, unitPlaces, unitShare } from './memory_panels_units';
import type { UnitOrder } from './memory_panels_words';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';

const DEFAULT_WIDTH_PX = 600; // before the page has laid us out
const DEFAULT_HEIGHT_PX = 724; // max-height of .memviz-panels-strips: the six parts of an LSTM, each below its name
const PADDING_PX = 8; // of .memviz-panels-strips, both sides: room for marks and outlines
const RESIZE_SLACK_PX = 2; // a scrollbar that comes and goes must not lay the strips out for ever

export class StripList {
  readonly el = element('div', 'memviz-panels-strips');
  rows: readonly PanelRow[] = [];
  layout: PanelLayout = panelLayout(DEFAULT_WIDTH_PX, 1);
  /** The row that has the focus; -1: none. */
  focused = -1;
  private readonly cursor = element('div', 'memviz-panels-cursor');
  private parts: PanelStrip[] = []; // as many as `rows`
  private frames: (Frame | null)[] = []; // of the rows in view
  private heights: number[] = [];
  private width = DEFAULT_WIDTH_PX;
  private roll = { top: 0, height: DEFAULT_HEIGHT_PX }; // asking the page in every drawing would lay it out
  private drawn: Catalog | null = null; // what the rows were made from

  constructor() {
    this.el.setAttribute('role', 'listbox');
    this.el.setAttribute('aria-orientation', 'vertical');
    this.cursor.setAttribute('aria-hidden', 'true');
  }

  /** The list was scrolled. */
  rolled(): void {
    this.roll.top = this.el.scrollTop;
  }

  /** Takes over the room that there is; whether it is another one. */
  resized(): boolean {
    const [width, height] = [this.el.clientWidth - PADDING_PX, this.el.clientHeight];
    const other = width > 0 && (Math.abs(width - this.width) > RESIZE_SLACK_PX || height !== this.roll.height);
    if (other) {
      this.roll = { top: this.el.scrollTop, height };
      this.width = width;
    }
    return other;
  }

  /** Elements for all rows, with names and heights: the scrollbar is right before anything is asked for. */
  layOut(catalog: Catalog, rows: readonly PanelRow[]): void {
    this.rows = rows;
    if (this.parts.length !== rows.length || this.drawn !== catalog) {
      this.drawn = catalog;
      this.focused = -1;
      this.parts = rows.map((_, position) => new PanelStrip(position));
      this.el.replaceChildren(...this.parts.map((part) => part.el), this.cursor);
    }
    this.layout = panelLayout(this.width, stepsOf(rows));
    this.heights = rows.map((row, position) => this.parts[position].place(row, this.layout));
  }

  /** Fills the rows in view, and the one that the Tab key leads to; puts the cursor at its timestep. */
  fill(selection: SelectionModel, order: UnitOrder): void {
    const [first, last] = rowsBetween(this.heights, this.roll.top, this.roll.top + this.roll.height);
    const selected = this.rows.findIndex((row) => isSelected(row, selection));
    const stop = this.focused >= 0 ? this.focused : Math.max(0, selected);
    this.frames = this.rows.map(() => null);
    this.parts.forEach((part, position) => {
      const wanted = (position >= first && position <= last) || position === stop;
      this.fillRow(position, wanted, selection, order);
      part.select(position === selected, position === selected ? unitShare(this.rows[position], selection, order) : null);
      part.el.tabIndex = position === stop ? 0 : -1;
    });
    this.moveCursor(indexAlong(selection, 'time', this.layout.steps));
  }

  private fillRow(position: number, wanted: boolean, { store }: SelectionModel, order: UnitOrder): void {
    const { record, flat, picture } = this.rows[position];
    const kind = ORDER_PAGES[order];
    const part = this.parts[position];
    if (!wanted || !picture) {
      part.show(null, '', null);
      return;
    }
    const frame = store.frame(record, kind, flat);
    this.frames[position] = frame;
    const key = JSON.stringify([record, flat, kind, frame !== null, this.layout, window.devicePixelRatio]);
    part.show({ key, frame, layout: this.layout }, frame ? '' : store.refusal(record, kind), store.residual(record));
  }

  private moveCursor(time: number): void {
    const height = this.heights.reduce((sum, each) => sum + each, 0);
    const left = PADDING_PX / 2 + this.layout.label + timeX(this.layout, time);
    Object.assign(this.cursor.style, { left: `${left}px`, height: `${height}px` });
    this.cursor.dataset.time = String(time);
  }

  /** What is under the pointer; null: no strip. */
  under(event: MouseEvent): { position: number; point: StripPoint } | null {
    const position = rowOf(event.target);
    const picture = this.rows[position]?.picture;
    if (!picture) {
      return null;
    }
    const box = this.parts[position].strip.getBoundingClientRect();
    const point = pointAt(picture, event.clientX - box.left, event.clientY - box.top, box.width, box.height);
    return point && { position, point };
  }

  /** What a strip says when it is read; null: its picture is not here. */
  readStrip(position: number, selection: SelectionModel, order: UnitOrder): ReadStrip | null {
    const [row, frame] = [this.rows[position], this.frames[position]];
    if (!row?.picture || !frame) {
      return null;
    }
    const { store } = selection;
    return {
      row,
      record: store.catalog.records[row.record],
      el: this.parts[position].strip,
      frame,
      places: unitPlaces(row, selection, order),
      textAt: timeTexts(row, selection),
      mean: store.trait('pooled_by') === 'mean',
      ask: (at, col) => store.askValue(row.record, row.flat, at, col, ORDER_PAGES[order]),
    };
  }

  /** Gives a row the focus, and brings it into view: the list is scrolled, never the page. */
  focus(position: number, reveal: boolean): void {
    this.focused = position;
    if (reveal) {
      this.scrollTo(position);
    }
    this.parts[position].el.focus({ preventScroll: true });
  }

  private scrollTo(position: number): void {
    const top = this.heights.slice(0, position).reduce((sum, height) => sum + height, 0);
    const bottom = top + this.heights[position] + PADDING_PX;
    const { roll } = this;
    if (top < roll.top || bottom > roll.top + roll.height) {
      roll.top = Math.max(0, top < roll.top ? top : bottom - roll.height);
      this.el.scrollTop = roll.top;
    }
  }
}

/** Position of the row that an event came from; -1: none. */
export function rowOf(target: EventTarget | null): number {
  const row = target instanceof Element ? target.closest<HTMLElement>('.memviz-panel') : null;
  return row ? Number(row.dataset.row) : -1;
}
