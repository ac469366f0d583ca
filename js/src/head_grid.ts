/**
 * HeadGrid: every head of every attention layer as a small map, a layer per row. A click or Enter selects one.
 *
 * In: the selection, "tiles" and "heads" pages of the layers in view. Out: layer and head of the selection.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { attentionAbsence } from './attention_place';
import type { Catalog } from './catalog';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { headGridDefaults } from './generated/traits';
import type { HeadGridState } from './generated/traits';
import { headAfter } from './head_grid_keys';
import type { HeadPlace } from './head_grid_keys';
import { gridLayout, rowLayout, rowsBetween } from './head_grid_layout';
import type { GridLayout, RowLayout } from './head_grid_layout';
import { HeadRow } from './head_grid_row';
import { gridRows, kindsIn, rowHeads, sampledRecords, shownRow } from './head_grid_rows';
import type { GridRow, RowHeads } from './head_grid_rows';
import { captionText } from './head_grid_words';
import { countText } from './number_text';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';

const DEFAULT_WIDTH_PX = 600; // before the page has laid us out
const DEFAULT_HEIGHT_PX = 480; // max-height of .memviz-heads-grid
const PADDING_PX = 6; // of .memviz-heads-grid: room for ring and focus around the outermost maps
const RESIZE_SLACK_PX = 2; // a scrollbar that comes and goes must not lay the grid out for ever
const NOTE_HEIGHT_PX = 36; // a row that has nothing to draw

/** What the rows in view have to say in the lines around the grid. */
interface Told {
  kinds: Set<string>;
  /** Records on show. */
  records: number[];
  /** Why something will not come. */
  problem: string;
}

export class HeadGridModel extends DrawnModel<HeadGridState> {
  static override serializers = { ...DrawnModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...headGridDefaults() };
  }
}

export class HeadGridView extends DrawnView<HeadGridState> {
  private grid!: HTMLDivElement;
  private note!: HTMLDivElement;
  private caption!: HTMLDivElement;
  private parts: HeadRow[] = []; // as many as `rows`
  private rows: GridRow[] = [];
  private layouts: (RowLayout | null)[] = [];
  private heights: number[] = [];
  private common: GridLayout = gridLayout(DEFAULT_WIDTH_PX, 1, 1);
  private width = DEFAULT_WIDTH_PX;
  private sized = false;
  private roll = { top: 0, height: DEFAULT_HEIGHT_PX }; // asking the page in every drawing would lay it out
  private revealed = -1; // the row that was last scrolled to
  private focused: HeadPlace | null = null; // the cell that has the focus
  private tabStop: HTMLElement | null = null;
  private drawn: Catalog | null = null; // what the rows were filled from

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  protected build(): void {
    this.el.classList.add('memviz-heads');
    this.note = element('div', 'memviz-note');
    this.grid = element('div', 'memviz-heads-grid');
    this.caption = element('div', 'memviz-heads-caption');
    this.grid.setAttribute('role', 'grid');
    this.el.append(this.note, this.grid, this.caption);
    this.life.on(this.grid, 'click', (event) => this.choose(placeOf(event.target)));
    this.life.on(this.grid, 'keydown', (event) => this.pressed(event));
    this.life.on(this.grid, 'focusin', (event) => this.focusAt(placeOf(event.target)));
    this.life.on(this.grid, 'focusout', () => this.focusAt(null));
    this.life.on(this.grid, 'scroll', () => this.rolled());
    this.life.resized(this.grid, () => this.resized());
  }

  protected follow(): void {
    const moves = ['layer', 'step', 'call', 'sample', 'head'].map((axis) => `change:${axis}`).join(' ');
    this.life.follow(this.model, 'change:order', () => this.schedule());
    this.life.follow(this.selection, `${moves} place`, () => this.schedule());
    this.life.follow(this.selection?.store, 'change:catalog', () => this.schedule());
    this.life.follow(this.selection?.store, 'pages', (_record: number, kind: string) => {
      if (kind === 'tiles' || kind === 'heads') {
        this.schedule();
      }
    });
  }

