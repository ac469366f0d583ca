/** StripReadout: says what is under the pointer, or where the keyboard is, on one of the strips of MemoryPanels. */

import { CellReadout } from './cell_readout';
import type { Cell, CellDescription } from './cell_readout';
import type { CellValue, Frame, RecordEntry } from './catalog';
import type { Lifetime } from './lifetime';
import type { StripPoint } from './memory_panels_layout';
import type { PanelRow } from './memory_panels_rows';
import { unitIn } from './memory_panels_units';
import type { UnitPlaces } from './memory_panels_units';
import { timeWords } from './memory_panels_words';
import { approximately } from './number_text';
import { LARGEST_VALUE_CODE, absenceOf, valueOfCode } from './paint';
import type { TextAt } from './token_axis';

/** A strip that is read. */
export interface ReadStrip {
  row: PanelRow;
  record: RecordEntry;
  el: HTMLElement;
  frame: Frame;
  places: UnitPlaces;
  textAt: TextAt | null;
  /** Whether a cell that stands for several elements shows their mean. */
  mean: boolean;
  /** The exact value of a cell, from the kernel. */
  ask(row: number, col: number): Promise<CellValue | null>;
}

export class StripReadout {
  private readonly readout: CellReadout;
  private strip: ReadStrip | null = null;

  constructor(
    private readonly host: HTMLElement,
    life: Lifetime,
    report: (error: unknown) => void,
  ) {
    this.readout = new CellReadout(host, life, {
      describe: (cell) => this.strip && describeCell(this.strip, cell),
      ask: (cell) => this.strip?.ask(cell.row, cell.col) ?? Promise.resolve(null),
      describeExact: (cell, value) => (this.strip ? describeElement(this.strip, cell, value) : ''),
      locate: (cell) => this.locate(cell),
      moved: () => undefined, // the cursor line and the mark of the unit show where the keyboard is
      report,
    });
  }

  /** `event`: of the pointer; null: reached by keyboard, so it is spoken. */
  show(strip: ReadStrip, { row, col }: StripPoint, event: PointerEvent | null): void {
    this.keep(strip); // the same cell of another strip, or of another picture, is another one
    this.strip = strip;
    const host = this.host.getBoundingClientRect();
    this.readout.show({ row, col }, event && { x: event.clientX - host.left, y: event.clientY - host.top });
  }

  hide(): void {
    this.readout.hide();
  }

  /** Hides what it says unless it is about this strip as it is now; null: there is none any more. */
  keep(now: ReadStrip | null): void {
    if (!this.strip || !now || now.el !== this.strip.el || !sameCells(now, this.strip)) {
      this.readout.hide();
    }
  }

  /** The strip that it is about; null: it says nothing. */
  get about(): HTMLElement | null {
    return this.readout.cell && this.strip ? this.strip.el : null;
  }

  /** Whether the keyboard is what it follows. */
  get speaks(): boolean {
    return this.readout.cell !== null && this.readout.speaks;
  }

  private locate({ row, col }: Cell): { x: number; y: number } | null {
    const { strip } = this;
    if (!strip) {
      return null;
    }
    const [host, box] = [this.host, strip.el].map((each) => each.getBoundingClientRect());
    const { rows, cols } = strip.frame;
    return {
      x: box.left - host.left + ((col + 0.5) * box.width) / cols,
      y: box.top - host.top + ((row + 0.5) * box.height) / rows,
    };
  }
}

/** Whether two strips show the same cells of a page, with the units known alike. */
function sameCells({ frame: one, places }: ReadStrip, { frame: other, places: before }: ReadStrip): boolean {
  const same = one.codes.buffer === other.codes.buffer && one.codes.byteOffset === other.codes.byteOffset;
  return same && (places.units === null) === (before.units === null);
}

/** What the code of a cell says, before the exact value has come. */
function describeCell({ row: read, record, frame, places, textAt, mean }: ReadStrip, cell: Cell): CellDescription | null {
  const { name, which, picture } = read;
  if (!picture || cell.row >= frame.rows || cell.col >= frame.cols) {
    return null;
  }
  const first = { unit: cell.row * picture.pool_rows, time: cell.col * picture.pool_cols };
  const lastTime = Math.min(picture.full_cols, first.time + picture.pool_cols) - 1;
  const time = timeWords(first.time, lastTime, textAt?.(first.time) ?? null);
  const lastUnit = Math.min(picture.full_rows, first.unit + picture.pool_rows) - 1;
  const [one, many] = [unitIn(places, first.unit), !places.sorted && lastUnit > first.unit];
  const known = one >= 0 && (many || lastUnit === first.unit);
  const unit = picture.full_rows > 1 && known ? `${unitDim(record)} ${many ? `${one}–${lastUnit}` : one}` : '';
  const code = frame.codes[cell.row * frame.cols + cell.col];
  const about = code <= LARGEST_VALUE_CODE ? '≈ ' : '';
  const pooled = picture.pool_rows * picture.pool_cols > 1 ? `${mean ? 'mean' : 'largest |x|'} ` : '';
  const value = `${pooled}${about}${approximately(valueOfCode(code, frame.lo, frame.hi))}`;
  return { where: [name, which, time, unit].filter(Boolean).join(', '), value: absenceOf(frame, cell) ?? value };
}

/** The one element that the kernel's answer is about, by its own indices: under a pooled cell, and in any order. */
function describeElement(strip: ReadStrip, cell: Cell, { index }: CellValue): string {
  const { row: { name, which, picture }, record, textAt } = strip;
  if (index.some((each) => each < 0)) {
    return `mean of ${describeCell(strip, cell)?.where ?? name}`;
  }
  const along = (dim: string): number => index[record.dims.indexOf(dim)] ?? 0;
  const time = along('time');
  const unit = picture && picture.full_rows > 1 ? `${unitDim(record)} ${along(record.memory?.units ?? '')}` : '';
  return [name, which, timeWords(time, time, textAt?.(time) ?? null), unit].filter(Boolean).join(', ');
}

function unitDim({ memory }: RecordEntry): string {
  return memory?.units || 'unit';
}
