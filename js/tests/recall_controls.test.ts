import { beforeEach, describe, expect, it, vi } from 'vitest';

import { RecallControlsModel, RecallControlsView } from '../src/recall_controls';
import { FakeComm, make } from './models';
import { nextFrame, shown, texts } from './page';

beforeEach(() => document.body.replaceChildren());

function controls(state: object = {}, comm?: FakeComm) {
  const model = make(RecallControlsModel, { title: 'DelayedRecall(delay=3)', total: 12, ...state }, comm);
  if (comm) {
    vi.spyOn(model, 'comm_live', 'get').mockReturnValue(true);
  }
  const el = shown(RecallControlsView, model).el as HTMLElement;
  const button = el.querySelector('button')!;
  return { model, el, button, said: () => texts(el, '.memviz-recall-progress')[0] };
}

describe('the button', () => {
  it('runs, and stops what runs', async () => {
    const comm = new FakeComm();
    const { model, button } = controls({}, comm);
    expect(button.textContent).toBe('Run');
    button.click();
    await nextFrame();
    expect(button.disabled).toBe(true); // until the kernel answers
    model.set('state', 'running');
    await nextFrame();
    expect([button.textContent, button.disabled]).toEqual(['Stop', false]);
    button.click();
    expect(comm.custom).toEqual([{ type: 'run' }, { type: 'stop' }]);
  });

  it('goes on after a stop, and is gone when all was measured', async () => {
    const { model, button } = controls({ state: 'stopped', done: 3 }, new FakeComm());
    expect(button.textContent).toBe('Continue');
    model.set({ state: 'done', done: 12 });
    await nextFrame();
    expect(button.hidden).toBe(true);
  });

  it('tries failed points again', () => {
    const { button } = controls({ state: 'done', done: 12, failed: 2 }, new FakeComm());
    expect([button.hidden, button.textContent]).toEqual([false, 'Try the failed points again']);
  });

  it('does nothing without a kernel, and says why', () => {
    const { button } = controls();
    expect([button.disabled, button.title]).toEqual([true, 'there is no kernel that could measure']);
  });
});

describe('the sentence', () => {
  it.each([
    [{ state: 'ready' }, 'not measured yet: 12 points'],
    [{ state: 'running', done: 4, doing: 'lstm at delay 20' }, '4 of 12 points; now lstm at delay 20'],
    [{ state: 'stopped', done: 4, failed: 1 }, 'stopped after 4 of 12 points, 1 of them failed'],
    [{ state: 'done', done: 12 }, '12 points measured'],
  ])('of %o', (state, text) => {
    expect(controls(state).said()).toBe(text);
  });

  it('of a problem is text, never HTML', () => {
    const { el } = controls({ problem: '<img src=x>' });
    expect([el.querySelector('img'), texts(el, '.memviz-record-problem')]).toEqual([null, ['<img src=x>']]);
  });
});

it('has a bar from the first chunk to the last', async () => {
  const { model, el } = controls();
  const bar = el.querySelector('progress')!;
  expect(bar.hidden).toBe(true);
  model.set({ state: 'running', share: 250 });
  await nextFrame();
  expect([bar.hidden, bar.value, bar.max]).toEqual([false, 250, 1000]);
});