  private rolled(): void {
    this.roll.top = this.grid.scrollTop;
    this.schedule();
  }

  private resized(): void {
    const [width, height] = [this.grid.clientWidth - 2 * PADDING_PX, this.grid.clientHeight];
    if (width > 0 && (Math.abs(width - this.width) > RESIZE_SLACK_PX || height !== this.roll.height)) {
      this.revealed = this.sized ? this.revealed : -1; // before we were laid out there was nothing to scroll
      this.sized = true;
      this.roll = { top: this.grid.scrollTop, height };
      this.width = width;
      this.schedule();
    }
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  protected draw(): void {
    const { selection } = this;
    const catalog = selection?.store?.catalog ?? null;
    this.rows = selection && catalog ? gridRows(catalog, selection) : [];
    const some = this.rows.length > 0;
    this.grid.hidden = !some;
    this.caption.hidden = !some;
    if (selection && catalog && some) {
      this.layOut(catalog);
      this.reveal(catalog, selection);
      this.fill(catalog, selection);
    } else {
      setText(this.note, selection && catalog ? attentionAbsence(catalog, selection) : '');
    }
  }

  /** Elements for all rows, with their names and heights: the scrollbar is right before anything is asked for. */
  private layOut(catalog: Catalog): void {
    const { rows } = this;
    if (this.parts.length !== rows.length || this.drawn !== catalog) {
      this.drawn = catalog;
      this.focused = null;
      this.parts = rows.map((_, row) => new HeadRow(row));
      this.grid.replaceChildren(...this.parts.map((part) => part.el));
    }
    const most = Math.max(1, ...rows.map((row) => row.attention?.heads ?? 0));
    const common = gridLayout(this.width, most, this.model.trait('order') === 'index' ? 1 : 2);
    this.common = common;
    this.layouts = rows.map(
      ({ attention: shape }) => shape && rowLayout(common, shape.heads, shape.queries / Math.max(1, shape.keys)),
    );
    this.heights = this.layouts.map((layout) => layout?.rowHeight ?? NOTE_HEIGHT_PX);
    rows.forEach((row, i) => this.parts[i].place(row, common, this.heights[i]));
    this.grid.setAttribute('aria-label', `attention heads of ${countText(rows.length)} layers`);
    this.grid.setAttribute('aria-rowcount', String(rows.length));
    this.grid.setAttribute('aria-colcount', String(most + 1));
  }

  /** Fills the rows in view, and the one that the Tab key leads to; only they ask for pages. */
  private fill(catalog: Catalog, selection: SelectionModel): void {
    const [first, last] = rowsBetween(this.heights, this.roll.top, this.roll.top + this.roll.height);
    const shown = shownRow(this.rows, catalog, selection);
    const stop = this.focused?.row ?? (shown < 0 ? this.rows.findIndex((row) => row.attention) : shown);
    const told: Told = { kinds: new Set(), records: [], problem: '' };
    this.parts.forEach((part, row) => {
      const wanted = (row >= first && row <= last) || row === stop;
      const found = wanted ? this.fillRow(row, selection, told) : null;
      if (!found) {
        part.show(null, this.rows[row].note);
        return;
      }
      const head = indexAlong(selection, 'head', found.heads.length);
      part.select(row === shown ? found.heads.indexOf(head) : -1);
      if (row === stop) {
        this.setTabStop(part.cell(this.focused?.position ?? Math.max(0, found.heads.indexOf(head))));
      }
    });
    const kinds = catalog.head_kinds.filter((kind) => told.kinds.has(kind));
    const sampled = sampledRecords(selection.store);
    const queries = told.records.map((each) => (sampled.has(each) ? catalog.records[each].attention?.queries ?? 0 : 0));
    setText(this.caption, captionText(this.model.trait('order'), kinds, Math.max(0, ...queries)));
    setText(this.note, told.problem);
  }

  /** The heads of a row, once they are in the page; null: there are none, or the kernel will not give them. */
  private fillRow(row: number, selection: SelectionModel, told: Told): RowHeads | null {
    const { attention, record } = this.rows[row];
    const layout = this.layouts[row];
    if (!attention || !layout) {
      return null;
    }
    const { store } = selection;
    const order = this.model.trait('order');
    const { head_kinds: kinds } = store.catalog;
    const found = rowHeads(attention, record, selection, order);
    const here = [found.measures, ...found.maps].map((each) => (each ? 1 : 0)).join('');
    const key = JSON.stringify([record, found.sample, order, here, this.common, layout, window.devicePixelRatio]);
    this.parts[row].show({ key, found, grid: this.common, layout, order, kinds });
    told.records.push(record);
    kindsIn(found, kinds).forEach((kind) => told.kinds.add(kind));
    told.problem ||= found.maps.includes(null) ? store.refusal(record, 'tiles') : '';
    told.problem ||= found.measures ? '' : store.refusal(record, 'heads');
    return found;
  }

  /** Brings the shown layer into view when another one is shown; scrolls the grid alone, never the page. */
  private reveal(catalog: Catalog, selection: SelectionModel): void {
    const shown = shownRow(this.rows, catalog, selection);
    if (shown >= 0 && this.revealed !== shown) {
      this.revealed = shown;
      this.scrollTo(shown);
    }
  }

  private scrollTo(row: number): void {
    const top = this.heights.slice(0, row).reduce((sum, height) => sum + height, 0);
    const bottom = top + this.heights[row] + 2 * PADDING_PX;
    const { roll } = this;
    if (top < roll.top || bottom > roll.top + roll.height) {
      roll.top = Math.max(0, top < roll.top ? top : bottom - roll.height);
      this.grid.scrollTop = roll.top;
    }
  }

  // -------------------------------------------------------------------------------------------------------- events

  /** The one cell that the Tab key leads to. */
  private setTabStop(cell: HTMLElement | undefined): void {
    if (cell && cell !== this.tabStop) {
      this.tabStop?.setAttribute('tabindex', '-1');
      cell.tabIndex = 0;
      this.tabStop = cell;
    }
  }

  private focusAt(place: HeadPlace | null): void {
    this.focused = place;
    if (place) {
      this.setTabStop(this.parts[place.row]?.cell(place.position));
    }
  }

  /** Selects layer and head in one step: the views draw once. */
  private choose(place: HeadPlace | null): void {
    const head = Number(place && this.parts[place.row]?.cell(place.position)?.dataset.head);
    if (place && Number.isInteger(head)) {
      this.revealed = place.row; // it is where it was clicked
      this.selection?.set({ layer: this.rows[place.row].layer, head });
    }
  }

  private pressed(event: KeyboardEvent): void {
    const at = placeOf(event.target);
    if (!at || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
      return;
    }
    const counts = this.rows.map((row) => row.attention?.heads ?? 0);
    const target = headAfter(event.key, at, counts, this.common.columns);
    if (event.key === 'Enter' || event.key === ' ') {
      this.choose(at);
    } else if (target) {
      this.moveFocus(target);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private moveFocus(place: HeadPlace): void {
    this.focused = place;
    this.scrollTo(place.row);
    if (!this.parts[place.row].cell(place.position)) {
      this.draw(); // a row that was out of view has no cells yet
    }
    this.parts[place.row].cell(place.position)?.focus({ preventScroll: true });
    this.schedule();
  }
}

/** The place of the cell that an event came from; null: none. */
function placeOf(target: EventTarget | null): HeadPlace | null {
  const cell = target instanceof Element ? target.closest<HTMLElement>('.memviz-head') : null;
  const row = cell?.closest<HTMLElement>('.memviz-heads-row');
  return cell && row ? { row: Number(row.dataset.row), position: Number(cell.dataset.position) } : null;
}
