/** PictureReader: turns pointer and keys on a picture into cells, says what they hold, and moves the selection. */

import { CellReadout } from './cell_readout';
import type { Cell, CellDescription } from './cell_readout';
import { isProvenance } from './catalog';
import type { CellValue, Frame, PageKind, PictureEntry } from './catalog';
import type { Lifetime } from './lifetime';
import { approximately } from './number_text';
import { CODE_NEGATIVE_INFINITY, LARGEST_VALUE_CODE, absenceOf, boxOfCell, cellAt, codeAt, valueOfCode } from './paint';
import type { Box } from './paint';
import { indexAlong } from './picture_axes';
import { selectedRow } from './picture_bands';
import type { SelectionModel } from './selection';
import { emptyZeros, indexOfRow, pooledBy, poolingWords, textsAlong, zeroReason } from './shown_picture';
import type { ShownPicture } from './shown_picture';
import type { TextAt } from './token_axis';
import { quoted } from './token_texts';

/** Dims of rows that look at their columns. */
const PAIRED_DIMS = ['query', 'read at'];
/** What the shares of a map are shares of. */
const UNITS: Partial<Record<PageKind, string>> = {
  row: ' of the largest in its row',
  wrote: ' of what is held',
  wrote_unit: ' of what is held',
  reads: ' of what is read',
};
/** Longest text of a token in the readout. */
const TEXT_CHARACTERS = 300;

/** The picture that is read. `figure`: what the tooltip is placed in; `area`: the plot area, which takes the focus. */
export interface ReadPicture {
  readonly figure: HTMLElement;
  readonly area: HTMLElement;
  /** What is read: a picture, or the detail of it. */
  readonly read: ShownPicture;
  readonly readable: boolean;
  box(picture: PictureEntry | null): Box | null;
  /** `keyboardCell` changed. */
  markCells(): void;
}

export class PictureReader {
  private readonly readout: CellReadout;
  private pointer: PointerEvent | null = null; // where it was last over the picture
  private pools: [number, number] = [1, 1]; // of the grid that `readout.cell` is a cell of

  constructor(
    private readonly host: ReadPicture,
    life: Lifetime,
  ) {
    const { figure, area } = host;
    this.readout = new CellReadout(figure, life, {
      describe: (cell) => this.describe(cell),
      ask: (cell) => this.ask(cell),
      describeExact: (cell, value) => this.describeExact(cell, value),
      locate: (cell) => this.locate(cell),
      moved: () => host.markCells(),
      report: (error) => this.selection.store.report(error),
    });
    // on the figure, not on the mark: a pan/zoom layer over the marks must not switch the readout off
    life.on(figure, 'pointermove', (event) => this.hover(event));
    life.on(figure, 'pointerleave', () => {
      this.pointer = null;
      this.hide();
    });
    life.on(figure, 'click', (event) => this.clicked(this.cellUnder(event)));
    life.on(area, 'keydown', (event) => this.pressed(event));
    life.on(area, 'focus', () => this.readout.cell ?? this.readByKeyboard(this.selectedCell()));
    life.on(area, 'blur', () => this.hide());
  }

  /** The picture changed: says what the cell under the pointer holds now. */
  refresh(): void {
    if (this.readout.cell) {
      this.readout.refresh();
    } else if (this.pointer) {
      this.hover(this.pointer); // it came there before the picture did
    }
  }

  /** The cells are others, or lie elsewhere: reads what is now where it was read. A pointer need not move for that. */
  reread(): void {
    const { cell } = this.readout;
    const { picture } = this;
    if (!picture || (!cell && !this.pointer)) {
      return;
    }
    if (cell && this.readout.speaks) {
      const [rows, cols] = this.pools;
      const into = (at: number, before: number, now: number) => Math.floor((at * before + (before - 1) / 2) / now);
      this.readByKeyboard({ row: into(cell.row, rows, picture.pool_rows), col: into(cell.col, cols, picture.pool_cols) });
    } else if (this.pointer) {
      this.hover(this.pointer);
    }
    this.refresh();
  }

  hide(): void {
    this.readout.hide();
  }

  /** The cell that the arrow keys are at; null while they are not used. */
  get keyboardCell(): Cell | null {
    return this.readout.speaks ? this.readout.cell : null;
  }

  /** The cell that is read, by pointer or keyboard. */
  get cell(): Cell | null {
    return this.readout.cell;
  }

  private get selection(): SelectionModel {
    return this.host.read.selection;
  }

  private get picture(): PictureEntry | null {
    return this.host.read.picture();
  }

  // --------------------------------------------------------------------------------------------------------- words

