import { beforeEach, describe, expect, it, vi } from 'vitest';

import { isolated } from '../src/token_texts';
import { FakeComm, listenerCount } from './models';
import { all, nextFrame, press, shown, texts } from './page';
import { QuizFormView } from '../src/quiz_form';
import { LAYER, field, form } from './quiz_world';

beforeEach(() => document.body.replaceChildren());

const radios = (el: HTMLElement) => all(el, 'input[type=radio]') as HTMLInputElement[];
const button = (el: HTMLElement, text: string) =>
  all(el, 'button').find((found) => found.textContent!.startsWith(text)) as HTMLButtonElement;
const number = (el: HTMLElement) => el.querySelector<HTMLInputElement>('input[type=number]')!;
const plain = (text: string | null) => (text ?? '').replace(/[\u2068\u2069]/g, '');
const result = (el: HTMLElement) => plain(texts(el, '.memviz-quiz-result')[0]);
const visible = (el: HTMLElement, selector: string) => all(el, selector).filter(({ hidden }) => !hidden).length;

async function type(el: HTMLElement, text: string) {
  number(el).value = text;
  number(el).dispatchEvent(new Event('input'));
  await nextFrame();
}

describe('the question', () => {
  it('is text, never HTML, and names the group', () => {
    const evil = '<img src=x onerror=alert(1)>\nline two';
    const { el } = form([field('channel', [2], { texts: { 0: evil } })], { question: evil, hint: evil });
    expect([el.querySelector('img'), texts(el, '.memviz-quiz-question')]).toEqual([null, [evil]]);
    const named = el.querySelector(`#${el.getAttribute('aria-labelledby')}`)!;
    expect([named.textContent, el.getAttribute('role')]).toEqual([evil, 'group']);
  });

  it('keeps answer and explanation out of the page until it is checked', async () => {
    const { el } = form([field('channel', [2])], { explanation: 'secret reason' });
    expect(el.textContent).not.toContain('secret reason');
    expect(result(el)).toBe('');
    radios(el)[2].click();
    button(el, 'check').click();
    expect(texts(el, '.memviz-quiz-explanation')).toEqual(['secret reason']);
  });

  it('has a hint only where there is one', () => {
    expect(visible(form().el, '.memviz-quiz-hint')).toBe(1);
    expect(visible(form([LAYER], { hint: '' }).el, '.memviz-quiz-hint')).toBe(0);
  });
});

