/**
 * HealthTable: what looks wrong in a recording, a row per finding, worst first.
 *
 * In: the traits, the Selection. Out: the Selection's layer, step, call and what a finding names, by click, Enter or
 * arrow keys; without a kernel. Only to read what is not held asks the kernel (READ_ON_DEMAND).
 */

import { unpack_models } from '@jupyter-widgets/base';

import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import type { HealthPlace, HealthRow } from './generated/catalog';
import { healthTableDefaults } from './generated/traits';
import type { HealthTableState } from './generated/traits';
import { HealthFilter, shownRows } from './health_filter';
import type { Filter } from './health_filter';
import { HealthNotes } from './health_notes';
import { goTo, namedIndices, placeAt, rowAfter } from './health_place';
import { COLUMNS, PLACES_SHOWN, findingRow } from './health_rows';
import { keepKeys } from './host_shortcuts';
import { countText } from './number_text';
import type { SelectionModel } from './selection';

export const READ_ON_DEMAND = 'read on demand';
export const PAGE_ROWS = 200; // that stand in the page at once

export class HealthTableModel extends DrawnModel<HealthTableState> {
  static override serializers = { ...DrawnModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...healthTableDefaults() };
  }
}

export class HealthTableView extends DrawnView<HealthTableState> {
  private headline!: HTMLDivElement;
  private advice!: HTMLDivElement;
  private adviceText!: HTMLSpanElement;
  private filter!: HealthFilter;
  private table!: HTMLTableElement;
  private body!: HTMLTableSectionElement;
  private pager!: HTMLDivElement;
  private pageText!: HTMLSpanElement;
  private pageButtons: HTMLButtonElement[] = [];
  private nothing!: HTMLDivElement;
  private notes!: HealthNotes;
  private shown: number[] = []; // numbers of the rows that the filter lets through
  private page = 0;
  private chosen = -1; // the row that was chosen last
  private readonly whole = new Set<number>(); // rows whose places are all shown
  private drawn: unknown[] = []; // what the rows in the page were made for
  private asked = false; // the kernel was asked and has not begun

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  private get rows(): HealthRow[] {
    return this.model.trait('rows');
  }

  private chosenFilter(): Filter {
    return { severities: this.model.trait('severities'), kind: this.model.trait('kind') };
  }

  protected build(): void {
    this.el.classList.add('memviz-health');
    this.headline = element('div', 'memviz-health-headline');
    this.headline.setAttribute('role', 'status');
    const change = (next: Partial<Filter>) => {
      this.page = 0;
      this.model.set(next);
      this.model.save_changes();
    };
    this.filter = new HealthFilter(this.life, () => this.chosenFilter(), change);
    this.nothing = element('div', 'memviz-note', 'Every finding is hidden by the filter.');
    this.notes = new HealthNotes(
      this.life,
      (place) => this.goToRecord(place),
      () => this.askToRead(),
    );
    this.el.append(this.headline, this.buildAdvice(), this.filter.el, this.buildTable(), this.nothing, this.buildPager(), this.notes.el);
    keepKeys(this.el, this.life);
    this.listenTo(this.model, 'change:reading', () => (this.asked = false));
    this.listenTo(this.model, 'change:rows', () => this.rowsChanged());
    this.listenTo(this.model, 'change comm_live_update', () => this.schedule());
    if (this.rows.length === 0) {
      this.notes.showChecks();
    }
  }

  private buildAdvice(): HTMLElement {
    this.advice = element('div', 'memviz-health-advice');
    this.adviceText = element('span', '');
    const show = element('button', 'memviz-button', 'go there');
    show.type = 'button';
    this.life.on(show, 'click', () => this.choose(this.model.trait('first'), 0));
    this.advice.append(this.adviceText, show);
    return this.advice;
  }

  private buildTable(): HTMLElement {
    this.table = element('table', 'memviz-health-table');
    this.table.setAttribute('role', 'grid');
    this.table.setAttribute('aria-label', 'findings, worst first');
    const titles = element('tr', '');
    titles.setAttribute('role', 'row');
    for (const name of COLUMNS) {
      const title = element('th', 'memviz-health-title', name);
      title.setAttribute('role', 'columnheader');
      titles.append(title);
    }
    const head = element('thead', '');
    this.body = element('tbody', '');
    for (const group of [head, this.body]) {
      group.setAttribute('role', 'rowgroup');
    }
    head.append(titles);
    this.table.append(head, this.body);
    this.life.on(this.body, 'click', (event) => this.clicked(event.target as Element));
    this.life.on(this.body, 'keydown', (event) => this.pressed(event));
    return this.table;
  }

  private buildPager(): HTMLElement {
    this.pager = element('div', 'memviz-health-pager');
    this.pageText = element('span', '');
    this.pageText.setAttribute('aria-live', 'polite');
    this.pageButtons = [-1, 1].map((step) => {
      const button = element('button', 'memviz-button', step < 0 ? '\u2039' : '\u203a');
      button.type = 'button';
      button.setAttribute('aria-label', step < 0 ? 'previous findings' : 'next findings');
      this.life.on(button, 'click', () => {
        this.page += step;
        this.schedule();
      });
      return button;
    });
    this.pager.append(this.pageButtons[0], this.pageText, this.pageButtons[1]);
    return this.pager;
  }

