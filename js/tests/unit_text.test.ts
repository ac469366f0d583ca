import { beforeEach, describe, expect, it } from 'vitest';

import type { RecordEntry } from '../src/catalog';
import type { PageState } from '../src/pages';
import { TOKENS_AT_ONCE, UnitTextModel, UnitTextView } from '../src/unit_text';
import { HOSTILE } from './attention_world';
import { listenerCount, make } from './models';
import { all, nextFrame, press, shown, texts } from './page';
import { WORDS, codes, memoryWorld, numbers, partRecord, withSeries } from './reading_world';

beforeEach(() => document.body.replaceChildren());

const TOKENS = { tokens: { sequence: 0, offset: 0 } };
const SIZE = { units: 2, steps: 4 };
// unit 0, then unit 1
const SERIES = numbers('series', [2, 1, 4], [0.5, -1, 0.25, 0, 2, 4, -8, 1]);

function unitText(
  kind = 'hidden',
  record: RecordEntry = withSeries(partRecord(SIZE, TOKENS)),
  pages: PageState[] = [SERIES],
  tokens: string[][][] = [[WORDS]],
) {
  const { store, selection } = memoryWorld([kind], [record], pages, { tokens });
  const view = shown(UnitTextView, make(UnitTextModel, { selection }));
  const textOf = (name: string) => view.el.querySelector(`.memviz-unit-text-${name}`)?.textContent?.replace(/[\u2068\u2069]/g, '');
  const tokensOf = () => all(view.el, '.memviz-token');
  const strengths = () =>
    tokensOf().map((token) => {
      const sign = token.classList.contains('memviz-token-minus') ? -1 : 1;
      return sign * Number(token.style.getPropertyValue('--memviz-w') || 0);
    });
  return { store, selection, view, tokensOf, strengths, legend: () => textOf('legend'), readout: () => textOf('readout') };
}

const over = (token: Element) => token.dispatchEvent(new MouseEvent('pointerover', { bubbles: true }));

describe('the colours', () => {
  it('are the values of the selected unit in shares of the largest, by sign', async () => {
    const { view, selection, strengths, legend } = unitText();
    expect(texts(view.el, '.memviz-token')).toEqual(WORDS);
    expect(strengths()).toEqual([0.5, -1, 0.25, 0]);
    expect(legend()).toBe('channel 0 of 2, enc hidden: background = value ÷ largest |value|, ≈ 1; blue above 0, orange below');
    selection.set('channel', 1);
    await nextFrame();
    expect(strengths()).toEqual([0.25, 0.5, -1, 0.125]);
    expect(legend()).toContain('channel 1 of 2');
  });

  it('of a cell are tanh(c), and that is said', () => {
    const { strengths, legend, readout } = unitText('cell');
    expect(strengths()).toEqual([0.462, -0.762, 0.245, 0]); // tanh of 0.5, -1, 0.25, 0 in steps of 1/1000
    expect(legend()).toContain('background = tanh(c), from −1 to 1; blue above 0, orange below');
    expect(readout()).toBe('step 0 “the”: c = 0.5, tanh(c) ≈ 0.4621');
  });

  it('of a gate are its value, whatever the largest is', () => {
    const gate = withSeries(partRecord(SIZE, { ...TOKENS, pinned: [0, 1] }));
    const { strengths, legend } = unitText('gate.f', gate, [numbers('series', [2, 1, 4], [0.5, 0.25, 0, 0.1, 1, 1, 1, 1])]);
    expect(strengths()).toEqual([0.5, 0.25, 0, 0.1]);
    expect(legend()).toBe('channel 0 of 2, enc gate.f: background = the value, from 0 to 1');
  });

  it('come from the codes of the picture where there is no series, and are marked approximate', () => {
    const page = codes('time', [2, 4], [252, 0, 126, 126, 0, 0, 0, 0], [-2, 2]);
    const { strengths, readout } = unitText('hidden', partRecord(SIZE, TOKENS), [page]);
    expect(strengths()).toEqual([1, -1, 0, 0]);
    expect(readout()).toBe('step 0 “the”: ≈ 2');
  });

  it('are of several steps together where the series is pooled, and that is said', () => {
    const record = withSeries(partRecord(SIZE, TOKENS), 2);
    const { strengths, legend, readout } = unitText('hidden', record, [numbers('series', [2, 1, 2], [1, 0.5, 0, 0])]);
    expect(strengths()).toEqual([1, 1, 0.5, 0.5]);
    expect(legend()).toContain('; 1 of 2 steps shown: the largest |value|');
    expect(readout()).toBe('step 0 “the”: ≈ 1');
  });

  it('are none for a step without data', async () => {
    const { selection, strengths, readout } = unitText('hidden', undefined, [numbers('series', [2, 1, 4], [1, 1, 1, NaN, 0, 0, 0, 0])]);
    expect(strengths()).toEqual([1, 1, 1, 0]);
    selection.set('time', 3);
    await nextFrame();
    expect(readout()).toBe('step 3 “down”: no data (NaN)');
  });
});

