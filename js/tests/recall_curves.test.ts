import { beforeEach, describe, expect, it } from 'vitest';

import type { WidgetModel } from '@jupyter-widgets/base';

import { DELAYS, FAILURE, dot, lab } from './recall_world';
import { FakeComm, listenerCount } from './models';
import { all, nextFrame, press, texts } from './page';

beforeEach(() => document.body.replaceChildren());

const plain = (value: unknown): unknown => (ArrayBuffer.isView(value) || Array.isArray(value) ? Array.from(value as number[], plain) : value);
const xy = (mark: WidgetModel) => [plain(mark.get('x')), plain(mark.get('y'))];
const cells = (el: HTMLElement) => all(el, '.memviz-recall-cell');
const readout = (el: HTMLElement) => el.querySelector('.memviz-recall-readout')!.textContent;

describe('the marks', () => {
  it('have a curve per model, of what was measured', async () => {
    const { lines, dots } = lab();
    await nextFrame();
    expect(xy(lines)).toEqual([[[0, 5, 20], [0, 5]], [[1, 1, 0.5], [1, 0.25]]]);
    expect(lines.get('colors')).toEqual(['#0072b2', '#d55e00']);
    expect(dots.map(xy)).toEqual([[[0, 5, 20], [1, 1, 0.5]], [[0, 5], [1, 0.25]]]);
  });

  it('have an interval per point, a line of chance across, and one where accuracy is half-way to it', async () => {
    const { bars, chance, halves } = lab();
    await nextFrame();
    expect((xy(bars)[0] as number[][]).map(([x]) => x)).toEqual([0, 5, 20, 0, 5]);
    expect((xy(bars)[1] as number[][])[2]).toEqual([0.4, 0.6]);
    expect(xy(chance)).toEqual([[-0.8, 20.8], [0.125, 0.125]]);
    expect(xy(halves)).toEqual([[[12.5, 12.5]], [[0, 0.5625]]]); // that of the second model lies before its values
    expect(halves.get('colors')).toEqual(['#0072b2']);
  });

  it('keep the colour of a model that has points while the one before it has none', async () => {
    const { lines } = lab({ curves: [{ ...DELAYS, dots: [dot(1, 5, 0.25)] }] });
    await nextFrame();
    expect([xy(lines), lines.get('colors')]).toEqual([[[[5]], [[0.25]]], ['#d55e00']]);
  });

  it('are empty where nothing was measured, and never hold a number that is none', async () => {
    const { model, lines, bars, halves, chance, dots, ring } = lab();
    model.set('over', 'length');
    await nextFrame();
    for (const mark of [lines, bars, halves, chance, ring, ...dots]) {
      expect(xy(mark)).toEqual([[], []]);
    }
  });

  it('follow the setting, and the axis with them', async () => {
    const { model, x_axis, scale } = lab();
    await nextFrame();
    expect([x_axis.get('label'), plain(x_axis.get('tick_values'))]).toEqual(['delay (steps)', [0, 5, 20]]);
    model.set('over', 'length');
    await nextFrame();
    expect([x_axis.get('label'), scale.get('min'), scale.get('max')]).toEqual(['length (symbols to copy)', 0.96, 2.04]);
  });

  it('ring the point under the pointer, else the one at the cursor', async () => {
    const { ring, dots, el } = lab();
    await nextFrame();
    expect(xy(ring)).toEqual([[0], [1]]);
    dots[1].set('hovered_point', 1);
    await nextFrame();
    expect([xy(ring), readout(el)?.slice(0, 22)]).toEqual([[[5], [0.25]], 'lstm at delay 5: 25 % ']);
    dots[1].set('hovered_point', null);
    await nextFrame();
    expect(xy(ring)).toEqual([[0], [1]]);
  });
});

describe('the grid', () => {
  it('has each accuracy in words', () => {
    const { el } = lab();
    expect(texts(el, '.memviz-recall-grid tr:first-child th')).toEqual(['delay', '0', '5', '20']);
    expect(texts(el, '.memviz-recall-cell')).toEqual(['100 %', '100 %', '50 %', '100 %', '25 %', 'failed']);
    expect(cells(el).map((cell) => cell.dataset.state)).toEqual(['right', 'right', 'wrong', 'right', 'wrong', 'failed']);
  });

  it('says n, interval, chance and bits of the point at the cursor', async () => {
    const { el } = lab();
    cells(el)[4].focus();
    await nextFrame();
    expect(readout(el)).toBe(
      'lstm at delay 5: 25 % (95 %: 15 % to 35 %); 192 of 256 answers wrong in 256 sequences; chance 13 %; 2.5 of 3 bits kept',
    );
    cells(el)[5].focus();
    await nextFrame();
    expect(readout(el)).toBe('lstm at delay 20: too long');
  });

  it('says what any answer of the sequence would score, where that is more than chance', () => {
    const { el } = lab({ curves: [{ ...DELAYS, dots: [dot(0, 0, 1, { context_chance: 0.5 })] }] });
    expect(readout(el)).toContain('; chance 13 %, any answer of the sequence 50 %; ');
  });

  it('is walked through with arrow keys, and is one stop of the tab key', () => {
    const { el } = lab();
    cells(el)[0].focus();
    press(cells(el)[0], 'ArrowRight');
    expect(document.activeElement).toBe(cells(el)[1]);
    press(cells(el)[1], 'ArrowDown');
    press(cells(el)[4], 'End');
    press(cells(el)[5], 'ArrowRight');
    expect(document.activeElement).toBe(cells(el)[5]);
  });

  it('has one cell that the tab key stops at, which follows the cursor', async () => {
    const { el } = lab();
    cells(el)[4].focus();
    await nextFrame();
    expect(cells(el).map(({ tabIndex }) => tabIndex)).toEqual([-1, -1, -1, -1, 0, -1]);
  });

  it('leaves the keys of the host alone', () => {
    const { el } = lab();
    expect(press(cells(el)[0], 'ArrowRight', { ctrlKey: true }).defaultPrevented).toBe(false);
    expect(press(cells(el)[0], 'a').defaultPrevented).toBe(false);
  });
});

