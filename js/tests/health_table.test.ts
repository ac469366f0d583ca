import { beforeEach, describe, expect, it, vi } from 'vitest';

import { HealthTableView, PAGE_ROWS, READ_ON_DEMAND } from '../src/health_table';
import { ROWS, row, table } from './health_world';
import { FakeComm, listenerCount } from './models';
import { all, nextFrame, press, shown, texts } from './page';

beforeEach(() => document.body.replaceChildren());

const rowsOf = (el: HTMLElement) => all(el, '.memviz-health-row');
const selected = (el: HTMLElement) => all(el, '[aria-selected=true]').map((found) => found.dataset.row);
const places = (el: HTMLElement, index: number) => all(rowsOf(el)[index], '[data-place]');

describe('the table', () => {
  it('has a row per finding, with severity in a word and a mark', () => {
    const { el } = table();
    expect(texts(el, '.memviz-health-row .memviz-health-severity')).toEqual(['✕error', '▲warning', '○hint']);
    expect(texts(rowsOf(el)[0], 'td')).toEqual([
      '✕error',
      'bConv2d, sample 1channel2before: a',
      'non-finitenon-finite of 1',
      '0 % of positions where it firesbound: more than 0 %',
      '320 positions',
    ]);
  });

  it('says how much there is and where to look first', () => {
    const { el, at } = table();
    expect(texts(el, '.memviz-health-headline')).toEqual(['1 error, 1 warning and 1 hint in 3 layers']);
    expect(texts(el, '.memviz-health-advice > span')).toEqual(['Look first at b.']);
    all(el, '.memviz-health-advice button')[0].click();
    expect(at()).toEqual([1, 1, 2]);
  });

  it('shows names as text, never as HTML', () => {
    const label = '<img src=x onerror=alert(1)>';
    const { el } = table({ rows: [row('constant', 0, { place: { layer: 0, step: 2, call: 1, label, when: label } })] });
    expect(el.querySelector('img')).toBeNull();
    expect(texts(el, '.memviz-health-label')).toEqual([`${label}, ${label}, call 1`]);
  });

  it('opens what was checked where nothing was found', () => {
    const { el } = table({ rows: [], headline: 'Nothing found in 3 layers.', advice: '', first: -1 });
    expect(texts(el, '.memviz-health-headline')).toEqual(['Nothing found in 3 layers.']);
    expect(el.querySelector<HTMLDetailsElement>('.memviz-health-checks')!.open).toBe(true);
    expect(texts(el, '.memviz-health-rules > *')).toEqual(['✕error', 'non-finite', 'NaN or Inf in any layer']);
    expect(all(el, '.memviz-health-table, .memviz-health-filter, .memviz-health-advice').every(({ hidden }) => hidden)).toBe(true);
  });
});

describe('a click', () => {
  it('on a row sets what the finding names, all at once', () => {
    const { el, at, selection } = table();
    const moves = vi.fn();
    selection.on('place', moves);
    rowsOf(el)[0].click();
    expect([at(), selected(el), moves.mock.calls.length]).toEqual([[1, 1, 2], ['0'], 1]);
  });

  it('on a place goes to that one', () => {
    const { el, at } = table();
    places(el, 1)[3].click();
    expect(at()).toEqual([2, 0, 6]);
    expect(places(el, 1)[3].getAttribute('aria-current')).toBe('true');
    expect(places(el, 1)[3].getAttribute('aria-label')).toBe('channel 6 of c');
  });

  it('on "before" goes to the record that finished before', () => {
    const { el, at, selection } = table();
    selection.set('layer', 2);
    all(el, '[data-before]')[0].click();
    expect(at()[0]).toBe(0);
  });

  it('shows the places that are too many for a row', () => {
    const { el } = table();
    expect([places(el, 1).length, texts(el, '[data-more]')[0]]).toEqual([16, '4 more']);
    all(el, '[data-more]')[0].click();
    expect([places(el, 1).length, all(el, '[data-more]').length]).toEqual([20, 0]);
    expect(document.activeElement).toBe(rowsOf(el)[1]);
  });

  it('on a finding that no view shows goes nowhere', () => {
    const { el, at } = table({ rows: [row('constant', -1)] });
    rowsOf(el)[0].click();
    expect(at()).toEqual([0, 0, 0]);
  });
});

describe('keys', () => {
  it('go up and down the rows, and each moves the selection', () => {
    const { el, at } = table();
    rowsOf(el)[0].focus();
    press(rowsOf(el)[0], 'ArrowDown');
    expect([at(), document.activeElement]).toEqual([[2, 0, 0], rowsOf(el)[1]]);
    press(rowsOf(el)[1], 'End');
    expect(at()[0]).toBe(0);
    press(rowsOf(el)[2], 'Home');
    expect(at()).toEqual([1, 1, 2]);
  });

  it('go through the places of a row, and open it for those that are not shown', () => {
    const { el, at } = table();
    press(rowsOf(el)[1], 'Enter');
    expect(at()).toEqual([2, 0, 0]);
    for (let i = 0; i < 17; i++) {
      press(rowsOf(el)[1], 'ArrowRight');
    }
    expect([at(), places(el, 1).length]).toEqual([[2, 0, 34], 20]);
    press(rowsOf(el)[1], 'ArrowLeft');
    press(rowsOf(el)[1], 'Enter'); // keeps the place
    expect(at()).toEqual([2, 0, 32]);
  });

  it('of the host are left alone', () => {
    const { el, at } = table();
    expect(press(rowsOf(el)[0], 'ArrowDown', { ctrlKey: true }).defaultPrevented).toBe(false);
    expect(press(rowsOf(el)[0], 'x').defaultPrevented).toBe(false);
    expect(at()[0]).toBe(0);
  });

  it('stop once in the table: at the row that was chosen, else at the first', () => {
    const { el } = table({ rows: ROWS.slice(0, 2) });
    expect(rowsOf(el).map(({ tabIndex }) => tabIndex)).toEqual([0, -1]);
    rowsOf(el)[1].click();
    expect(rowsOf(el).map(({ tabIndex }) => tabIndex)).toEqual([-1, 0]);
  });
});