describe('a choice', () => {
  it('is a button for each of few positions, in a named group', async () => {
    const { el, model } = form([LAYER, field('channel', [2])]);
    expect(texts(el, 'legend')).toEqual(['Which layer?', 'Which channel?']);
    expect(texts(el, '.memviz-quiz-text')).toEqual(['a', 'b', 'c', '0', '1', '2', '3']);
    expect(new Set(radios(el).map(({ name }) => name)).size).toBe(2);
    radios(el)[1].click();
    await nextFrame();
    expect([model.get('chosen'), button(el, 'check').disabled]).toEqual([{ layer: 1 }, true]);
    radios(el)[6].click();
    await nextFrame();
    expect([model.get('chosen'), button(el, 'check').disabled]).toEqual([{ layer: 1, channel: 3 }, false]);
  });

  it('names tokens beside their position', () => {
    const { el } = form([field('key', [1], { options: [0, 1], texts: { 0: 'the', 1: ' ' } })]);
    expect(texts(el, '.memviz-quiz-text').map(plain)).toEqual(['0 “the”', '1 “␣”']);
  });

  it('is a list where there are many', async () => {
    const options = Array.from({ length: 13 }, (_, i) => i);
    const { el, model } = form([field('time', [12], { name: 'timestep', options, size: 13 })]);
    const list = el.querySelector('select')!;
    expect([list.options.length, list.value, list.options[0].text]).toEqual([14, '', 'choose a timestep']);
    list.value = '12';
    list.dispatchEvent(new Event('change'));
    await nextFrame();
    expect([model.ready, model.correct, list.value]).toEqual([true, true, '12']);
  });

  it('is a number where positions have no names', async () => {
    const { el, model } = form([field('channel', [20], { options: [], size: 40 })]);
    expect([number(el).max, texts(el, '.memviz-note')]).toEqual(['39', ['0 to 39']]);
    for (const [typed, chosen, invalid] of [['40', {}, 'true'], ['2.5', {}, 'true'], ['-1', {}, 'true'], ['7', { channel: 7 }, 'false']]) {
      await type(el, typed as string);
      expect([model.get('chosen'), number(el).getAttribute('aria-invalid'), number(el).value]).toEqual([chosen, invalid, typed]);
    }
    await type(el, '70');
    expect([model.get('chosen'), number(el).value, button(el, 'check').disabled]).toEqual([{}, '70', true]);
    expect(texts(el, '.memviz-note')).toEqual(['a whole number from 0 to 39']);
  });

  it('is checked by Enter, but not with Shift, which runs the cell', async () => {
    const { el, model } = form([field('channel', [20], { options: [], size: 40 })]);
    expect(press(number(el), 'Enter').defaultPrevented).toBe(true);
    expect(model.get('revealed')).toBe(false); // nothing is chosen
    await type(el, '20');
    expect(press(number(el), 'Enter', { shiftKey: true }).defaultPrevented).toBe(false);
    expect(model.get('revealed')).toBe(false);
    press(number(el), 'Enter');
    expect([model.get('revealed'), document.activeElement]).toEqual([true, button(el, 'try again')]);
  });
});

describe('check', () => {
  it('says that it is right, and goes to the place of the question', () => {
    const { el, at } = form();
    radios(el)[2].click();
    button(el, 'check').click();
    expect([result(el), at()]).toEqual(['Right: channel 2.', [1, 1, 2]]);
    expect([visible(el, '.memviz-quiz-places'), visible(el, '.memviz-quiz-veil'), visible(el, '.memviz-quiz-check')]).toEqual([0, 0, 0]);
    expect(el.querySelector('.memviz-quiz-result')!.getAttribute('role')).toBe('status');
  });

  it('says the answer to a wrong choice, and leads from the pick to the answer', async () => {
    const { el, at } = form();
    radios(el)[3].click();
    button(el, 'check').click();
    expect([result(el), at()]).toEqual(['Not right: you chose channel 3. The answer is channel 2.', [1, 1, 2]]);
    const [pick, answer] = all(el, '.memviz-quiz-places button');
    expect([pick, answer].map(({ textContent }) => plain(textContent))).toEqual(['your pick: channel 3', 'the answer: channel 2']);
    const pressed = () => [pick, answer].map((each) => each.getAttribute('aria-pressed'));
    expect(pressed()).toEqual(['false', 'true']);
    pick.click();
    await nextFrame();
    expect([at(), pressed()]).toEqual([[1, 1, 3], ['true', 'false']]);
    answer.click();
    expect(at()).toEqual([1, 1, 2]);
  });

  it('goes back to the place of the question when the cursor has wandered off', async () => {
    const { el, at, selection } = form();
    radios(el)[2].click();
    selection.set({ layer: 2, channel: 33 });
    button(el, 'check').click();
    expect(at()).toEqual([1, 1, 2]);
  });

  it('takes any of several right positions and says the others', () => {
    const { el, at } = form([field('channel', [0, 3])]);
    radios(el)[3].click();
    button(el, 'check').click();
    expect([result(el), at()]).toEqual(['Right: channel 3. Right is channel 0 or 3.', [1, 1, 3]]);
    expect(texts(el, '.memviz-quiz-places button').map(plain)).toEqual(['an answer: channel 0', 'an answer: channel 3']);
  });

  it('wants every axis right, and says which ones are', () => {
    const { el, at, model } = form([LAYER, field('channel', [2])]);
    radios(el)[1].click();
    radios(el)[3].click();
    button(el, 'check').click();
    expect(result(el)).toBe('Not right: you chose layer b, channel 0. The answer is layer b, channel 2. Right so far: the layer.');
    expect([model.correct, at()]).toEqual([false, [1, 1, 2]]);
  });

  it('fixes the choice', async () => {
    const { el, model } = form();
    radios(el)[3].click();
    button(el, 'check').click();
    model.choose('channel', 2);
    model.check();
    expect([model.get('chosen'), model.get('attempts')]).toEqual([{ channel: 3 }, [{ channel: 3 }]]);
    expect((el.querySelector('fieldset') as HTMLFieldSetElement).disabled).toBe(true);
  });
});

