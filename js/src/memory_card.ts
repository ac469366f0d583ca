/**
 * MemoryCard: the measures that apply to the memory that is shown, with chance line or bound, n, and how computed.
 *
 * In: Selection, the cards that the kernel made. Out: wishes for a card (custom messages to the kernel), one at a time,
 * of what is on the screen. What was measured once is shown without a kernel.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import type { Card } from './generated/catalog';
import { memoryCardDefaults } from './generated/traits';
import type { MemoryCardState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { CardTable, showLines } from './memory_card_table';
import { memoryAbsence } from './memory_place';
import type { SelectionModel } from './selection';
import { partAt, partWords, shownPart, shownSample } from './shown_unit';
import type { ShownPart } from './shown_unit';

/** The cursor rests for this long before its memory is measured: dragging a slider asks for the last one only. */
export const REST_MS = 150;
/** A wish that is not answered in this time is made again when the memory is looked at again. */
export const ANSWER_WAIT_MS = 120_000;

const COMPUTING = 'Computing the measures of this memory ...';
const NO_KERNEL = 'Not measured: there is no kernel, and this memory was not looked at before.';
const RECALL = 'Recall of the model';

/** A card that can be had: of a record and a sample. */
interface Wanted {
  key: string;
  record: number;
  sample: number;
  title: string;
}

export class MemoryCardModel extends DrawnModel<MemoryCardState> {
  static override serializers = { ...DrawnModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...memoryCardDefaults() };
  }
}

export class MemoryCardView extends DrawnView<MemoryCardState> {
  private heading!: HTMLDivElement;
  private state!: HTMLDivElement;
  private body!: HTMLDivElement;
  private table!: CardTable;
  private offers!: HTMLDivElement;
  private problems!: HTMLUListElement;
  private absent!: HTMLUListElement;
  private recallHeading!: HTMLDivElement;
  private recall!: CardTable;
  private asked: string | null = null; // the key of the wish that is not answered yet
  private onScreen = true;

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  protected build(): void {
    this.el.classList.add('memviz-card');
    this.heading = element('div', 'memviz-card-title');
    this.state = element('div', 'memviz-card-state');
    this.state.setAttribute('role', 'status');
    this.body = element('div', 'memviz-card-body');
    this.table = new CardTable(this.life);
    this.offers = element('div', 'memviz-card-offers');
    this.problems = element('ul', 'memviz-card-lines memviz-card-problems');
    this.absent = element('ul', 'memviz-card-lines memviz-card-absent');
    this.body.append(this.table.el, this.offers, this.problems, this.absent);
    this.recallHeading = element('div', 'memviz-card-title', RECALL);
    this.recall = new CardTable(this.life);
    this.el.append(this.heading, this.state, this.body, this.recallHeading, this.recall.el);
    this.life.on(this.offers, 'click', () => this.measure());
    keepKeys(this.el, this.life);
    this.listenTo(this.model, 'msg:custom', () => this.answered());
    this.listenTo(this.model, 'change:cards change:recall change:methods comm_live_update', () => this.schedule());
    this.watch();
  }

  protected follow(): void {
    this.life.follow(this.selection, 'change place', () => this.schedule());
    this.life.follow(this.selection?.store, 'change:catalog', () => this.schedule());
  }

  override processLuminoMessage(message: Parameters<DrawnView<MemoryCardState>['processLuminoMessage']>[0]): void {
    super.processLuminoMessage(message);
    if (message.type === 'after-show' || message.type === 'after-attach') {
      this.schedule(); // its tab was opened
    }
  }

  /** Knows when the card comes into sight; a page without such an observer shows everything. */
  private watch(): void {
    if (typeof IntersectionObserver === 'undefined') {
      return;
    }
    this.onScreen = false;
    const observer = new IntersectionObserver(
      this.life.guard((entries: IntersectionObserverEntry[]) => {
        this.onScreen = entries.some((entry) => entry.isIntersecting);
        this.schedule();
      }),
    );
    observer.observe(this.el);
    this.life.onEnd(() => observer.disconnect());
  }

