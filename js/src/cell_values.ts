/** CellValues: asks the kernel for the exact value of one cell; only the newest question counts. */

import type { CellValue, PageKind } from './catalog';

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
}

export type ValueAnswer = ({ type: 'value'; id: number } & CellValue) | { type: 'refused'; id: number };

interface Asked {
  id: number;
  settle: (value: CellValue | null) => void;
  timer: ReturnType<typeof setTimeout>;
}

export class CellValues {
  private asked: Asked | null = null;

  /** `send` gives false when there is no kernel. */
  constructor(private readonly send: (question: ValueQuestion) => boolean) {}

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
