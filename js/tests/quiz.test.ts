import type { WidgetModel } from '@jupyter-widgets/base';
import { DOMWidgetModel, DOMWidgetView } from '@jupyter-widgets/base';
import { beforeEach, expect, it } from 'vitest';

import { QuizModel, QuizView } from '../src/quiz';
import { QuizFormView } from '../src/quiz_form';
import { make } from './models';
import { shown } from './page';
import { form } from './quiz_world';

beforeEach(() => document.body.replaceChildren());

/** The box around a form and a hidden view, its children made as the manager makes them. */
async function quiz(state: object = {}) {
  const asked = form(undefined, state);
  const hidden = make(DOMWidgetModel as never, {}) as WidgetModel;
  const model = make(QuizModel, { form: asked.model, view: hidden, children: [] });
  const view = shown(QuizView, model);
  view.create_child_view = (async (child: WidgetModel) => {
    const made = new (child === asked.model ? QuizFormView : DOMWidgetView)({ model: child, options: {} } as never);
    made.render();
    return made;
  }) as never;
  for (const child of [asked.model, hidden]) {
    await view.add_child_model(child);
  }
  const [formEl, viewEl] = [...view.el.children] as HTMLElement[];
  const veiled = () => [viewEl.hasAttribute('inert'), viewEl.getAttribute('aria-hidden'), viewEl.className.includes('veiled')];
  return { ...asked, model, view, formEl, viewEl, veiled, form: asked.model };
}

const HIDDEN = [true, 'true', true];
const SHOWN = [false, null, false];

it('hides the view from eye, pointer, keyboard and screen reader, and nothing of the form', async () => {
  const { veiled, formEl } = await quiz();
  expect(veiled()).toEqual(HIDDEN);
  expect([formEl.hasAttribute('inert'), formEl.className.includes('memviz-quiz-form')]).toEqual([false, true]);
});

it('shows it once the choice was checked, and hides it again', async () => {
  const { veiled, form } = await quiz();
  form.choose('channel', 0);
  expect(veiled()).toEqual(HIDDEN);
  form.check();
  expect(veiled()).toEqual(SHOWN);
  form.tryAgain();
  expect(veiled()).toEqual(HIDDEN);
});

it('opens as it was left', async () => {
  const { veiled } = await quiz({ revealed: true, chosen: { channel: 2 } });
  expect(veiled()).toEqual(SHOWN);
});

it('stops listening when it is gone', async () => {
  const { view, viewEl, form } = await quiz();
  view.remove();
  form.choose('channel', 0);
  form.check();
  expect(viewEl.hasAttribute('inert')).toBe(true);
});
