/**
 * The table of a memory card: a row per measure, and below it, when asked for, how it is computed.
 *
 * In: rows and methods. Out: elements; texts are data and never parsed. Knows no model and no kernel.
 */

import { element, setText } from './drawn_view';
import type { CardMethod, CardRow } from './generated/catalog';
import type { Lifetime } from './lifetime';

const COLUMNS = ['measure', 'value', 'compare with', 'of', 'how computed'];
const NO_METHOD: CardMethod = { how: '', source: '' };

let tables = 0; // so that ids are unique in the page

export class CardTable {
  readonly el: HTMLTableElement;
  private readonly body: HTMLTableSectionElement;
  private readonly id: string;
  private readonly open = new Set<string>(); // names of the rows whose method is shown
  private shown: { rows: readonly CardRow[]; methods: Record<string, CardMethod> } | null = null;

  constructor(private readonly life: Lifetime) {
    tables += 1;
    this.id = `memviz-card-${tables}`;
    this.el = element('table', 'memviz-card-table');
    const head = element('thead', '');
    const line = element('tr', '');
    line.append(...COLUMNS.map(headCell));
    head.append(line);
    this.body = element('tbody', '');
    this.el.append(head, this.body);
    this.life.on(this.body, 'click', (event) => this.clicked(event));
  }

  /** Shows these rows; what was open stays open, by the name of its row. */
  show(rows: readonly CardRow[], methods: Record<string, CardMethod>, label: string): void {
    this.el.setAttribute('aria-label', label);
    this.el.hidden = rows.length === 0;
    if (this.shown?.methods === methods && sameRows(this.shown.rows, rows)) {
      return; // the focus stays where it is
    }
    this.shown = { rows, methods };
    this.body.replaceChildren(...rows.flatMap((row, place) => this.lines(row, methods[row.measure] ?? NO_METHOD, place)));
  }

  private lines(row: CardRow, method: CardMethod, place: number): HTMLElement[] {
    const line = element('tr', 'memviz-card-row');
    const name = element('th', 'memviz-card-name', row.name);
    name.scope = 'row';
    const how = element('td', 'memviz-card-how');
    const button = element('button', 'memviz-button', 'how');
    const isOpen = this.open.has(row.name);
    const target = `${this.id}-${place}`;
    button.type = 'button';
    button.dataset.row = row.name;
    button.setAttribute('aria-expanded', String(isOpen));
    button.setAttribute('aria-controls', target);
    button.setAttribute('aria-label', `how computed: ${row.name}`);
    how.append(button);
    line.append(
      name,
      element('td', 'memviz-card-value', row.value),
      element('td', 'memviz-card-compare', row.compare),
      element('td', 'memviz-card-n', row.n),
      how,
    );
    return [line, methodLine(row, method, target, isOpen)];
  }

  private clicked(event: MouseEvent): void {
    const button = (event.target as Element).closest<HTMLButtonElement>('button[data-row]');
    const line = button?.closest('tr')?.nextElementSibling;
    if (!button || !(line instanceof HTMLElement)) {
      return;
    }
    const name = button.dataset.row ?? '';
    const opens = !this.open.delete(name);
    if (opens) {
      this.open.add(name);
    }
    line.hidden = !opens;
    button.setAttribute('aria-expanded', String(opens));
  }
}

/** A list of sentences that keeps its element. */
export function showLines(list: HTMLElement, sentences: readonly string[]): void {
  list.hidden = sentences.length === 0;
  while (list.children.length > sentences.length) {
    list.lastElementChild?.remove();
  }
  sentences.forEach((sentence, place) => {
    const line = list.children[place] ?? list.appendChild(element('li', ''));
    setText(line as HTMLElement, sentence);
  });
}

function headCell(text: string): HTMLElement {
  const cell = element('th', '', text);
  cell.scope = 'col';
  return cell;
}

function methodLine(row: CardRow, method: CardMethod, id: string, isOpen: boolean): HTMLElement {
  const line = element('tr', 'memviz-card-method');
  line.id = id;
  line.hidden = !isOpen;
  const cell = element('td', '');
  cell.colSpan = COLUMNS.length;
  const texts = [
    ['memviz-card-detail', row.detail && `Here: ${row.detail}.`],
    ['memviz-card-formula', method.how],
    ['memviz-card-source', method.source && `Source: ${method.source}.`],
  ];
  cell.append(...texts.filter(([, text]) => text).map(([name, text]) => element('p', name, text)));
  line.append(cell);
  return line;
}

function sameRows(one: readonly CardRow[], other: readonly CardRow[]): boolean {
  return one.length === other.length && one.every((row, place) => row === other[place]);
}
