/**
 * CellValues: asks the kernel for the exact value of one cell, of which only the newest question counts, and for
 * details: parts of pictures at a finer grain.
 */

import type { CellValue, PageKind } from './catalog';
import { pageFromWire } from './pages';
import type { Page, PageHeader, WireBuffer } from './pages';

/** A question that is not answered in this time is given up. */
export const VALUE_WAIT_MS = 5_000;

export interface ValueQuestion {
  type: 'value';
  id: number;
  record: number;
  frame: number;
  row: number;
  col: number;
  kind: PageKind;
  /** Rows and columns of elements of a cell, where it is one of a detail. */
  pools?: [number, number];
}

/** Cells `rows` x `cols` (first and behind the last) of a frame whose cells stand for `pools` elements. */
export interface DetailPart {
  pools: [number, number];
  rows: [number, number];
  cols: [number, number];
}

export type DetailQuestion = { type: 'detail'; id: number; record: number; kind: PageKind; frame: number } & DetailPart;
export type DetailAnswer = ({ type: 'detail'; id: number } & PageHeader) | { type: 'no_detail'; id: number; message: string };

export type ValueAnswer = ({ type: 'value'; id: number } & CellValue) | { type: 'refused'; id: number };

interface Asked {
  id: number;
  settle: (value: CellValue | null) => void;
  timer: ReturnType<typeof setTimeout>;
}

export class CellValues {
  private asked: Asked | null = null;
  private readonly details = new Map<number, (page: Page | null) => void>();

  /** `send` gives false when there is no kernel. */
  constructor(private readonly send: (question: ValueQuestion | DetailQuestion) => boolean) {}

  /** Codes of a part of a picture; null: refused, no kernel, or no answer in time. */
  askDetail(question: DetailQuestion): Promise<Page | null> {
    return new Promise((settle) => {
      const end = (page: Page | null): void => {
        clearTimeout(timer);
        this.details.delete(question.id);
        settle(page);
      };
      const timer = setTimeout(() => end(null), VALUE_WAIT_MS);
      this.details.set(question.id, end);
      if (!this.send(question)) {
        end(null);
      }
    });
  }

  answerDetail(message: DetailAnswer, buffers: readonly WireBuffer[]): void {
    this.details.get(message.id)?.(message.type === 'detail' ? pageFromWire(message, buffers) : null);
  }

  /** The kernel's answer; null: superseded by a newer question, refused, no kernel, or no answer in time. */
  ask(question: ValueQuestion): Promise<CellValue | null> {
    this.settle(null);
    return new Promise((settle) => {
      const timer = setTimeout(() => this.settle(null), VALUE_WAIT_MS);
      this.asked = { id: question.id, settle, timer };
      if (!this.send(question)) {
        this.settle(null);
      }
    });
  }

  /** Takes an answer; one to an older question is dropped. */
  answer(message: ValueAnswer): void {
    if (message.id === this.asked?.id) {
      const { type } = message;
      this.settle(type === 'value' ? { text: message.text, number: message.number, index: message.index } : null);
    }
  }

  end(): void {
    this.settle(null);
    [...this.details.values()].forEach((end) => end(null));
  }

  private settle(value: CellValue | null): void {
    if (this.asked !== null) {
      const { settle, timer } = this.asked;
      this.asked = null;
      clearTimeout(timer);
      settle(value);
    }
  }
}