describe('a run that failed', () => {
  const open = { type: 'open', model: 1, over: 'delay', value: 5 };

  it('is asked for by a click and by Enter on a point with wrong answers', () => {
    const comm = new FakeComm();
    const { el } = lab({}, comm);
    cells(el)[4].click();
    press(cells(el)[4], 'Enter');
    expect(comm.custom).toEqual([open, open]);
  });

  it('is asked for by a click on its point in the figure, twice if clicked twice', () => {
    const comm = new FakeComm();
    const { dots } = lab({}, comm);
    dots[1].set('selected', new Uint32Array([1]));
    dots[1].set('selected', new Uint32Array([1]));
    expect([comm.custom, dots[1].get('selected')]).toEqual([[open, open], null]);
  });

  it('is not asked for where all is right, or nothing was measured, or while one is recorded', () => {
    const comm = new FakeComm();
    const { el, model } = lab({}, comm);
    cells(el)[0].click();
    cells(el)[5].click();
    model.set('opening', true);
    cells(el)[4].click();
    expect(comm.custom).toEqual([]);
  });

  it('cannot be had without a kernel, and the view says so', () => {
    const { el } = lab();
    cells(el)[4].click();
    expect(texts(el, '.memviz-recall-hint')).toEqual(['There is no kernel: runs that failed cannot be recorded.']);
  });

  it('is told symbol by symbol, as text', () => {
    const { el } = lab({ failure: FAILURE });
    expect(texts(el, '.memviz-recall-heading')).toEqual([
      'lstm at delay 5, sequence 3: at step 3 it answered 7; right is 4, shown at step 0.',
    ]);
    expect(texts(el, '.memviz-recall-symbol')).toEqual(['4', '_', '<b>', '?']);
    expect(el.querySelector('b')).toBeNull();
    expect(all(el, '[data-part]').map(({ dataset, title }) => [dataset.part, title])).toEqual([
      ['shown', 'step 0: the answer is shown here'],
      ['asked', 'step 3: the answer is asked here'],
    ]);
    expect(texts(el, '.memviz-recall-verdict, .memviz-recall-sentences li')).toEqual(['What became of it: decayed', ...FAILURE.sentences]);
  });

  it('has the cursor at its point', async () => {
    const { ring, model } = lab({ failure: { ...FAILURE, value: 20, model: 0 } });
    await nextFrame();
    expect(xy(ring)).toEqual([[20], [0.5]]);
    model.set('failure', FAILURE);
    await nextFrame();
    expect(xy(ring)).toEqual([[5], [0.25]]);
  });

  it('is hidden before there is one, and says where nothing is known', async () => {
    const { el, model } = lab();
    expect(el.querySelector<HTMLElement>('.memviz-recall-failure')!.hidden).toBe(true);
    model.set('failure', { ...FAILURE, verdict: '' });
    await nextFrame();
    expect(texts(el, '.memviz-recall-verdict strong')).toEqual(['not known']);
  });
});

it('has a row of d50, bits, state and n per model', () => {
  const { el } = lab();
  expect(texts(el, '.memviz-recall-table tbody tr:first-child > *')).toEqual([
    '●attention', 'delay 12.5', '2.5 of 3 at delay 20', '64 numbers, 256 B (hidden, cell of lstm l0)', '256 answers of 256 sequences',
  ]);
  expect(texts(el, '.memviz-recall-table tbody tr:nth-child(2) td').slice(0, 3)).toEqual(['delay < 5', '2.5 of 3 at delay 20', 'not known']);
});

it('leaves no listener and no frame behind', async () => {
  const { model, view, dots, lines } = lab();
  await nextFrame();
  view.remove();
  await model.close();
  model.set('over', 'length');
  await nextFrame();
  expect((plain(lines.get('x')) as number[][])[0]).toEqual([0, 5, 20]);
  expect(dots.map(listenerCount)).toEqual([0, 0]);
});