describe('try again', () => {
  it('hides, forgets the choice and counts', async () => {
    const { el, model } = form();
    radios(el)[3].click();
    button(el, 'check').click();
    button(el, 'try again').click();
    expect([model.get('revealed'), model.get('chosen'), result(el), visible(el, '.memviz-quiz-veil')]).toEqual([false, {}, '', 1]);
    expect(texts(el, '.memviz-quiz-explanation')).toEqual(['']);
    expect([radios(el).some(({ checked }) => checked), document.activeElement]).toEqual([false, radios(el)[0]]);
    radios(el)[2].click();
    button(el, 'check').click();
    expect([result(el), model.get('attempts')]).toEqual(['Right: channel 2. Attempt 2.', [{ channel: 3 }, { channel: 2 }]]);
  });

  it('empties the number', async () => {
    const { el } = form([field('channel', [20], { options: [], size: 40 })]);
    await type(el, '5');
    button(el, 'check').click();
    button(el, 'try again').click();
    expect(number(el).value).toBe('');
  });
});

it('tells the kernel what was chosen and revealed', () => {
  const comm = new FakeComm();
  const { el, model } = form(undefined, {}, comm);
  vi.spyOn(model, 'comm_live', 'get').mockReturnValue(true);
  model.choose('channel', 2);
  model.check();
  const sent = Object.assign({}, ...comm.updates) as Record<string, unknown>;
  expect(sent).toMatchObject({ chosen: { channel: 2 } });
  expect(el.querySelectorAll('input:checked')).toHaveLength(0); // drawn in the next frame, whoever chose
});

it('opens as it was left', () => {
  const { el, at } = form(undefined, { revealed: true, chosen: { channel: 3 }, attempts: [{ channel: 3 }] });
  expect([result(el), at()]).toEqual(['Not right: you chose channel 3. The answer is channel 2.', [0, 0, 0]]);
  expect(visible(el, '.memviz-quiz-veil')).toBe(0);
});

it('is asked again when the kernel resets it', async () => {
  const { el, model } = form(undefined, { revealed: true, chosen: { channel: 3 }, attempts: [{ channel: 3 }] });
  model.set({ revealed: false, chosen: {}, attempts: [] });
  await nextFrame();
  expect([result(el), visible(el, '.memviz-quiz-check'), button(el, 'check').disabled]).toEqual(['', 1, true]);
});

it('shows names that turn the writing direction in isolation', () => {
  const { el } = form([field('layer', [0], { options: [0, 1], texts: { 0: 'a\u202eb', 1: 'c' } })]);
  radios(el)[0].click();
  button(el, 'check').click();
  expect(texts(el, '.memviz-quiz-result')).toEqual([`Right: layer ${isolated('a\\u202eb')}.`]);
});

it('leaves no listener behind', () => {
  const { view, selection, model } = form();
  const open = listenerCount(selection);
  view.remove();
  const closed = listenerCount(selection);
  expect(closed).toBeLessThan(open);
  shown(QuizFormView, model).remove();
  expect(listenerCount(selection)).toBe(closed);
});