  private get lookedAt(): boolean {
    return this.onScreen && getComputedStyle(this.el).visibility !== 'hidden'; // hidden: in a tab that is not open
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  protected draw(): void {
    const methods = this.model.trait('methods');
    const rows = this.model.trait('recall');
    this.recall.show(rows, methods, RECALL);
    this.recallHeading.hidden = rows.length === 0;
    const { selection } = this;
    const wanted = selection && wantedCard(selection);
    if (!selection || !wanted) {
      this.say(selection ? memoryAbsence(selection.store.catalog, selection) : '', 'message');
      return;
    }
    const card = this.model.trait('cards')[wanted.key];
    setText(this.heading, wanted.title);
    if (card) {
      this.drawCard(card, wanted);
    } else {
      this.say(this.model.comm_live ? COMPUTING : NO_KERNEL, this.model.comm_live ? 'computing' : 'message');
      setText(this.heading, wanted.title);
      this.wish(wanted, false);
    }
  }

  private drawCard(card: Card, wanted: Wanted): void {
    const busy = this.asked === wanted.key;
    this.el.dataset.state = busy ? 'computing' : 'ready';
    this.body.hidden = false;
    setText(this.state, busy ? COMPUTING : '');
    this.table.show(card.rows, this.model.trait('methods'), `measures of ${wanted.title}`);
    showLines(this.problems, card.problems);
    showLines(this.absent, card.absent);
    this.drawOffers(card.offers, busy);
  }

  private drawOffers(offers: readonly string[], busy: boolean): void {
    this.offers.hidden = offers.length === 0;
    const live = this.model.comm_live === true;
    const text = live ? `measure ${offers.join(' and ')}` : `not measured: ${offers.join(' and ')}`;
    const made = this.offers.firstElementChild as HTMLButtonElement | null;
    const button = made ?? this.offers.appendChild(element('button', 'memviz-button'));
    button.type = 'button';
    button.disabled = busy || !live;
    setText(button, text);
  }

  private say(message: string, state: string): void {
    this.el.dataset.state = state;
    this.body.hidden = true;
    setText(this.heading, '');
    setText(this.state, message);
  }

  // -------------------------------------------------------------------------------------------------------- wishes

  /** The button: also what takes long. */
  private measure(): void {
    const wanted = this.selection && wantedCard(this.selection);
    if (wanted) {
      this.wish(wanted, true);
      this.schedule();
    }
  }

  private wish(wanted: Wanted, patient: boolean): void {
    if (this.asked !== null || !this.model.comm_live || !this.lookedAt) {
      return; // after an answer, and when it comes into sight, it is drawn anew
    }
    if (patient) {
      this.ask(wanted, patient);
      return;
    }
    this.life.after('wish', REST_MS, () => {
      const now = this.selection && wantedCard(this.selection);
      if (now && this.asked === null && this.lookedAt && !this.model.trait('cards')[now.key]) {
        this.ask(now, false);
      }
    });
  }

  private ask({ key, record, sample }: Wanted, patient: boolean): void {
    this.asked = key;
    this.life.after('answer', ANSWER_WAIT_MS, () => this.answered());
    this.model.send({ type: 'card', record, sample, patient }, {});
  }

  private answered(): void {
    this.asked = null;
    this.life.cancel('answer');
    this.schedule();
  }
}

/** The card of the memory at the cursor; null: there is no memory. */
function wantedCard(selection: SelectionModel): Wanted | null {
  const shown = shownPart(selection);
  const part: ShownPart | null = shown && (partAt(selection, shown.entry.content) ?? shown);
  if (!part) {
    return null;
  }
  const sample = shownSample(selection, part);
  const record = part.place.index;
  const words = partWords(selection, part).slice(part.place.layer.label.length); // ", sample 1"
  return { key: `${record}/${sample}`, record, sample, title: `${part.entry.label}${words}` };
}
