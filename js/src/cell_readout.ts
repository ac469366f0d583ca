/**
 * CellReadout: says what one cell of a picture holds, for the pointer and for the keyboard.
 *
 * The approximate value comes at once from the picture's code, marked "≈"; the exact one replaces it when the kernel
 * answers. Only the answer for the newest cell is shown. Knows no model: the picture hands in what can be said.
 */

import type { CellValue } from './catalog';
import { element, setText } from './drawn_view';
import type { Lifetime } from './lifetime';

/** Rest of the pointer on a cell before the kernel is asked. */
export const ASK_AFTER_MS = 60;
const OFFSET_PX = 14;

export interface Cell {
  row: number;
  col: number;
}

export interface CellDescription {
  where: string; // "channel 17, height 12, width 40"
  value: string; // "≈ 0.8213"; "NaN" is exact already
}

export interface CellSource {
  describe(cell: Cell): CellDescription | null;
  ask(cell: Cell): Promise<CellValue | null>;
  /** Indices of the element that the exact value belongs to: one of several under a pooled cell. */
  describeExact(cell: Cell, value: CellValue): string;
  /** Middle of the cell, in pixels from the top left corner of the host; null when it is not visible. */
  locate(cell: Cell): { x: number; y: number } | null;
  /** The cell changed: its mark has to move. */
  moved(): void;
  report(error: unknown): void;
}

export class CellReadout {
  cell: Cell | null = null;
  private readonly tooltip = element('div', 'memviz-tooltip');
  private readonly spoken = element('div', 'memviz-spoken');
  /** Whether the cell was reached by keyboard: then it is spoken, and marked in the picture. */
  speaks = false;
  private question = 0;

  constructor(
    private readonly host: HTMLElement,
    private readonly life: Lifetime,
    private readonly source: CellSource,
  ) {
    this.tooltip.hidden = true;
    this.tooltip.setAttribute('aria-hidden', 'true');
    // a live region of its own: content of an element with role=img is not read out
    this.spoken.setAttribute('role', 'status');
    host.append(this.tooltip, this.spoken);
    life.onEnd(() => {
      this.tooltip.remove();
      this.spoken.remove();
    });
  }

  /** `point`: where the pointer is, in pixels of the host; without it the cell was reached by keyboard and is spoken. */
  show(cell: Cell, point: { x: number; y: number } | null): void {
    const same = this.cell?.row === cell.row && this.cell.col === cell.col && !this.tooltip.hidden;
    const marked = this.speaks;
    this.cell = cell;
    this.speaks = point === null;
    if (!same) {
      this.refresh();
    }
    if (!same || marked !== this.speaks) {
      this.source.moved();
    }
    const at = point ?? this.source.locate(cell);
    if (at) {
      this.place(at);
    }
  }

  /** Says it again: the picture under the cell changed. */
  refresh(): void {
    const cell = this.cell;
    const description = cell && this.source.describe(cell);
    if (!cell || !description) {
      this.hide();
      return;
    }
    this.say(`${description.where}: ${description.value}`);
    const question = ++this.question;
    this.life.after('ask', ASK_AFTER_MS, () => {
      this.source.ask(cell).then((answer) => {
        if (answer && question === this.question && !this.life.ended) {
          this.say(`${this.source.describeExact(cell, answer)}: ${answer.text}`);
        }
      }, this.source.report);
    });
  }

  hide(): void {
    this.question += 1;
    if (this.cell) {
      this.cell = null;
      this.source.moved();
    }
    this.life.cancel('ask');
    this.tooltip.hidden = true;
    setText(this.spoken, '');
  }

  private say(text: string): void {
    setText(this.tooltip, text);
    this.tooltip.hidden = false;
    setText(this.spoken, this.speaks ? text : '');
  }

  /** Beside the point, on the side of it where the host has room. */
  private place({ x, y }: { x: number; y: number }): void {
    const { clientWidth, clientHeight } = this.host;
    const { offsetWidth, offsetHeight } = this.tooltip;
    const left = x + OFFSET_PX + offsetWidth > clientWidth ? x - OFFSET_PX - offsetWidth : x + OFFSET_PX;
    const top = y + OFFSET_PX + offsetHeight > clientHeight ? y - OFFSET_PX - offsetHeight : y + OFFSET_PX;
    this.tooltip.style.left = `${Math.max(0, Math.min(left, clientWidth - offsetWidth))}px`;
    this.tooltip.style.top = `${Math.max(0, top)}px`;
  }
}
