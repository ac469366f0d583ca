/** RecallFailureNote: the run that failed, symbol by symbol, and what became of the answer. Data in, elements out. */

import { element, setText } from './drawn_view';
import type { RecallFailureEntry } from './generated/catalog';
import { approximately } from './number_text';

const UNKNOWN = 'not known';

export class RecallFailureNote {
  readonly el: HTMLElement;
  private readonly heading: HTMLDivElement;
  private readonly symbols: HTMLDivElement;
  private readonly verdict: HTMLDivElement;
  private readonly sentences: HTMLUListElement;
  private drawn: object | null = null;

  constructor() {
    this.el = element('section', 'memviz-recall-failure');
    this.el.setAttribute('aria-label', 'a run that failed');
    this.heading = element('div', 'memviz-recall-heading');
    this.heading.setAttribute('role', 'status');
    this.symbols = element('div', 'memviz-recall-symbols');
    this.symbols.tabIndex = 0; // it scrolls where the sequence is long
    this.symbols.setAttribute('role', 'list');
    this.symbols.setAttribute('aria-label', 'symbols of the sequence');
    this.verdict = element('div', 'memviz-recall-verdict');
    this.sentences = element('ul', 'memviz-recall-sentences');
    this.el.append(this.heading, this.symbols, this.verdict, this.sentences);
    this.el.hidden = true;
  }

  draw(failure: Partial<RecallFailureEntry>, names: readonly string[]): void {
    if (failure === this.drawn) {
      return;
    }
    this.drawn = failure;
    this.el.hidden = failure.symbols === undefined;
    if (!isWhole(failure)) {
      return;
    }
    const { model, over, value, sequence, written, asked, right, answered, verdict, sentences } = failure;
    const place = `${names[model] ?? ''} at ${over} ${approximately(value)}, sequence ${sequence}`;
    setText(this.heading, `${place}: at step ${asked} it answered ${answered}; right is ${right}, shown at step ${written}.`);
    this.symbols.replaceChildren(...failure.symbols.map((text, step) => symbol(text, step, failure)));
    const words = element('strong', '', verdict || UNKNOWN);
    this.verdict.replaceChildren(element('span', '', 'What became of it: '), words);
    this.sentences.replaceChildren(...sentences.map((text) => element('li', '', text)));
  }
}

function isWhole(failure: Partial<RecallFailureEntry>): failure is RecallFailureEntry {
  return failure.symbols !== undefined;
}

function symbol(text: string, step: number, { written, asked }: RecallFailureEntry): HTMLElement {
  const shown = element('span', 'memviz-recall-symbol', text);
  const part = step === written ? 'shown' : step === asked ? 'asked' : '';
  shown.setAttribute('role', 'listitem');
  shown.title = `step ${step}${part && `: the answer is ${part} here`}`;
  if (part) {
    shown.dataset.part = part;
    shown.setAttribute('aria-label', `${text}, ${shown.title}`);
  }
  return shown;
}
