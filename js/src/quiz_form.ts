/**
 * QuizForm: a question, a choice along each axis that is asked, and what is said of it.
 *
 * In: the traits, clicks and keys. Out: `chosen`, `attempts`, `revealed`, and the Selection at the answer or at the pick.
 * Nothing here waits for the kernel. Texts are plain text, never HTML.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { quizFormDefaults } from './generated/traits';
import type { QuizFormState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { QuizFieldControl } from './quiz_field';
import { isComplete, isRight, pickWords, resultSentence, rightPicks } from './quiz_words';
import type { Pick } from './quiz_words';
import { AXES } from './selection';
import type { SelectionModel } from './selection';

const HIDDEN = 'The view is hidden until you have checked your choice.';

export class QuizFormModel extends DrawnModel<QuizFormState> {
  static override serializers = {
    ...DrawnModel.serializers,
    selection: { deserialize: unpack_models },
    ahead: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...quizFormDefaults() };
  }

  /** Whether every axis has a choice. */
  get ready(): boolean {
    return isComplete(this.trait('fields'), this.trait('chosen'));
  }

  /** Chooses a position along one axis; null takes the choice back. Nothing is chosen any more once it is revealed. */
  choose(trait: string, position: number | null): void {
    if (this.trait('revealed')) {
      return;
    }
    const { [trait]: _before, ...chosen } = this.trait('chosen');
    this.tell({ chosen: position === null ? chosen : { ...chosen, [trait]: position } });
  }

  /** Compares, reveals, and goes to what was chosen if it is right, else to the answer. */
  check(): void {
    if (!this.ready || this.trait('revealed')) {
      return;
    }
    const chosen = this.trait('chosen');
    this.go(this.correct ? chosen : rightPicks(this.trait('fields'))[0]);
    this.tell({ revealed: true, attempts: [...this.trait('attempts'), chosen] });
  }

  /** Whether what is chosen is right. */
  get correct(): boolean {
    return isRight(this.trait('fields'), this.trait('chosen'));
  }

  /** Hides the view again, with nothing chosen. */
  tryAgain(): void {
    this.tell({ revealed: false, chosen: {} });
  }

  /** Moves the selection to the place that the question is about, with `pick` along the axes that are asked. */
  go(pick: Pick): void {
    const ahead = this.trait('ahead');
    const place = Object.fromEntries(AXES.map((axis) => [axis, ahead.get(axis) as number]));
    this.trait('selection').set({ ...place, ...pick });
  }

  /** Whether the selection is where `go(pick)` leads. */
  isAt(pick: Pick): boolean {
    const selection = this.trait('selection');
    return Object.entries(pick).every(([trait, position]) => selection.get(trait) === position);
  }

  private tell(state: Partial<QuizFormState>): void {
    this.set(state);
    this.save_changes();
  }
}

export class QuizFormView extends DrawnView<QuizFormState> {
  declare model: QuizFormModel;
  private question!: HTMLDivElement;
  private choices!: HTMLDivElement;
  private checkButton!: HTMLButtonElement;
  private againButton!: HTMLButtonElement;
  private hint!: HTMLDetailsElement;
  private hintText!: HTMLDivElement;
  private result!: HTMLDivElement;
  private places!: HTMLDivElement;
  private explanation!: HTMLDivElement;
  private veil!: HTMLDivElement;
  private controls: QuizFieldControl[] = [];
  private builtFor: unknown = null; // the fields that `controls` are of
  private placesFor = ''; // what the buttons in `places` were made for

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  protected build(): void {
    this.el.classList.add('memviz-quiz-form');
    this.question = element('div', 'memviz-quiz-question');
    this.question.id = `memviz-quiz-${this.cid}`;
    this.el.setAttribute('role', 'group');
    this.el.setAttribute('aria-labelledby', this.question.id);
    this.choices = element('div', 'memviz-quiz-fields');
    this.result = element('div', 'memviz-quiz-result');
    this.result.setAttribute('role', 'status');
    this.places = element('div', 'memviz-quiz-places');
    this.places.setAttribute('role', 'group');
    this.places.setAttribute('aria-label', 'what the view shows');
    this.explanation = element('div', 'memviz-quiz-explanation');
    this.veil = element('div', 'memviz-quiz-veil');
    this.veil.append(element('span', 'memviz-quiz-veil-text', HIDDEN));
    this.el.append(this.question, this.choices, this.buildActions(), this.result, this.places, this.explanation, this.veil);
    keepKeys(this.el, this.life);
    this.listenTo(this.model, 'change', () => this.schedule());
  }

