/**
 * One finding of the health report as a row of the table. Data in, elements out; the table listens.
 *
 * `data-row` of a row is its number in the report; `data-place` of a button the number of the place in the row,
 * `data-before` marks the button to the record before, `data-more` the one that shows all places.
 */

import { element } from './drawn_view';
import type { HealthPlace, HealthRow } from './generated/catalog';
import { countText } from './number_text';

/** Places of a row that are buttons at once; a further button shows the others. */
export const PLACES_SHOWN = 16;
export const COLUMNS = ['severity', 'place', 'what', 'value and bound', 'looked at'];

/** A mark per severity, so that it is not the colour alone that tells them apart. */
export const MARKS: Record<string, string> = { error: '\u2715', warning: '\u25b2', hint: '\u25cb' };

/** A table row of a finding. `kindOf` says what module a layer is; `whole`: with all places. */
export function findingRow(row: HealthRow, index: number, kindOf: (layer: number) => string, whole: boolean): HTMLTableRowElement {
  const made = element('tr', 'memviz-health-row');
  made.dataset.row = String(index);
  made.dataset.severity = row.severity;
  made.setAttribute('role', 'row');
  made.tabIndex = -1;
  made.append(
    cell('severity', severityMark(row.severity)),
    cell('place', ...placeParts(row, kindOf(row.place.layer), whole)),
    cell('what', element('div', 'memviz-health-kind', row.kind), element('div', 'memviz-health-sentence', row.sentence)),
    cell('value', measured(row), element('div', 'memviz-note', `bound: ${row.bound}`)),
    cell('n', element('span', '', row.n)),
  );
  return made;
}

/** The mark and the word of a severity. */
export function severityMark(severity: string): HTMLElement {
  const made = element('span', 'memviz-health-severity');
  made.dataset.severity = severity;
  const mark = element('span', 'memviz-health-mark', MARKS[severity] ?? '');
  mark.setAttribute('aria-hidden', 'true');
  made.append(mark, element('span', '', severity));
  return made;
}

/** 'conv1' with its step, and the call where it is not the first. */
export function placeWords({ label, when, call }: HealthPlace): string {
  return [label, when, call ? `call ${countText(call)}` : ''].filter(Boolean).join(', ');
}

/** 'sample 2, timestep 4': the other indices that a row names. */
export function otherWords(row: HealthRow): string {
  return Object.entries(row.at)
    .map(([axis, index]) => `${axis === 'time' ? 'timestep' : axis} ${countText(index)}`)
    .join(', ');
}

function cell(name: string, ...content: HTMLElement[]): HTMLTableCellElement {
  const made = element('td', `memviz-health-cell memviz-health-${name}-cell`);
  made.setAttribute('role', 'gridcell');
  made.append(...content);
  return made;
}

function measured(row: HealthRow): HTMLElement {
  const made = element('div', '');
  made.append(element('span', 'memviz-health-value', row.value), element('span', 'memviz-note', ` ${row.measure}`));
  return made;
}

function placeParts(row: HealthRow, moduleType: string, whole: boolean): HTMLElement[] {
  const parts: HTMLElement[] = [element('div', 'memviz-health-label', placeWords(row.place))];
  const facts = [moduleType, otherWords(row)].filter(Boolean).join(', ');
  if (facts) {
    parts.push(element('div', 'memviz-note', facts));
  }
  if (row.axis) {
    parts.push(placeButtons(row, whole));
  }
  if (row.before) {
    const before = button('before: ', placeWords(row.before));
    before.dataset.before = '';
    before.title = 'the record that finished last before this one: the cause may lie between the two';
    parts.push(before);
  }
  return parts;
}

function placeButtons(row: HealthRow, whole: boolean): HTMLElement {
  const made = element('div', 'memviz-health-places');
  made.append(element('span', 'memviz-note', row.axis));
  const shown = whole ? row.places : row.places.slice(0, PLACES_SHOWN);
  shown.forEach((index, place) => {
    const chip = button(countText(index));
    chip.dataset.place = String(place);
    chip.tabIndex = -1; // the left and right arrows go through them: one stop per row, however many there are
    chip.setAttribute('aria-label', `${row.axis} ${index} of ${row.place.label}`);
    made.append(chip);
  });
  if (row.places.length > shown.length) {
    const more = button(`${countText(row.places.length - shown.length)} more`);
    more.dataset.more = '';
    made.append(more);
  }
  return made;
}

function button(...texts: string[]): HTMLButtonElement {
  const made = element('button', 'memviz-health-chip', texts.join(''));
  made.type = 'button';
  return made;
}
