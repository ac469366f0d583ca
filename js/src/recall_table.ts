/** RecallTable: a row per model: where accuracy is half-way to chance, bits kept, what is carried. Data in, elements out. */

import { element, setText } from './drawn_view';
import type { RecallCurve } from './generated/catalog';
import { nameCell } from './recall_grid';
import type { ModelMark } from './recall_grid';
import { rowTexts } from './recall_points';

const COLUMNS = ['model', 'half-way to chance (d50)', 'bits kept', 'state of one sequence', 'of'];

export class RecallTable {
  readonly el: HTMLTableElement;
  private readonly body: HTMLTableSectionElement;
  private made = '';

  constructor() {
    this.el = element('table', 'memviz-recall-table');
    this.el.setAttribute('aria-label', 'models');
    const head = element('thead', '');
    const line = element('tr', '');
    line.append(...COLUMNS.map((name) => column(element('th', '', name))));
    head.append(line);
    this.body = element('tbody', '');
    this.el.append(head, this.body);
  }

  draw(curve: RecallCurve, models: readonly ModelMark[]): void {
    const made = JSON.stringify(models);
    if (made !== this.made) {
      this.made = made;
      this.body.replaceChildren(...models.map(rowOf));
    }
    models.forEach((_, model) => {
      const cells = [...this.body.rows[model].querySelectorAll('td')];
      const texts = curve.rows[model] ? rowTexts(curve.rows[model], curve.over) : [];
      cells.forEach((cell, place) => setText(cell, texts[place] ?? ''));
    });
  }
}

function rowOf(mark: ModelMark): HTMLTableRowElement {
  const row = element('tr', '');
  const name = nameCell(mark);
  name.scope = 'row';
  row.append(name, ...COLUMNS.slice(1).map((title) => {
    const cell = element('td', '');
    cell.dataset.title = title;
    return cell;
  }));
  return row;
}

function column(cell: HTMLTableCellElement): HTMLTableCellElement {
  cell.scope = 'col';
  return cell;
}