  private describe(cell: Cell): CellDescription | null {
    const shown = this.host.read;
    const { picture } = this;
    const frame = picture && shown.frame();
    const code = frame ? codeAt(frame, cell) : null;
    if (!picture || !frame || code === null) {
      return null;
    }
    const first = { row: cell.row * picture.pool_rows, col: cell.col * picture.pool_cols };
    const last = { row: first.row + picture.pool_rows - 1, col: first.col + picture.pool_cols - 1 };
    return { where: this.where(picture, first, last), value: absenceOf(frame, cell) ?? codeWords(shown, picture, frame, code) };
  }

  /** Indices of the cells from `first` to `last`, with the texts that stand there. */
  private where(picture: PictureEntry, first: Cell, last: Cell): string {
    const shown = this.host.read;
    const texts = [textsAlong(shown, picture.row_dim), textsAlong(shown, picture.col_dim)];
    const row = rowWords(shown, picture, first.row, Math.min(last.row, picture.full_rows - 1), texts[0]);
    const col = cellWords(picture.col_dim, first.col, Math.min(last.col, picture.full_cols - 1), texts[1]);
    const pair = PAIRED_DIMS.includes(picture.row_dim) && texts.some(Boolean);
    const cells = pair && row && col ? [`${row} → ${col}`] : [row, col];
    return [...shown.words(), ...cells].filter(Boolean).join(', ') || 'value';
  }

  /** Under a pooled cell the exact value belongs to one element, named by its own indices. */
  private describeExact(cell: Cell, answer: CellValue): string {
    const place = this.host.read.place();
    const { picture } = this;
    if (place && picture && picture.pool_rows * picture.pool_cols > 1) {
      if (pooledBy(this.host.read) === 'mean') {
        return `mean of ${this.describe(cell)?.where ?? 'the cell'}`;
      }
      const { dims, shape, attention } = place.record;
      if (attention || isProvenance(this.host.read.pageKind)) {
        const [row, col] = answer.index.slice(-2); // dims end in query, key; a map of all heads has no head of its own
        return this.where(picture, { row, col }, { row, col });
      }
      return dims.map((dim, i) => (shape[i] > 1 ? `${dim} ${answer.index[i]}` : '')).filter(Boolean).join(', ');
    }
    return this.describe(cell)?.where ?? 'value';
  }

  private ask(cell: Cell): Promise<CellValue | null> {
    const shown = this.host.read;
    const frame = shown.frame();
    const code = frame && codeAt(frame, cell);
    const known = code === CODE_NEGATIVE_INFINITY && emptyZeros(shown); // exactly 0: nothing to ask
    return known ? Promise.resolve(null) : shown.ask(cell.row, cell.col);
  }

  // --------------------------------------------------------------------------------------------------------- cells

  private locate(cell: Cell): { x: number; y: number } | null {
    const { picture } = this;
    const box = this.host.box(this.picture);
    if (!picture || !box) {
      return null;
    }
    const { left, top, width, height } = boxOfCell(box, cell.row, cell.col, picture.rows, picture.cols);
    const { offsetLeft, offsetTop } = this.host.area;
    return { x: offsetLeft + left + width / 2, y: offsetTop + top + height / 2 };
  }

  private cellUnder(event: MouseEvent): Cell | null {
    const { picture } = this;
    const box = this.host.box(this.picture);
    const area = this.host.area.getBoundingClientRect();
    const [x, y] = [event.clientX - area.left, event.clientY - area.top];
    const onToolbar = event.target instanceof Element && event.target.closest('.toolbar_div');
    if (!picture || !box || onToolbar || x < 0 || y < 0 || x > area.width || y > area.height) {
      return null;
    }
    return cellAt(box, x, y, picture.rows, picture.cols);
  }

  private selectedCell(): Cell {
    const { picture } = this;
    const along = (trait: string, full: number, pool: number, cells: number): number =>
      Math.min(cells - 1, Math.floor((trait ? indexAlong(this.selection, trait, full) : full / 2) / pool));
    return {
      row: picture ? this.rowSelected(picture) : 0,
      col: picture ? along(picture.col_trait, picture.full_cols, picture.pool_cols, picture.cols) : 0,
    };
  }

  private rowSelected(picture: PictureEntry): number {
    const { row_trait, full_rows, pool_rows, rows } = picture;
    const row = row_trait ? Math.max(0, selectedRow(this.host.read, picture)) : full_rows / 2;
    return Math.min(rows - 1, Math.floor(row / pool_rows));
  }

  // -------------------------------------------------------------------------------------------------------- events