describe('the selection', () => {
  it('marks the row when another view goes there', async () => {
    const { el, selection } = table();
    selection.set({ layer: 1, channel: 2 });
    await nextFrame();
    expect(selected(el)).toEqual(['0']);
    selection.set({ channel: 3 });
    await nextFrame();
    expect(selected(el)).toEqual([]);
  });

  it('marks the row that was chosen of two at one place', () => {
    const { el } = table({ rows: [row('constant', 1), row('float16 range', 1)] });
    rowsOf(el)[1].click();
    expect(selected(el)).toEqual(['1']);
  });
});

describe('the filter', () => {
  const toggle = (el: HTMLElement, index: number) => all(el, '.memviz-health-toggle')[index].click();

  it('hides a severity and says how many are left', async () => {
    const { el, model } = table();
    toggle(el, 1);
    await nextFrame();
    expect(model.get('severities')).toEqual(['error', 'hint']);
    expect(rowsOf(el).map(({ dataset }) => dataset.row)).toEqual(['0', '2']);
    expect(texts(el, '.memviz-health-filter [role=status]')).toEqual(['2 of 3 shown']);
    expect(all(el, '.memviz-health-toggle')[1].getAttribute('aria-pressed')).toBe('false');
  });

  it('keeps to one kind', async () => {
    const { el, model } = table();
    const kinds = el.querySelector('select')!;
    expect([...kinds.options].map(({ text }) => text)).toEqual(['all kinds', 'non-finite', 'dead units', 'saturated gate']);
    kinds.value = 'dead units';
    kinds.dispatchEvent(new Event('change'));
    await nextFrame();
    expect([model.get('kind'), rowsOf(el).length]).toEqual(['dead units', 1]);
  });

  it('that hides everything says so', async () => {
    const { el } = table();
    [0, 1, 2].forEach((index) => toggle(el, index));
    await nextFrame();
    expect(texts(el, '.memviz-health-table[hidden] + .memviz-note:not([hidden])')).toEqual(['Every finding is hidden by the filter.']);
  });

  it('has keys go past what is hidden', async () => {
    const { el, at } = table();
    toggle(el, 1);
    await nextFrame();
    press(rowsOf(el)[0], 'ArrowDown');
    expect(at()[0]).toBe(0);
  });
});

describe('many findings', () => {
  const many = Array.from({ length: PAGE_ROWS + 5 }, (_, i) => row(`kind ${i}`, i % 3));

  it('come in pages', async () => {
    const { el } = table({ rows: many });
    expect([rowsOf(el).length, texts(el, '.memviz-health-pager span')]).toEqual([PAGE_ROWS, ['1 to 200 of 205']]);
    all(el, '.memviz-health-pager button')[1].click();
    await nextFrame();
    expect([rowsOf(el).length, texts(el, '.memviz-health-pager span')]).toEqual([5, ['201 to 205 of 205']]);
  });

  it('are reached by keys across pages', () => {
    const { el } = table({ rows: many });
    press(rowsOf(el)[PAGE_ROWS - 1], 'ArrowDown');
    expect((document.activeElement as HTMLElement).dataset.row).toBe(String(PAGE_ROWS));
  });
});

describe('what was not read', () => {
  const PLACES = [{ layer: 1, step: 0, call: 0, label: 'b', when: '' }];
  const unread = [{ reason: 'not held', count: 3, places: PLACES }];

  it('is listed with the reason, and leads there', () => {
    const { el, at } = table({ unread });
    expect(texts(el, '.memviz-health-unread summary')).toEqual(['3 records not read, so less is known of them']);
    expect(texts(el, '.memviz-health-reason')).toEqual(['3 records, not held:band 2 more: see report.unread']);
    all(el, '[data-reason]')[0].click();
    expect(at()[0]).toBe(1);
  });

  it('is read by the kernel when asked, once', async () => {
    const comm = new FakeComm();
    const { el, model } = table({ unread, to_read: 3 }, comm);
    const button = all(el, '.memviz-health-offer button')[0] as HTMLButtonElement;
    expect(button.textContent).toBe('also read 3 values that are not held');
    button.click();
    await nextFrame();
    expect([comm.custom, button.disabled, button.textContent]).toEqual([
      [{ type: READ_ON_DEMAND }],
      true,
      'reading 3 values that are not held …',
    ]);
    model.set({ reading: true, read: 2 });
    await nextFrame();
    expect(button.textContent).toBe('reading 3 values that are not held, 2 so far …');
    model.set({ reading: false, to_read: 0, unread: [], rows: [] });
    await nextFrame();
    expect([all(el, '.memviz-health-offer, .memviz-health-unread').every(({ hidden }) => hidden), rowsOf(el).length]).toEqual([true, 0]);
  });

  it('is not offered without a kernel', () => {
    const { el } = table({ unread, to_read: 3 });
    expect(all(el, '.memviz-health-offer')[0].hidden).toBe(true);
  });
});

it('leaves no listener behind', () => {
  const { view, selection, store, model } = table();
  const counts = () => [selection, store].map(listenerCount); // ipywidgets itself leaves one on the model
  const open = counts();
  view.remove();
  const closed = counts();
  expect(closed.every((count, i) => count < open[i])).toBe(true);
  shown(HealthTableView, model).remove();
  expect(counts()).toEqual(closed);
});