describe('looking and selecting', () => {
  it('hover says step, token and exact value, and leaves the selection', async () => {
    const { tokensOf, selection, readout } = unitText();
    over(tokensOf()[2]);
    await nextFrame();
    expect(readout()).toBe('step 2 “sat”: 0.25');
    expect(tokensOf()[2].title.replace(/[\u2068\u2069]/g, '')).toBe('sat\nstep 2 “sat”: 0.25');
    expect(selection.get('time')).toBe(0);
  });

  it('a click and the keyboard select the step', async () => {
    const { tokensOf, selection } = unitText();
    tokensOf()[2].click();
    await nextFrame();
    expect([selection.get('time'), tokensOf()[2].getAttribute('aria-selected')]).toEqual([2, 'true']);
    tokensOf()[2].focus();
    press(tokensOf()[2], 'ArrowRight');
    press(document.activeElement as Element, 'Enter');
    expect(selection.get('time')).toBe(3);
  });

  it('a click goes to the memory from a layer without time', () => {
    const { tokensOf, selection } = unitText();
    selection.set('layer', 1);
    tokensOf()[3].click();
    expect([selection.get('layer'), selection.get('time')]).toEqual([0, 3]);
  });

  it('underlines the steps that wrote what was clicked elsewhere', async () => {
    const { tokensOf, selection, legend, readout } = unitText();
    selection.set('lit', [0.5, 0, 0.25, 0]);
    await nextFrame();
    expect(tokensOf().map((token) => token.style.getPropertyValue('--memviz-lit'))).toEqual(['1.000', '', '0.500', '']);
    expect(legend()).toContain('underlined: the steps that wrote what was clicked');
    expect(readout()).toBe('step 0 “the”: 0.5; wrote 50 % of what was clicked');
    selection.set('lit', []);
    await nextFrame();
    expect(tokensOf()[0].style.getPropertyValue('--memviz-lit')).toBe('');
  });
});

describe('what cannot be shown', () => {
  it('without texts says how to give them', () => {
    const { view, legend } = unitText('hidden', withSeries(partRecord(SIZE)));
    expect(legend()).toContain('tokens=["the", "cat", ...]');
    expect(view.el.dataset.state).toBe('message');
  });

  it('without a memory says that there is none', async () => {
    const { store, legend } = unitText();
    store.set_state({ catalog: { ...store.catalog, memories: [], layers: [], records: [] } });
    await nextFrame();
    expect(legend()).toContain('No memory was found');
  });

  it('hides the readout of a reading that is gone', async () => {
    const { view, store, selection } = unitText();
    store.set_state({ catalog: { ...store.catalog, tokens: [] } });
    selection.set('time', 1);
    await nextFrame();
    expect((view.el.querySelector('.memviz-unit-text-readout') as HTMLElement).hidden).toBe(true);
  });

  it('says why values will not come', () => {
    const { view, legend } = unitText('hidden', undefined, []);
    expect([view.el.dataset.state, legend()]).toEqual(['message', 'This picture is not in the page, and there is no kernel to ask for it.']);
  });
});

it('shows the part of a long text around the cursor', async () => {
  const steps = TOKENS_AT_ONCE + 2;
  const record = withSeries(partRecord({ units: 1, steps }, TOKENS));
  const values = Array.from({ length: steps }, (_, t) => (t === steps - 1 ? 1 : 0.5));
  const words = values.map((_, t) => `w${t}`);
  const { view, selection, legend, strengths } = unitText('hidden', record, [numbers('series', [1, 1, steps], values)], [[words]]);
  expect(all(view.el, '.memviz-token').length).toBe(TOKENS_AT_ONCE);
  selection.set('time', steps - 1);
  await nextFrame();
  expect(texts(view.el, '.memviz-token')).toEqual(['w2048', 'w2049']);
  expect(strengths()).toEqual([0.5, 1]);
  expect(legend()).toContain('; steps 2,048 to 2,049 of 2,050');
});

it('shows hostile texts as text', () => {
  const steps = HOSTILE.length;
  const record = withSeries(partRecord({ units: 1, steps }, TOKENS));
  const { view } = unitText('hidden', record, [numbers('series', [1, 1, steps], HOSTILE.map(() => 1))], [[HOSTILE]]);
  expect([all(view.el, '.memviz-token').length, view.el.querySelector('img')]).toEqual([steps, null]);
});

it('leaves no listener behind when it is removed', () => {
  const { view, selection, store } = unitText();
  const before = [listenerCount(selection), listenerCount(store)];
  view.remove();
  expect(listenerCount(selection)).toBeLessThan(before[0]);
  expect(listenerCount(store)).toBeLessThan(before[1]);
});
