/**
 * The filter above the table of findings: a button per severity with its count, and the kinds.
 *
 * In: the rows, and what is chosen `current`ly. Out: `change` is called with the next choice. It knows no model.
 */

import { element, setText } from './drawn_view';
import type { HealthRow } from './generated/catalog';
import { severityMark } from './health_rows';
import type { Lifetime } from './lifetime';
import { countText } from './number_text';

export const SEVERITIES = ['error', 'warning', 'hint'];
const ALL_KINDS = 'all kinds';

export interface Filter {
  severities: string[];
  kind: string;
}

/** Numbers of the rows that the filter lets through, in order. */
export function shownRows(rows: HealthRow[], { severities, kind }: Filter): number[] {
  const fits = (row: HealthRow) => severities.includes(row.severity) && (!kind || row.kind === kind);
  return rows.flatMap((row, index) => (fits(row) ? [index] : []));
}

export class HealthFilter {
  readonly el = element('div', 'memviz-health-filter');
  private readonly buttons = new Map<string, { button: HTMLButtonElement; count: HTMLSpanElement }>();
  private readonly kinds = element('select', 'memviz-health-kinds');
  private readonly status = element('span', 'memviz-note');
  private listed = '';

  constructor(
    life: Lifetime,
    private readonly current: () => Filter,
    private readonly change: (next: Partial<Filter>) => void,
  ) {
    this.el.setAttribute('role', 'group');
    this.el.setAttribute('aria-label', 'which findings are shown');
    for (const severity of SEVERITIES) {
      this.el.append(this.severityButton(severity, life));
    }
    this.kinds.setAttribute('aria-label', 'kind of finding');
    this.status.setAttribute('role', 'status');
    this.el.append(this.kinds, this.status);
    life.on(this.kinds, 'change', () => change({ kind: this.kinds.value }));
  }

  private severityButton(severity: string, life: Lifetime): HTMLElement {
    const button = element('button', 'memviz-button memviz-health-toggle');
    const count = element('span', 'memviz-health-count');
    button.type = 'button';
    button.append(severityMark(severity), count);
    this.buttons.set(severity, { button, count });
    life.on(button, 'click', () => {
      const { severities } = this.current();
      this.change({ severities: SEVERITIES.filter((each) => severities.includes(each) !== (each === severity)) });
    });
    return button;
  }

  draw(rows: HealthRow[], shown: number): void {
    const filter = this.current();
    this.el.hidden = rows.length === 0;
    for (const [severity, { button, count }] of this.buttons) {
      const found = rows.filter((row) => row.severity === severity).length;
      button.setAttribute('aria-pressed', String(filter.severities.includes(severity)));
      button.hidden = found === 0;
      setText(count, countText(found));
    }
    this.listKinds(rows, filter.kind);
    setText(this.status, shown === rows.length ? '' : `${countText(shown)} of ${countText(rows.length)} shown`);
  }

  private listKinds(rows: HealthRow[], chosen: string): void {
    const found = [...new Set([...rows.map((row) => row.kind), chosen].filter(Boolean))];
    if (found.join('\n') !== this.listed || this.kinds.options.length === 0) {
      this.listed = found.join('\n');
      const option = (value: string, text: string) => Object.assign(element('option', '', text), { value });
      this.kinds.replaceChildren(option('', ALL_KINDS), ...found.map((kind) => option(kind, kind)));
    }
    this.kinds.hidden = found.length < 2 && !chosen;
    this.kinds.value = chosen;
  }
}
