import { beforeEach, describe, expect, it, vi } from 'vitest';

import { SaveMenuModel, SaveMenuView } from '../src/save_menu';
import { FakeComm, catalogOf, imageRecord, listenerCount, make, world } from './models';
import { all, nextFrame, press, shown, texts } from './page';

beforeEach(() => document.body.replaceChildren());

function menu(state: object = {}, live = true) {
  const { selection } = world(catalogOf(imageRecord(1, 2)), undefined);
  const comm = new FakeComm();
  const model = make(SaveMenuModel, { selection, forms: ['html', 'png'], ...state }, live ? comm : undefined);
  vi.spyOn(model, 'comm_live', 'get').mockReturnValue(live);
  const view = shown(SaveMenuView, model);
  const el = view.el as HTMLElement;
  const button = el.querySelector<HTMLButtonElement>('.memviz-save-button')!;
  return { model, view, comm, el, button, list: el.querySelector<HTMLElement>('[role=menu]')! };
}

describe('the menu', () => {
  it('opens with a click, has a form per line, and asks the kernel for the one that is chosen', () => {
    const { el, button, list, comm } = menu();
    expect([list.hidden, button.getAttribute('aria-expanded')]).toEqual([true, 'false']);
    button.click();
    expect([list.hidden, button.getAttribute('aria-expanded')]).toEqual([false, 'true']);
    expect(texts(el, '[role=menuitem]')).toEqual(['Page (.html)', 'Picture (.png)']);
    all(el, '[data-form=png]')[0].click();
    expect(comm.custom).toEqual([{ type: 'save', form: 'png' }]);
    expect([list.hidden, button.disabled, texts(el, '.memviz-save-said')]).toEqual([true, true, ['saving …']]);
  });

  it('shows only what can be made', () => {
    expect(texts(menu({ forms: ['png'] }).el, '[role=menuitem]')).toEqual(['Picture (.png)']);
  });

  it('is used with the keyboard: down opens, arrows go round, Escape gives the focus back', () => {
    const { el, button, list } = menu();
    const items = all(el, '[role=menuitem]');
    button.focus();
    press(button, 'ArrowDown');
    expect([list.hidden, document.activeElement]).toEqual([false, items[0]]);
    press(items[0], 'ArrowDown');
    expect(document.activeElement).toBe(items[1]);
    press(items[1], 'ArrowDown');
    expect(document.activeElement).toBe(items[0]);
    press(items[0], 'ArrowUp');
    expect(document.activeElement).toBe(items[1]);
    press(items[1], 'Escape');
    expect([list.hidden, document.activeElement]).toEqual([true, button]);
  });

  it('closes when the focus goes elsewhere', () => {
    const { el, button, list } = menu();
    button.click();
    const outside = document.body.appendChild(document.createElement('button'));
    all(el, '[role=menuitem]')[0].dispatchEvent(new FocusEvent('focusout', { bubbles: true, relatedTarget: outside }));
    expect(list.hidden).toBe(true);
  });
});

describe('the answer', () => {
  it('is text, and can be asked for again', async () => {
    const { el, button, model } = menu();
    button.click();
    all(el, '[data-form=html]')[0].click();
    model.set({ said: 'saved <img src=x>.html (2.1 MiB)', failed: false, answers: 1 });
    await nextFrame();
    expect([texts(el, '.memviz-save-said'), el.querySelector('img'), button.disabled]).toEqual([
      ['saved <img src=x>.html (2.1 MiB)'],
      null,
      false,
    ]);
  });

  it('looks like an error where it is one, also the second time with the same words', async () => {
    const { el, button, model } = menu();
    for (const answers of [1, 2]) {
      button.click();
      all(el, '[data-form=png]')[0].click();
      expect(el.querySelector('.memviz-save-failed')).toBeNull();
      model.set({ said: 'SaveError: no room', failed: true, answers });
      await nextFrame();
      expect([texts(el, '.memviz-save-failed'), button.disabled]).toEqual([['SaveError: no room'], false]);
    }
  });
});

it('says why nothing can be saved without a kernel', () => {
  const { button, list, comm } = menu({}, false);
  expect([button.disabled, button.title]).toEqual([true, 'saving needs a running kernel: run the notebook']);
  press(button, 'ArrowDown');
  expect([list.hidden, comm.custom]).toEqual([true, []]);
});

it('does not wait for a kernel that is gone', async () => {
  const { el, button, model } = menu();
  button.click();
  all(el, '[data-form=png]')[0].click();
  vi.spyOn(model, 'comm_live', 'get').mockReturnValue(false);
  model.trigger('comm_live_update');
  await nextFrame();
  expect([texts(el, '.memviz-save-said'), button.disabled]).toEqual([[''], true]);
});

it('leaves no listener behind', () => {
  const { view, model } = menu();
  const before = listenerCount(model);
  view.remove();
  expect(listenerCount(model)).toBeLessThan(before);
});
