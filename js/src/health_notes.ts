/**
 * What stands below the table of findings: what was checked, and which records could not be read, with the button
 * that reads those that can be had again.
 *
 * In: plain data. Out: `go` is called with a place, `read` when the button is pressed. It knows no model.
 */

import { element, setText } from './drawn_view';
import type { HealthCheck, HealthPlace, HealthUnread } from './generated/catalog';
import { placeWords, severityMark } from './health_rows';
import type { Lifetime } from './lifetime';
import { countText } from './number_text';

const READ_PRICE =
  'Runs the model again or reads the disk, one value after the other: it may take as long as the capture, or longer.';

export interface Reading {
  toRead: number; // values that can be had again
  read: number; // of them, so far
  live: boolean; // whether there is a kernel to do it
  running: boolean;
}

export class HealthNotes {
  readonly el = element('div', 'memviz-health-notes');
  private readonly checks = element('details', 'memviz-health-checks');
  private readonly rules = element('div', 'memviz-health-rules');
  private readonly unread = element('details', 'memviz-health-unread');
  private readonly unreadTitle = element('summary', '');
  private readonly reasons = element('div', 'memviz-health-reasons');
  private readonly offer = element('div', 'memviz-health-offer');
  private readonly button = element('button', 'memviz-button');
  private drawnChecks: HealthCheck[] | null = null;
  private drawnUnread: HealthUnread[] | null = null;

  constructor(
    life: Lifetime,
    private readonly go: (place: HealthPlace) => void,
    read: () => void,
  ) {
    this.checks.append(element('summary', '', 'what was checked, and from which bound on'), this.rules);
    this.unread.append(this.unreadTitle, this.reasons);
    this.button.type = 'button';
    this.offer.append(this.button, element('span', 'memviz-note', READ_PRICE));
    this.el.append(this.offer, this.unread, this.checks);
    life.on(this.button, 'click', read);
    life.on(this.reasons, 'click', (event) => this.clicked(event.target as Element));
  }

  draw(checks: HealthCheck[], unread: HealthUnread[], reading: Reading): void {
    if (checks !== this.drawnChecks) {
      this.drawnChecks = checks;
      this.rules.replaceChildren(...checks.flatMap(ruleParts));
    }
    if (unread !== this.drawnUnread) {
      this.drawnUnread = unread;
      this.reasons.replaceChildren(...unread.map(reasonPart));
    }
    const count = unread.reduce((sum, reason) => sum + reason.count, 0);
    setText(this.unreadTitle, `${counted(count)} not read, so less is known of ${count === 1 ? 'it' : 'them'}`);
    this.unread.hidden = count === 0;
    this.drawOffer(reading);
  }

  /** Opens what was checked: nothing else is there to see where nothing was found. */
  showChecks(): void {
    this.checks.open = true;
  }

  private drawOffer({ toRead, read, live, running }: Reading): void {
    this.offer.hidden = toRead === 0 || !(live || running);
    this.button.disabled = running;
    const what = `${countText(toRead)} ${toRead === 1 ? 'value that is' : 'values that are'} not held`;
    const progress = read > 0 ? `, ${countText(Math.min(read, toRead))} so far` : '';
    setText(this.button, running ? `reading ${what}${progress} \u2026` : `also read ${what}`);
  }

  private clicked(target: Element): void {
    const { reason, place } = target.closest<HTMLElement>('[data-reason]')?.dataset ?? {};
    const found = this.drawnUnread?.[Number(reason)]?.places[Number(place)];
    if (found) {
      this.go(found);
    }
  }
}

/** '3 records, not held:' and the records, each a button. */
function reasonPart({ reason, count, places }: HealthUnread, index: number): HTMLElement {
  const made = element('div', 'memviz-health-reason');
  made.append(element('span', '', `${counted(count)}, ${reason}:`));
  places.forEach((place, i) => {
    const button = element('button', 'memviz-health-chip', placeWords(place));
    button.type = 'button';
    button.disabled = place.layer < 0;
    Object.assign(button.dataset, { reason: String(index), place: String(i) });
    made.append(button);
  });
  if (count > places.length) {
    made.append(element('span', 'memviz-note', `and ${countText(count - places.length)} more: see report.unread`));
  }
  return made;
}

function counted(count: number): string {
  return `${countText(count)} ${count === 1 ? 'record' : 'records'}`;
}

function ruleParts({ kind, severity, rule }: HealthCheck): HTMLElement[] {
  return [severityMark(severity), element('span', 'memviz-health-kind', kind), element('span', '', rule)];
}
