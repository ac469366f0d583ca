/**
 * RecallControls: starts and stops the measuring of recall, and says how far it is.
 *
 * In: the state, set by the kernel. Out: the messages "run" and "stop". Text is never HTML.
 */

import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { recallControlsDefaults } from './generated/traits';
import type { RecallControlsState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { countText } from './number_text';
import type { SelectionModel } from './selection';

const NO_KERNEL = 'there is no kernel that could measure';

export class RecallControlsModel extends DrawnModel<RecallControlsState> {
  override defaults() {
    return { ...super.defaults(), ...recallControlsDefaults() };
  }
}

export class RecallControlsView extends DrawnView<RecallControlsState> {
  private heading!: HTMLDivElement;
  private button!: HTMLButtonElement;
  private bar!: HTMLProgressElement;
  private progress!: HTMLSpanElement;
  private problem!: HTMLDivElement;
  private pressed = false; // the kernel was asked and has not answered

  protected get selection(): SelectionModel | null {
    return null;
  }

  protected build(): void {
    this.el.classList.add('memviz-recall-controls');
    this.heading = element('div', 'memviz-recall-task');
    const line = element('div', 'memviz-recall-line');
    this.button = element('button', 'memviz-button memviz-recall-button');
    this.button.type = 'button';
    this.bar = element('progress', 'memviz-recall-bar');
    this.bar.max = 1000;
    this.bar.setAttribute('aria-label', 'measured');
    this.progress = element('span', 'memviz-recall-progress');
    this.progress.setAttribute('role', 'status');
    this.problem = element('div', 'memviz-record-problem');
    this.problem.setAttribute('role', 'alert');
    line.append(this.button, this.bar, this.progress);
    this.el.append(this.heading, line, this.problem);
    this.life.on(this.button, 'click', () => this.press());
    keepKeys(this.el, this.life);
    this.listenTo(this.model, 'change:state', () => (this.pressed = false));
    this.listenTo(this.model, 'change comm_live_update', () => this.schedule());
  }

  protected follow(): void {}

  protected draw(): void {
    const { state, failed, total, done, share, title, problem } = this.model.attributes as RecallControlsState;
    const nothingLeft = state === 'done' && failed === 0;
    const live = this.model.comm_live === true;
    setText(this.heading, title);
    setText(this.button, buttonText(this.model.attributes as RecallControlsState));
    this.button.hidden = nothingLeft;
    this.button.disabled = this.pressed || !live;
    this.button.title = live ? '' : NO_KERNEL;
    this.bar.value = share;
    this.bar.hidden = state === 'ready' || nothingLeft;
    setText(this.progress, progressText(this.model.attributes as RecallControlsState));
    setText(this.problem, problem);
    this.problem.hidden = problem === '';
    Object.assign(this.el.dataset, { state, done: String(done), total: String(total) });
  }

  protected override report(error: unknown): void {
    this.model.set('problem', String(error));
  }

  private press(): void {
    this.pressed = true;
    this.model.send({ type: this.model.trait('state') === 'running' ? 'stop' : 'run' }, {});
    this.schedule();
  }
}

function buttonText({ state, failed }: RecallControlsState): string {
  if (state === 'running') {
    return 'Stop';
  }
  return state === 'ready' ? 'Run' : state === 'stopped' ? 'Continue' : failed > 0 ? 'Try the failed points again' : '';
}

/** "4 of 12 points; now lstm at delay 20". */
function progressText({ state, done, total, doing, failed }: RecallControlsState): string {
  const lost = failed > 0 ? `, ${countText(failed)} of them failed` : '';
  const points = `${countText(done)} of ${countText(total)} points${lost}`;
  switch (state) {
    case 'ready':
      return `not measured yet: ${countText(total)} points`;
    case 'running':
      return `${points}${doing && `; now ${doing}`}`;
    case 'stopped':
      return `stopped after ${points}`;
    default:
      return `${countText(total)} points measured${lost}`;
  }
}
