/**
 * UnitText: the text as text. The background of each token is the value of the selected unit at that step.
 *
 * In: Selection. Out: the timestep of the Selection, set by click or Enter; hover and focus only look. Of a long text
 * the part around the cursor is shown. What `selection.lit` names, the steps that wrote something, is underlined.
 */

import { unpack_models } from '@jupyter-widgets/base';

import type { Catalog, PageKind } from './catalog';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { unitTextDefaults } from './generated/traits';
import type { UnitTextState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { memoryAbsence } from './memory_place';
import { countText, shareText } from './number_text';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';
import { frameWords, selectIn, shownPart, shownSample, shownUnit } from './shown_unit';
import type { ShownPart } from './shown_unit';
import { TokenList } from './token_list';
import { positionWords, tokenText } from './token_texts';
import { shadesOf, unitValues, valueWords, valuesRefusal } from './unit_text_values';
import type { Shades, UnitValues } from './unit_text_values';

/** Tokens in the page at once: more elements than this would not scroll. */
export const TOKENS_AT_ONCE = 2048;
const NO_TEXTS =
  'No text to colour: this recording has no tokens that fit its timesteps. Give them when you record: tokens=["the", ' +
  '"cat", ...], one per timestep, or tokens=(tokenizer, ids).';

/** What is shown: the values once they are here, and how they become shades. */
interface Reading {
  part: ShownPart;
  values: UnitValues;
  shades: Shades;
}

export class UnitTextModel extends DrawnModel<UnitTextState> {
  static override serializers = { ...DrawnModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...unitTextDefaults() };
  }
}

export class UnitTextView extends DrawnView<UnitTextState> {
  private legend!: HTMLDivElement;
  private readout!: HTMLDivElement;
  private body!: HTMLDivElement;
  private list!: TokenList;
  private reading: Reading | null = null;
  private texts: (string | null)[] = [];
  private underlined: readonly number[] | null = null; // the shares that the tokens have
  private first = 0; // the timestep of the first token in the page
  private listed: { catalog: Catalog | null; name: string } = { catalog: null, name: '' };

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  protected build(): void {
    this.el.classList.add('memviz-tokens', 'memviz-unit-text');
    this.legend = element('div', 'memviz-unit-text-legend memviz-note');
    this.readout = element('div', 'memviz-unit-text-readout');
    this.readout.setAttribute('aria-live', 'polite');
    this.body = element('div', 'memviz-tokens-body');
    this.list = new TokenList(this.life, {
      look: () => this.schedule(),
      pin: (index) => this.pinStep(this.first + index),
      describe: (index) => this.describe(this.first + index),
    });
    this.body.append(this.list.el);
    this.el.append(this.legend, this.body, this.readout);
    keepKeys(this.el, this.life);
  }

