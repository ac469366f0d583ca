/** PictureReader: turns pointer and keys on a picture into cells, says what they hold, and moves the selection. */

import { CellReadout } from './cell_readout';
import type { Cell, CellDescription } from './cell_readout';
import type { CellValue, Frame, PictureEntry, Place } from './catalog';
import type { Lifetime } from './lifetime';
import { approximately, countText } from './number_text';
import { LARGEST_VALUE_CODE, boxOfCell, cellAt, valueOfCode } from './paint';
import type { Box } from './paint';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';

/** The picture that is read. `figure`: what the tooltip is placed in; `area`: the plot area, which takes the focus. */
export interface ReadPicture {
  readonly figure: HTMLElement;
  readonly area: HTMLElement;
  readonly selection: SelectionModel;
  readonly readable: boolean;
  box(): Box | null;
  /** `keyboardCell` changed. */
  markCells(): void;
}

export class PictureReader {
  private readonly readout: CellReadout;

  constructor(
    private readonly shown: ReadPicture,
    life: Lifetime,
  ) {
    const { figure, area } = shown;
    this.readout = new CellReadout(figure, life, {
      describe: (cell) => this.describe(cell),
      ask: (cell) => this.ask(cell),
      describeExact: (cell, value) => this.describeExact(cell, value),
      locate: (cell) => this.locate(cell),
      moved: () => shown.markCells(),
      report: (error) => this.selection.store.report(error),
    });
    // on the figure, not on the mark: a pan/zoom layer over the marks must not switch the readout off
    life.on(figure, 'pointermove', (event) => this.hover(event));
    life.on(figure, 'pointerleave', () => this.hide());
    life.on(figure, 'click', (event) => this.clicked(this.cellUnder(event)));
    life.on(area, 'keydown', (event) => this.pressed(event));
    life.on(area, 'focus', () => this.readout.cell ?? this.readByKeyboard(this.selectedCell()));
    life.on(area, 'blur', () => this.hide());
  }

  /** The picture changed: says again what the cell under the pointer holds. */
  refresh(): void {
    if (this.readout.cell) {
      this.readout.refresh();
    }
  }

  hide(): void {
    this.readout.hide();
  }

  /** The cell that the arrow keys are at; null while they are not used. */
  get keyboardCell(): Cell | null {
    return this.readout.speaks ? this.readout.cell : null;
  }

  private get selection(): SelectionModel {
    return this.shown.selection;
  }

  private current(): { place: Place; picture: PictureEntry; flat: number; frame: Frame | null } | null {
    const place = this.selection.place();
    const picture = place?.record.frame;
    if (!place || !picture) {
      return null;
    }
    const flat = this.selection.flat(picture);
    return { place, picture, flat, frame: this.selection.store.frame(place.index, 'frame', flat) };
  }

  // --------------------------------------------------------------------------------------------------------- words

  private describe(cell: Cell): CellDescription | null {
    const { picture, frame } = this.current() ?? {};
    if (!picture || !frame || cell.row >= frame.rows || cell.col >= frame.cols) {
      return null;
    }
    const code = frame.codes[cell.row * frame.cols + cell.col];
    const value = approximately(valueOfCode(code, frame.lo, frame.hi));
    const pooled = picture.pool_rows * picture.pool_cols > 1;
    const cells = [
      cellWords(picture.row_dim, cell.row, picture.pool_rows, picture.full_rows),
      cellWords(picture.col_dim, cell.col, picture.pool_cols, picture.full_cols),
    ];
    return {
      where: [...axisWords(picture, this.selection), ...cells].filter(Boolean).join(', ') || 'value',
      value: `${pooled ? 'largest |x| ' : ''}${code <= LARGEST_VALUE_CODE ? '≈ ' : ''}${value}`,
    };
  }

  /** Under a pooled cell the exact value belongs to one element, named by its own indices. */
  private describeExact(cell: Cell, answer: CellValue): string {
    const { place, picture } = this.current() ?? {};
    if (place && picture && picture.pool_rows * picture.pool_cols > 1) {
      const { dims, shape } = place.record;
      return dims.map((dim, i) => (shape[i] > 1 ? `${dim} ${answer.index[i]}` : '')).filter(Boolean).join(', ');
    }
    return this.describe(cell)?.where ?? 'value';
  }

