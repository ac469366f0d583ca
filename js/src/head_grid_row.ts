/** HeadRow: one layer of a HeadGrid in the page: its name, one canvas with all maps, and a cell of words per head. */

import { element, setText } from './drawn_view';
import { mapCorner, paintMap } from './head_grid_layout';
import type { GridLayout, RowLayout } from './head_grid_layout';
import type { GridRow, RowHeads } from './head_grid_rows';
import { headWords, kindCode, kindOf, measureText } from './head_grid_words';
import type { HeadOrder } from './head_grid_words';

/** Everything that a row shows; two of the same `key` look the same. */
export interface RowContent {
  key: string;
  found: RowHeads;
  grid: GridLayout;
  layout: RowLayout;
  order: HeadOrder;
  kinds: readonly string[];
}

export class HeadRow {
  readonly el = element('div', 'memviz-heads-row');
  private readonly name = element('div', 'memviz-heads-name');
  private readonly body = element('div', 'memviz-heads-maps');
  private readonly canvas = element('canvas', 'memviz-heads-canvas');
  private readonly note = element('div', 'memviz-heads-note memviz-note');
  private cells: HTMLDivElement[] = [];
  private key = '';
  private painted = 0;

  constructor(row: number) {
    this.el.setAttribute('role', 'row');
    this.el.setAttribute('aria-rowindex', String(row + 1));
    this.el.dataset.row = String(row);
    this.name.setAttribute('role', 'rowheader');
    this.body.setAttribute('role', 'presentation');
    this.canvas.setAttribute('aria-hidden', 'true');
    this.note.setAttribute('role', 'gridcell');
    this.el.append(this.name, this.body, this.note);
  }

  /** The cell at a position; undefined where the row is not filled. */
  cell(position: number): HTMLDivElement | undefined {
    return this.cells[position];
  }

  /** The name and the room of the row, whether it is in view or not. */
  place(row: GridRow, grid: GridLayout, height: number): void {
    if (this.name.textContent !== row.name) {
      this.name.replaceChildren(...breakable(row.name));
    }
    this.name.title = row.label;
    this.name.setAttribute('aria-label', row.label);
    this.el.dataset.layer = String(row.layer);
    this.el.classList.toggle('memviz-heads-stacked', grid.label === 0);
    this.el.style.height = `${height}px`;
    this.name.style.width = grid.label ? `${grid.label}px` : '';
  }

  /** Fills the row; null: takes everything out of it. `note`: why there is nothing to see. */
  show(content: RowContent | null, note = ''): void {
    setText(this.note, note);
    this.note.title = note;
    this.note.hidden = !note;
    this.body.hidden = !content;
    if (!content) {
      this.body.replaceChildren();
      this.cells = [];
      this.key = '';
    } else if (content.key !== this.key) {
      this.key = content.key;
      this.fill(content);
      this.paint(content);
    }
  }

  /** Marks the head at a position as the selected one; -1: none of this row is. */
  select(position: number): void {
    this.cells.forEach((cell, i) => cell.setAttribute('aria-selected', String(i === position)));
  }

  private fill({ found, grid, layout, order, kinds }: RowContent): void {
    const count = found.heads.length;
    if (this.cells.length !== count || !this.canvas.isConnected) {
      this.cells = Array.from({ length: count }, (_, position) => headCell(position));
      this.body.replaceChildren(this.canvas, ...this.cells);
    }
    this.cells.forEach((cell, position) => {
      const head = found.heads[position];
      const kind = kindOf(kinds, found.measures, head);
      const [left, top] = mapCorner(grid, layout, position);
      const height = layout.mapHeight + grid.caption;
      Object.assign(cell.style, { left: `${left}px`, top: `${top}px`, width: `${grid.side}px`, height: `${height}px` });
      cell.dataset.head = String(head);
      const [map, words, value] = cell.children as unknown as HTMLElement[];
      map.style.height = `${layout.mapHeight}px`;
      setText(words.firstElementChild as HTMLElement, String(head));
      setText(words.lastElementChild as HTMLElement, kindCode(kind));
      (words.lastElementChild as HTMLElement).hidden = !kind;
      setText(value, measureText(order, found.measures, head));
      cell.title = headWords(head, kind, found.measures);
      cell.setAttribute('aria-label', cell.title);
    });
  }

  private paint({ found, grid, layout }: RowContent): void {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [layout.width, layout.height].map((side) => Math.max(1, Math.round(side * ratio)));
    Object.assign(this.canvas, { width, height });
    Object.assign(this.canvas.style, { width: `${layout.width}px`, height: `${layout.height}px` });
    const context = this.canvas.getContext('2d');
    if (!context) {
      return;
    }
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const [side, mapHeight] = [grid.side, layout.mapHeight].map((length) => Math.max(1, Math.floor(length * ratio)));
    found.maps.forEach((map, position) => {
      const [left, top] = mapCorner(grid, layout, position).map((corner) => Math.round(corner * ratio));
      paintMap(pixels, width, { left, top, width: Math.min(side, width - left), height: mapHeight }, map);
    });
    context.putImageData(image, 0, 0);
    this.painted += 1;
    Object.assign(this.canvas.dataset, {
      state: found.maps.includes(null) ? 'loading' : 'ready',
      painted: this.painted,
      sample: found.sample,
      side: grid.side,
      pitchX: grid.pitch,
      pitchY: layout.linePitch,
      columns: grid.columns,
    });
  }
}

/** A map's frame, and under it the head's number with the code of its kind, and the value it is sorted by. */
function headCell(position: number): HTMLDivElement {
  const cell = element('div', 'memviz-head');
  cell.setAttribute('role', 'gridcell');
  cell.setAttribute('aria-colindex', String(position + 2)); // the layer's name is the first column
  cell.tabIndex = -1;
  cell.dataset.position = String(position);
  const words = element('div', 'memviz-head-words');
  words.append(element('span', 'memviz-head-number'), element('span', 'memviz-head-kind'));
  cell.append(element('div', 'memviz-head-map'), words, element('div', 'memviz-head-value'));
  return cell;
}

/** A path that a narrow column breaks after a dot, rather than anywhere. */
function breakable(path: string): (string | HTMLElement)[] {
  return path.split(/(?<=\.)/).flatMap((part, place) => (place ? [document.createElement('wbr'), part] : [part]));
}
