/**
 * The choice along one axis of a quiz: a button per position, a list where there are many, a number field where they have
 * no names.
 *
 * In: a field, and what is chosen. Out: `choose` is called with a position, null while there is none. It knows no model.
 */

import { element, setText } from './drawn_view';
import type { QuizField } from './generated/catalog';
import type { Lifetime } from './lifetime';
import { countText } from './number_text';
import { optionText } from './quiz_words';

/** Options that stand in the page as buttons; more become a list. */
export const MOST_BUTTONS = 12;

export class QuizFieldControl {
  readonly el = element('fieldset', 'memviz-quiz-field');
  private readonly radios: HTMLInputElement[] = [];
  private select: HTMLSelectElement | null = null;
  private number: HTMLInputElement | null = null;
  private note: HTMLElement | null = null;

  /** `group`: a name that no other control in the page has. `submit`: Enter was pressed. */
  constructor(
    private readonly field: QuizField,
    group: string,
    private readonly life: Lifetime,
    private readonly choose: (position: number | null) => void,
    private readonly submit: () => void,
  ) {
    this.el.append(element('legend', 'memviz-quiz-legend', `Which ${field.name}?`));
    if (field.options.length === 0) {
      this.buildNumber(group);
    } else if (field.options.length <= MOST_BUTTONS) {
      this.buildButtons(group);
    } else {
      this.buildList();
    }
    life.on(this.el, 'keydown', (event) => this.pressed(event));
  }

  /** Shows what is chosen; undefined = nothing. */
  draw(chosen: number | undefined, disabled: boolean): void {
    this.el.disabled = disabled;
    for (const radio of this.radios) {
      radio.checked = Number(radio.value) === chosen;
    }
    if (this.select) {
      this.select.value = chosen === undefined ? '' : String(chosen);
    }
    if (this.number && (chosen !== undefined || disabled || this.typed() !== null)) {
      this.number.value = chosen === undefined ? '' : String(chosen); // what is no position yet is being typed
    }
    this.drawNote();
  }

  focus(): void {
    const chosen = this.radios.find((radio) => radio.checked) ?? this.radios[0];
    (chosen ?? this.select ?? this.number)?.focus();
  }

  private buildButtons(group: string): void {
    const row = element('div', 'memviz-quiz-options');
    for (const position of this.field.options) {
      const label = element('label', 'memviz-quiz-option');
      const radio = element('input', 'memviz-quiz-radio');
      Object.assign(radio, { type: 'radio', name: group, value: String(position) });
      label.append(radio, element('span', 'memviz-quiz-text', optionText(this.field, position)));
      this.radios.push(radio);
      row.append(label);
    }
    this.life.on(row, 'change', (event) => this.choose(Number((event.target as HTMLInputElement).value)));
    this.el.append(row);
  }

  private buildList(): void {
    const option = (value: string, text: string) => Object.assign(element('option', '', text), { value });
    const list = element('select', 'memviz-quiz-list');
    list.setAttribute('aria-label', this.field.name);
    const options = this.field.options.map((position) => option(String(position), optionText(this.field, position)));
    list.append(option('', `choose a ${this.field.name}`), ...options);
    this.life.on(list, 'change', () => this.choose(list.value === '' ? null : Number(list.value)));
    this.select = list;
    this.el.append(list);
  }

  private buildNumber(group: string): void {
    const last = this.field.size - 1;
    const input = element('input', 'memviz-quiz-number');
    Object.assign(input, { type: 'number', min: '0', max: String(last), step: '1', inputMode: 'numeric' });
    input.setAttribute('aria-label', this.field.name);
    this.note = element('span', 'memviz-note', '');
    this.note.id = `${group}-range`;
    input.setAttribute('aria-describedby', this.note.id);
    this.life.on(input, 'input', () => {
      this.choose(this.typed());
      this.drawNote(); // from one that is no position to another nothing changes that would be drawn
    });
    this.number = input;
    this.el.append(input, this.note);
  }

  /** The position that is typed; null: none, or one that does not exist. */
  private typed(): number | null {
    const text = this.number?.value.trim() ?? '';
    const position = Number(text);
    const exists = text !== '' && Number.isInteger(position) && position >= 0 && position < this.field.size;
    return exists ? position : null;
  }

  private drawNote(): void {
    if (this.number && this.note) {
      const wrong = this.typed() === null && (this.number.value !== '' || this.number.validity.badInput);
      this.number.setAttribute('aria-invalid', String(wrong));
      setText(this.note, `${wrong ? 'a whole number from ' : ''}0 to ${countText(this.field.size - 1)}`);
    }
  }

  private pressed(event: KeyboardEvent): void {
    const host = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey;
    if (event.key === 'Enter' && !host && !(event.target instanceof HTMLSelectElement)) {
      this.submit();
      event.preventDefault();
      event.stopPropagation();
    }
  }
}