  private ask(cell: Cell): Promise<CellValue | null> {
    const { place, flat } = this.current() ?? {};
    return place && flat !== undefined
      ? this.selection.store.askValue(place.index, flat, cell.row, cell.col)
      : Promise.resolve(null);
  }

  // --------------------------------------------------------------------------------------------------------- cells

  private locate(cell: Cell): { x: number; y: number } | null {
    const picture = this.current()?.picture;
    const box = this.shown.box();
    if (!picture || !box) {
      return null;
    }
    const { left, top, width, height } = boxOfCell(box, cell.row, cell.col, picture.rows, picture.cols);
    const { offsetLeft, offsetTop } = this.shown.area;
    return { x: offsetLeft + left + width / 2, y: offsetTop + top + height / 2 };
  }

  private cellUnder(event: MouseEvent): Cell | null {
    const picture = this.current()?.picture;
    const box = this.shown.box();
    const area = this.shown.area.getBoundingClientRect();
    const [x, y] = [event.clientX - area.left, event.clientY - area.top];
    const onToolbar = event.target instanceof Element && event.target.closest('.toolbar_div');
    if (!picture || !box || onToolbar || x < 0 || y < 0 || x > area.width || y > area.height) {
      return null;
    }
    return cellAt(box, x, y, picture.rows, picture.cols);
  }

  private selectedCell(): Cell {
    const picture = this.current()?.picture;
    const along = (trait: string, full: number, pool: number, cells: number): number =>
      Math.min(cells - 1, Math.floor((trait ? indexAlong(this.selection, trait, full) : full / 2) / pool));
    return {
      row: picture ? along(picture.row_trait, picture.full_rows, picture.pool_rows, picture.rows) : 0,
      col: picture ? along(picture.col_trait, picture.full_cols, picture.pool_cols, picture.cols) : 0,
    };
  }

  // -------------------------------------------------------------------------------------------------------- events

  private hover(event: PointerEvent): void {
    const cell = this.shown.readable ? this.cellUnder(event) : null;
    if (cell) {
      const host = this.shown.figure.getBoundingClientRect();
      this.readout.show(cell, { x: event.clientX - host.left, y: event.clientY - host.top });
    } else if (this.readout.cell) {
      this.readout.hide();
    }
  }

  private clicked(cell: Cell | null): void {
    if (cell) {
      this.shown.area.focus({ preventScroll: true });
      this.choose(cell);
    }
  }

  /** Moves the selection to the row and column of the cell, where the picture shows an axis of the selection. */
  private choose(cell: Cell | null): void {
    const picture = this.current()?.picture;
    if (cell && picture?.row_trait) {
      this.selection.move(picture.row_trait, cell.row * picture.pool_rows);
    }
    if (cell && picture?.col_trait) {
      this.selection.move(picture.col_trait, cell.col * picture.pool_cols);
    }
  }

  private readByKeyboard(cell: Cell): void {
    const picture = this.current()?.picture;
    if (picture && this.shown.readable) {
      const row = Math.max(0, Math.min(picture.rows - 1, cell.row));
      this.readout.show({ row, col: Math.max(0, Math.min(picture.cols - 1, cell.col)) }, null);
    }
  }

  private pressed(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const cell = this.readout.cell ?? this.selectedCell();
    const box = this.shown.box();
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
      this.readout.hide();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

/** "channel 17", or with " of " as separator "channel 17 of 64", for each slider axis with more than one position. */
export function axisWords(picture: PictureEntry, selection: SelectionModel, of = ''): string[] {
  return picture.axes
    .filter((axis) => axis.size > 1)
    .map((axis) => {
      const index = indexAlong(selection, axis.trait, axis.size);
      return `${axis.dim} ${index}${of && of + countText(axis.size)}`;
    });
}

/** "height 12"; "height 16–23" for a cell that stands for several; "" for a picture without that dim. */
function cellWords(dim: string, cell: number, pool: number, full: number): string {
  const first = cell * pool;
  const last = Math.min(full - 1, first + pool - 1);
  return dim && (pool > 1 && last > first ? `${dim} ${first}–${last}` : `${dim} ${first}`);
}