  private buildActions(): HTMLElement {
    const row = element('div', 'memviz-quiz-actions');
    this.checkButton = this.button('check', () => this.check());
    this.checkButton.classList.add('memviz-quiz-check');
    this.againButton = this.button('try again', () => {
      this.model.tryAgain();
      this.draw();
      this.controls[0]?.focus();
    });
    this.hint = element('details', 'memviz-quiz-hint');
    this.hintText = element('div', 'memviz-quiz-hint-text');
    this.hint.append(element('summary', '', 'hint'), this.hintText);
    row.append(this.checkButton, this.againButton, this.hint);
    return row;
  }

  private button(text: string, work: () => void): HTMLButtonElement {
    const button = element('button', 'memviz-button memviz-quiz-button', text);
    button.type = 'button';
    this.life.on(button, 'click', work);
    return button;
  }

  protected follow(): void {
    this.life.follow(this.selection, 'change place', () => this.schedule());
  }

  protected draw(): void {
    const { model } = this;
    const [revealed, chosen] = [model.trait('revealed'), model.trait('chosen')];
    setText(this.question, model.trait('question'));
    this.buildControls();
    this.controls.forEach((control, i) => control.draw(chosen[model.trait('fields')[i].trait], revealed));
    this.checkButton.hidden = revealed;
    this.checkButton.disabled = !model.ready;
    this.againButton.hidden = !revealed;
    this.hint.hidden = !model.trait('hint');
    setText(this.hintText, model.trait('hint'));
    this.drawResult(revealed);
    this.explanation.hidden = !revealed || !model.trait('explanation');
    setText(this.explanation, revealed ? model.trait('explanation') : '');
    this.veil.hidden = revealed;
  }

  private drawResult(revealed: boolean): void {
    const { model } = this;
    const [fields, chosen, attempts] = [model.trait('fields'), model.trait('chosen'), model.trait('attempts')];
    this.result.dataset.correct = revealed ? String(model.correct) : '';
    setText(this.result, revealed && model.ready ? resultSentence(fields, chosen, attempts.length) : '');
    const picks = rightPicks(fields);
    const wrong = revealed && model.ready && !model.correct;
    this.places.hidden = !wrong && !(revealed && picks.length > 1);
    if (!this.places.hidden) {
      this.drawPlaces(wrong ? [chosen, ...picks] : picks, wrong);
    }
  }

  /** A button for the student's pick, when it is wrong, and for each answer: the one that is shown is pressed. */
  private drawPlaces(picks: Pick[], wrong: boolean): void {
    const fields = this.model.trait('fields');
    const wanted = JSON.stringify([picks, wrong]);
    if (this.placesFor !== wanted) {
      this.placesFor = wanted;
      const buttons = picks.map((pick, i) => {
        const what = wrong && i === 0 ? 'your pick' : picks.length - Number(wrong) > 1 ? 'an answer' : 'the answer';
        return this.button(`${what}: ${pickWords(fields, pick)}`, () => this.model.go(pick));
      });
      this.places.replaceChildren(...buttons);
    }
    [...this.places.children].forEach((button, i) => {
      button.setAttribute('aria-pressed', String(this.model.isAt(picks[i])));
    });
  }

  private buildControls(): void {
    const fields = this.model.trait('fields');
    if (this.builtFor !== fields) {
      this.builtFor = fields;
      this.controls = fields.map(
        (field) =>
          new QuizFieldControl(
            field,
            `memviz-quiz-${this.cid}-${field.trait}`,
            this.life,
            (position) => this.choose(field.trait, position),
            () => this.check(),
          ),
      );
      this.choices.replaceChildren(...this.controls.map(({ el }) => el));
    }
  }

  private choose(trait: string, position: number | null): void {
    this.model.choose(trait, position);
    this.draw(); // at once: the next click may be on "check"
  }

  private check(): void {
    if (this.model.ready) {
      this.model.check();
      this.draw();
      this.againButton.focus(); // the button that had the focus is gone
    }
  }
}
