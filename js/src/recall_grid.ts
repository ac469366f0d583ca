/** RecallGrid: accuracies as a grid, a row per model, that arrow keys walk through. Knows no model and no kernel. */

import { element, setText } from './drawn_view';
import type { RecallCurve, RecallDot } from './generated/catalog';
import type { Lifetime } from './lifetime';
import { approximately } from './number_text';
import { canOpen, cellText, dotAt, dotText } from './recall_points';
import type { Place } from './recall_points';

/** How a model is told from the others. */
export interface ModelMark {
  name: string;
  color: string;
  marker: string;
}

interface Actions {
  open(place: Place): void;
  move(place: Place): void;
  point(place: Place | null): void;
}

const GLYPHS: Record<string, string> = {
  circle: '●', square: '■', 'triangle-up': '▲', diamond: '◆', cross: '✚', 'triangle-down': '▼',
};

export class RecallGrid {
  readonly el: HTMLElement;
  private readonly table: HTMLTableElement;
  private cells: HTMLTableCellElement[][] = [];
  private made = ''; // what the cells were made for

  constructor(life: Lifetime, private readonly actions: Actions) {
    this.el = element('div', 'memviz-recall-scroll');
    this.table = element('table', 'memviz-recall-grid');
    this.table.setAttribute('role', 'grid');
    this.el.append(this.table);
    life.on(this.table, 'click', (event) => this.at(event, (place) => this.actions.open(place)));
    life.on(this.table, 'pointerover', (event) => this.actions.point(placeIn(event.target)));
    life.on(this.table, 'pointerleave', () => this.actions.point(null));
    life.on(this.table, 'focusin', (event) => this.at(event, (place) => this.actions.move(place)));
    life.on(this.table, 'keydown', (event) => this.pressed(event));
  }

  draw(curve: RecallCurve, models: readonly ModelMark[], cursor: Place, shown: Place): void {
    const made = JSON.stringify([curve.over, curve.values, models]);
    if (made !== this.made) {
      this.made = made;
      this.make(curve, models);
    }
    const names = models.map(({ name }) => name);
    const stop = { model: Math.min(cursor.model, models.length - 1), place: Math.min(cursor.place, curve.values.length - 1) };
    this.cells.forEach((row, model) =>
      row.forEach((cell, place) => {
        const dot = dotAt(curve, { model, place });
        setText(cell, cellText(dot));
        cell.tabIndex = stop.model === model && stop.place === place ? 0 : -1;
        cell.dataset.state = stateOf(dot);
        cell.toggleAttribute('data-shown', shown.model === model && shown.place === place);
        cell.setAttribute('aria-label', `${dotText(curve, names, { model, place })}${canOpen(dot) ? '; Enter opens a run that failed' : ''}`);
      }),
    );
  }

  private make(curve: RecallCurve, models: readonly ModelMark[]): void {
    this.table.setAttribute('aria-label', `accuracy by ${curve.text}`);
    const head = line(element('th', 'memviz-recall-corner', curve.over), 'columnheader');
    head.append(...curve.values.map((value) => role(element('th', '', approximately(value)), 'columnheader')));
    this.cells = [];
    const rows = models.map((mark, model) => {
      const row = line(nameCell(mark), 'rowheader');
      const cells = curve.values.map((_, place) => {
        const cell = role(element('td', 'memviz-recall-cell'), 'gridcell');
        Object.assign(cell.dataset, { model: String(model), place: String(place) });
        return cell;
      });
      this.cells.push(cells);
      row.append(...cells);
      return row;
    });
    this.table.replaceChildren(head, ...rows);
  }

  private at(event: Event, work: (place: Place) => void): void {
    const place = placeIn(event.target);
    if (place) {
      work(place);
    }
  }

  private pressed(event: KeyboardEvent): void {
    const place = placeIn(event.target);
    if (!place || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
      return;
    }
    const last = { model: this.cells.length - 1, place: (this.cells[0]?.length ?? 1) - 1 };
    const steps: Record<string, [number, number]> = {
      ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -last.place], End: [0, last.place],
    };
    const step = steps[event.key];
    if (step) {
      const model = Math.max(0, Math.min(last.model, place.model + step[0]));
      this.cells[model][Math.max(0, Math.min(last.place, place.place + step[1]))].focus(); // which moves the cursor
    } else if (event.key === 'Enter' || event.key === ' ') {
      this.actions.open(place);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

/** A row header: the shape and colour of the curve, and the name. */
export function nameCell({ name, color, marker }: ModelMark): HTMLTableCellElement {
  const cell = element('th', 'memviz-recall-name');
  cell.title = name; // a long one is cut
  const glyph = element('span', 'memviz-recall-glyph', GLYPHS[marker] ?? '●');
  glyph.style.color = color;
  glyph.setAttribute('aria-hidden', 'true');
  cell.append(glyph, element('span', '', name));
  return cell;
}

function stateOf(dot: RecallDot | undefined): string {
  if (dot === undefined || dot.error) {
    return dot ? 'failed' : 'waiting';
  }
  return dot.wrong > 0 ? 'wrong' : 'right';
}

function placeIn(target: EventTarget | null): Place | null {
  const cell = (target as Element | null)?.closest<HTMLElement>('[data-place]');
  return cell ? { model: Number(cell.dataset.model), place: Number(cell.dataset.place) } : null;
}

function line(first: HTMLTableCellElement, name: string): HTMLTableRowElement {
  const row = role(element('tr', ''), 'row');
  row.append(role(first, name));
  return row;
}

function role<T extends HTMLElement>(target: T, name: string): T {
  target.setAttribute('role', name);
  return target;
}