  protected follow(): void {
    const { selection } = this;
    this.life.follow(selection, 'change place', () => this.schedule());
    this.life.follow(selection?.store, 'change:catalog', () => this.schedule());
    this.life.follow(selection?.store, 'pages', (record: number, kind: PageKind) => {
      if ((kind === 'series' || kind === 'time') && selection && record === shownPart(selection)?.place.index) {
        this.schedule();
      }
    });
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  protected draw(): void {
    const { selection } = this;
    const part = selection && shownPart(selection);
    if (!selection || !part) {
      this.say(selection ? memoryAbsence(selection.store.catalog, selection) : '');
    } else if (!hasTexts(selection, part)) {
      this.say(NO_TEXTS);
    } else if (!shownUnit(selection, part)) {
      this.say(`${part.place.layer.label} has no units over time.`);
    } else {
      this.drawText(selection, part);
    }
  }

  private say(message: string): void {
    this.reading = null;
    this.body.hidden = this.readout.hidden = true;
    this.el.dataset.state = 'message';
    setText(this.legend, message);
  }

  private drawText(selection: SelectionModel, part: ShownPart): void {
    const values = unitValues(selection, part);
    const refusal = values ? '' : valuesRefusal(selection, part);
    this.el.dataset.state = values ? 'ready' : refusal ? 'message' : 'loading';
    this.body.hidden = this.readout.hidden = false;
    const steps = stepsOf(part);
    const time = indexAlong(selection, 'time', steps);
    this.listTexts(selection, part, Math.floor(time / TOKENS_AT_ONCE) * TOKENS_AT_ONCE);
    this.list.pin(time - this.first, this.body);
    this.reading = values && readingOf(part, values);
    this.list.shade(this.reading && windowed(this.reading.shades, this.first, this.texts.length));
    this.underline(litOf(selection));
    if (values || refusal) {
      setText(this.legend, refusal || this.legendText(selection, part));
    }
    const looked = this.list.looked;
    setText(this.readout, this.describe(looked === null ? time : this.first + looked));
  }

  /** New elements only for new texts. */
  private listTexts(selection: SelectionModel, part: ShownPart, first: number): void {
    const { catalog } = selection.store;
    const sample = shownSample(selection, part);
    const steps = stepsOf(part);
    const name = JSON.stringify([part.frames.tokens, sample, first, steps]);
    if (catalog === this.listed.catalog && name === this.listed.name) {
      return;
    }
    this.listed = { catalog, name };
    this.first = first;
    const length = Math.min(TOKENS_AT_ONCE, steps - first);
    this.texts = Array.from({ length }, (_, i) => tokenText(catalog, part.frames.tokens, sample, first + i));
    this.list.show(this.texts, 'tokens by timestep');
    this.underlined = null;
  }

  private underline(lit: readonly number[]): void {
    if (lit === this.underlined) {
      return;
    }
    this.underlined = lit;
    const largest = lit.reduce((most, share) => Math.max(most, share), 0);
    this.list.el.querySelectorAll<HTMLElement>('.memviz-token').forEach((token, index) => {
      const share = largest > 0 ? (lit[this.first + index] ?? 0) / largest : 0;
      const shown = share > 0 ? share.toFixed(3) : '';
      if (token.style.getPropertyValue('--memviz-lit') !== shown) {
        token.style.setProperty('--memviz-lit', shown);
      }
    });
  }

  /** "unit 17 of 512, cell of enc l0, sample 0: background = tanh(c), from −1 to 1; blue above 0, orange below" */
  private legendText(selection: SelectionModel, part: ShownPart): string {
    const unit = shownUnit(selection, part);
    const { shades, values } = this.reading as Reading;
    const which = `${unit?.dim} ${unit?.index} of ${countText(unit?.count ?? 0)}, ${frameWords(selection, part)}`;
    const pooled = values.pool > 1 ? `; 1 of ${countText(values.pool)} steps shown: the ${values.mean ? 'mean' : 'largest |value|'}` : '';
    const steps = stepsOf(part);
    const last = this.first + this.texts.length - 1;
    const cut = steps > TOKENS_AT_ONCE ? `; steps ${countText(this.first)} to ${countText(last)} of ${countText(steps)}` : '';
    const lit = litOf(selection).some((share) => share > 0) ? '; underlined: the steps that wrote what was clicked' : '';
    return `${which}: ${shades.words}${pooled}${cut}${lit}`;
  }

  // -------------------------------------------------------------------------------------------------------- events

  /** 'step 3 “the”: 0.8123', and the share that it wrote of what was clicked. */
  private describe(step: number): string {
    const { selection, reading } = this;
    if (!selection || !reading) {
      return '';
    }
    const { part, values } = reading;
    const text = this.texts[step - this.first] ?? null;
    const share = litOf(selection)[step] ?? 0;
    const wrote = share > 0 ? `; wrote ${shareText(share)} of what was clicked` : '';
    const value = valueWords(values.values[step] ?? NaN, part.place.layer.kind, values.exact);
    return `${positionWords('step', step, text)}: ${value}${wrote}`;
  }

  private pinStep(step: number): void {
    const part = this.selection && shownPart(this.selection);
    if (this.selection && part) {
      selectIn(this.selection, part, { time: step });
    }
  }
}

function readingOf(part: ShownPart, values: UnitValues): Reading {
  return { part, values, shades: shadesOf(values.values, part.place.layer.kind, part.frames.pinned) };
}

/** The shades of the tokens that are in the page. */
function windowed({ line }: Shades, first: number, count: number): Shades['line'] {
  const [weights, empty] = [line.weights.subarray(first, first + count), line.empty.subarray(first, first + count)];
  return { ...line, weights, empty };
}

function hasTexts(selection: SelectionModel, { frames }: ShownPart): boolean {
  return Boolean(selection.store.catalog.tokens[frames.tokens.sequence]);
}

function stepsOf({ place, frames }: ShownPart): number {
  return place.record.extents.time ?? frames.time?.full_cols ?? 1;
}

/** The share of each timestep in what was clicked; [] = nothing was. */
function litOf(selection: SelectionModel): readonly number[] {
  return selection.trait('lit') as number[];
}