  private hover(event: PointerEvent): void {
    const cell = this.host.readable ? this.cellUnder(event) : null;
    this.pointer = event;
    if (cell) {
      const host = this.host.figure.getBoundingClientRect();
      this.notePools();
      this.readout.show(cell, { x: event.clientX - host.left, y: event.clientY - host.top });
    } else if (this.readout.cell) {
      this.readout.hide();
    }
  }

  private notePools(): void {
    const { pool_rows = 1, pool_cols = 1 } = this.picture ?? {};
    this.pools = [pool_rows, pool_cols];
  }

  private clicked(cell: Cell | null): void {
    if (cell) {
      this.host.area.focus({ preventScroll: true });
      this.choose(cell);
    }
  }

  /** Moves the selection to the row and column of the cell, where the picture shows an axis of the selection. */
  private choose(cell: Cell | null): void {
    const { picture } = this;
    if (cell && picture) {
      const indices: Record<string, number> = {};
      const row = indexOfRow(this.host.read, cell.row * picture.pool_rows);
      if (picture.row_trait && row !== null) {
        indices[picture.row_trait] = row;
      }
      if (picture.col_trait) {
        indices[picture.col_trait] = cell.col * picture.pool_cols;
      }
      this.host.read.select(indices);
    }
  }

  private readByKeyboard(cell: Cell): void {
    const { picture } = this;
    if (picture && this.host.readable) {
      const { top = 0, left = 0, rows = picture.rows, cols = picture.cols } = this.host.read.frame() ?? {}; // of a detail its part
      const row = Math.max(top, Math.min(top + rows - 1, cell.row));
      this.notePools();
      this.readout.show({ row, col: Math.max(left, Math.min(left + cols - 1, cell.col)) }, null);
    }
  }

  private pressed(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const cell = this.readout.cell ?? this.selectedCell();
    const box = this.host.box(this.picture);
    const [right, down] = [box?.flipX ? -1 : 1, box?.flipY ? -1 : 1];
    const moves: Record<string, [number, number] | undefined> = {
      ArrowLeft: [0, -right],
      ArrowRight: [0, right],
      ArrowUp: [-down, 0],
      ArrowDown: [down, 0],
      Home: [0, -Infinity],
      End: [0, Infinity],
    };
    const move = moves[event.key];
    if (move) {
      this.readByKeyboard({ row: cell.row + move[0], col: cell.col + move[1] });
    } else if (event.key === 'Enter' || event.key === ' ') {
      this.choose(cell);
    } else if (event.key === 'Escape') {
      this.pointer = null;
      this.readout.hide();
      this.host.read.release?.();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

/** What the code of a cell says of its value, before the exact one has come. */
function codeWords(shown: ShownPicture, picture: PictureEntry, frame: Frame, code: number): string {
  if (code === CODE_NEGATIVE_INFINITY && emptyZeros(shown)) {
    return shown.pageKind === 'flow' ? '0 (less than 1e-9 could flow there)' : `0 (exactly: ${zeroReason(shown)})`;
  }
  const about = code <= LARGEST_VALUE_CODE ? '≈ ' : '';
  const value = valueOfCode(code, frame.lo, frame.hi);
  const text = approximately(shown.pageKind === 'log' ? 10 ** value : value);
  const unit = UNITS[shown.pageKind] ?? '';
  const pooled = picture.pool_rows * picture.pool_cols > 1;
  return `${pooled ? `${poolingWords(shown)} ` : ''}${about}${text}${unit}`;
}

/** As `cellWords`, where rows may stand in another order: then they have the indices of their units. */
function rowWords(
  shown: ShownPicture, picture: PictureEntry, first: number, last: number, textAt: TextAt | null,
): string {
  const order = shown.orderWords?.();
  if (!order) {
    return cellWords(picture.row_dim, first, last, textAt);
  }
  const unit = last > first ? null : indexOfRow(shown, first);
  return unit === null ? `${cellWords('row', first, last, null)} ${order}` : cellWords(picture.row_dim, unit, unit, textAt);
}

/** "height 12"; "height 16–23" for a cell that stands for several; "" for a picture without that dim. */
function cellWords(dim: string, first: number, last: number, textAt: TextAt | null): string {
  if (!dim) {
    return '';
  }
  const said = (index: number): string => {
    const text = textAt?.(index) ?? null;
    return text === null ? '' : quoted(text, TEXT_CHARACTERS);
  };
  if (last <= first) {
    return [dim, first, said(first)].join(' ').trim();
  }
  const texts = [said(first), said(last)].filter(Boolean).join(' … ');
  return [dim, `${first}–${last}`, texts].join(' ').trim();
}