  protected follow(): void {
    this.life.follow(this.selection, 'change place', () => this.schedule());
    this.life.follow(this.selection?.store, 'change:catalog', () => {
      this.drawn = [];
      this.schedule();
    });
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  protected draw(): void {
    this.shown = shownRows(this.rows, this.chosenFilter());
    setText(this.headline, this.model.trait('headline'));
    setText(this.adviceText, this.model.trait('advice'));
    this.advice.hidden = !this.model.trait('advice');
    this.filter.draw(this.rows, this.shown.length);
    this.drawRows();
    this.mark();
    this.notes.draw(this.model.trait('checks'), this.model.trait('unread'), {
      toRead: this.model.trait('to_read'),
      read: this.model.trait('reading') ? this.model.trait('read') : 0,
      live: this.model.comm_live,
      running: this.asked || this.model.trait('reading'),
    });
  }

  private drawRows(): void {
    const pages = Math.max(1, Math.ceil(this.shown.length / PAGE_ROWS));
    this.page = Math.min(Math.max(0, this.page), pages - 1);
    const first = this.page * PAGE_ROWS;
    const inPage = this.shown.slice(first, first + PAGE_ROWS);
    const wanted = [this.rows, inPage.join(), [...this.whole].join()];
    if (wanted.some((part, i) => part !== this.drawn[i])) {
      this.drawn = wanted;
      const layers = this.selection?.store?.catalog.layers ?? [];
      const kindOf = (layer: number) => layers[layer]?.module_type ?? '';
      this.body.replaceChildren(...inPage.map((row) => findingRow(this.rows[row], row, kindOf, this.whole.has(row))));
    }
    this.table.hidden = this.shown.length === 0;
    this.nothing.hidden = this.shown.length > 0 || this.rows.length === 0;
    this.pager.hidden = pages === 1;
    this.pageButtons[0].disabled = this.page === 0;
    this.pageButtons[1].disabled = this.page === pages - 1;
    const last = first + inPage.length;
    setText(this.pageText, `${countText(first + 1)} to ${countText(last)} of ${countText(this.shown.length)}`);
  }

  /** The row at which the selection is: the one chosen last where several are, and its place. */
  private mark(): void {
    const { selection } = this;
    const made = [...this.body.rows];
    const numbers = made.map((row) => Number(row.dataset.row));
    const at = (row: number) => (selection ? placeAt(selection, this.rows[row]) : -1);
    const here = [this.chosen, ...numbers].find((row) => numbers.includes(row) && at(row) >= 0) ?? -1;
    const stop = here >= 0 ? here : numbers.includes(this.chosen) ? this.chosen : numbers[0];
    made.forEach((row, i) => {
      row.setAttribute('aria-selected', String(numbers[i] === here));
      row.tabIndex = numbers[i] === stop ? 0 : -1;
      const place = numbers[i] === here ? String(at(here)) : '';
      row.querySelectorAll<HTMLElement>('[data-place]').forEach((button) => {
        button.setAttribute('aria-current', String(button.dataset.place === place));
      });
    });
  }

  private rowsChanged(): void {
    this.chosen = -1;
    this.whole.clear();
  }

  // -------------------------------------------------------------------------------------------------------- events

  /** Goes to a row and one of its places; the row gets the focus where the keyboard asked. */
  private choose(index: number, place: number, focus = false): void {
    const { selection } = this;
    const row = this.rows[index];
    if (!selection || !row) {
      return;
    }
    this.chosen = index;
    this.page = Math.max(0, Math.floor(this.shown.indexOf(index) / PAGE_ROWS));
    if (place >= PLACES_SHOWN) {
      this.whole.add(index);
    }
    goTo(selection, row.place, namedIndices(row, place));
    this.draw();
    if (focus) {
      this.body.querySelector<HTMLElement>(`[data-row="${index}"]`)?.focus();
    }
  }

  private goToRecord(place: HealthPlace): void {
    if (this.selection) {
      goTo(this.selection, place);
    }
  }

  private clicked(target: Element): void {
    const row = target.closest<HTMLElement>('[data-row]');
    const index = Number(row?.dataset.row);
    const finding = row && this.rows[index];
    if (!finding) {
      return;
    }
    const place = target.closest<HTMLElement>('[data-place]')?.dataset.place;
    if (target.closest('[data-before]') && finding.before) {
      this.goToRecord(finding.before);
    } else if (target.closest('[data-more]')) {
      this.whole.add(index);
      this.draw();
      this.body.querySelector<HTMLElement>(`[data-row="${index}"]`)?.focus(); // the button that had it is gone
    } else {
      this.choose(index, place === undefined ? 0 : Number(place));
    }
  }

  private pressed(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const index = Number(target.closest<HTMLElement>('[data-row]')?.dataset.row);
    if (event.ctrlKey || event.metaKey || event.altKey || !this.rows[index]) {
      return;
    }
    const onButton = target.closest('button') !== null;
    const next = rowAfter(event.key, this.shown, index);
    if (next !== undefined) {
      this.choose(next, 0, true);
    } else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
      this.choose(index, this.nextPlace(index, event.key === 'ArrowLeft' ? -1 : 1), true);
    } else if ((event.key === 'Enter' || event.key === ' ') && !onButton) {
      this.choose(index, this.nextPlace(index, 0), true);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private nextPlace(index: number, step: number): number {
    const row = this.rows[index];
    const at = this.selection ? placeAt(this.selection, row) : -1;
    return at < 0 ? 0 : Math.max(0, Math.min(row.places.length - 1, at + step));
  }

  private askToRead(): void {
    if (this.model.comm_live && !this.asked && !this.model.trait('reading')) {
      this.asked = true;
      this.model.send({ type: READ_ON_DEMAND }, {});
      this.schedule();
    }
  }
}
