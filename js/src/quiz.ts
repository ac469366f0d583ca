/**
 * Quiz: a box of a question and a view that is hidden until the question was answered.
 *
 * In: `revealed` of the form. Out: the view under a veil: laid out and drawn, but neither seen, pointed at, focused,
 * found nor spoken.
 */

import { unpack_models } from '@jupyter-widgets/base';
import type { DOMWidgetView, WidgetModel } from '@jupyter-widgets/base';
import { VBoxModel, VBoxView } from '@jupyter-widgets/controls';

import { quizDefaults } from './generated/traits';
import type { QuizState } from './generated/traits';
import { injectStyle } from './style';

export class QuizModel extends VBoxModel {
  static override serializers = {
    ...VBoxModel.serializers,
    form: { deserialize: unpack_models },
    view: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...quizDefaults() };
  }

  trait<K extends keyof QuizState>(name: K): QuizState[K] {
    return this.get(name) as QuizState[K];
  }
}

export class QuizView extends VBoxView {
  declare model: QuizModel;
  private readonly hidden = new Set<HTMLElement>(); // what is under the veil, when there is one

  override render(): void {
    injectStyle(document);
    super.render();
    this.el.classList.add('memviz-quiz');
    this.listenTo(this.model.trait('form'), 'change:revealed', () => this.drawVeil());
  }

  override async add_child_model(model: WidgetModel): Promise<DOMWidgetView> {
    const view = await super.add_child_model(model);
    if (model !== this.model.trait('form')) {
      this.hidden.add(view.el);
      this.drawVeil();
    }
    return view;
  }

  private drawVeil(): void {
    const veiled = !this.model.trait('form').trait('revealed');
    for (const el of this.hidden) {
      el.classList.toggle('memviz-quiz-veiled', veiled);
      el.toggleAttribute('inert', veiled);
      if (veiled) {
        el.setAttribute('aria-hidden', 'true');
      } else {
        el.removeAttribute('aria-hidden');
      }
    }
  }
}
