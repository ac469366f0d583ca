import { beforeEach, describe, expect, it, vi } from 'vitest';

import type { Card, CardRow } from '../src/generated/catalog';
import { MemoryCardModel, MemoryCardView, REST_MS } from '../src/memory_card';
import { HOSTILE } from './attention_world';
import { FakeComm, listenerCount, make } from './models';
import { all, nextFrame, shown, texts } from './page';
import { memoryWorld, partRecord } from './reading_world';

beforeEach(() => document.body.replaceChildren());

const METHODS = { tau: { how: 'τ = −1 / mean(ln f)', source: 'Tallec 2018' } };

function row(name: string, more: Partial<CardRow> = {}): CardRow {
  return { measure: 'tau', name, value: '9.49 steps', number: 9.49, compare: 'even: 1.44', n: '3 units', detail: '', ...more };
}

function card(more: Partial<Card> = {}): Card {
  return { title: 'enc', rows: [row('time constant')], absent: ['no slots here'], problems: [], offers: [], ...more };
}

function memoryCard(cards: Record<string, Card> = {}, more: { comm?: FakeComm; recall?: CardRow[] } = {}) {
  const { store, selection } = memoryWorld(['cell', 'gate.f'], [partRecord({ units: 3, steps: 4, samples: 2 }), partRecord({ units: 3, steps: 4, samples: 2 })]);
  const model = make(MemoryCardModel, { selection, cards, methods: METHODS, recall: more.recall ?? [] }, more.comm);
  const view = shown(MemoryCardView, model);
  const wishes = () => (more.comm?.custom ?? []).map(({ record, sample, patient }) => [record, sample, patient]);
  const state = () => view.el.querySelector('.memviz-card-state')?.textContent;
  const title = () => view.el.querySelector('.memviz-card-title')?.textContent;
  const done = (known: Record<string, Card>) => {
    model.set('cards', { ...model.trait('cards'), ...known });
    model.trigger('msg:custom', { type: 'done' }, []);
  };
  return { store, selection, model, view, wishes, state, title, done };
}

const rest = () => new Promise((passed) => setTimeout(passed, REST_MS + 30));
const button = (root: Element, selector: string) => root.querySelector(selector) as HTMLButtonElement;

describe('a card that is known', () => {
  it('is a table of measures with value, comparison and n', () => {
    const { view, title, state } = memoryCard({ '0/0': card() });
    expect(title()).toBe('enc, sample 0');
    expect(state()).toBe('');
    expect(texts(all(view.el, 'thead')[0], 'th')).toEqual(['measure', 'value', 'compare with', 'of', 'how computed']);
    expect(texts(view.el, '.memviz-card-row > *').slice(0, 4)).toEqual(['time constant', '9.49 steps', 'even: 1.44', '3 units']);
    expect(texts(view.el, '.memviz-card-absent li')).toEqual(['no slots here']);
    expect(view.el.dataset.state).toBe('ready');
  });

  it('needs no kernel, and is the same for every part of the memory', async () => {
    const { selection, view } = memoryCard({ '0/0': card() });
    selection.set('layer', 1); // gate.f
    await nextFrame();
    expect(texts(view.el, '.memviz-card-name')).toEqual(['time constant']);
  });

  it('shows problems as sentences', () => {
    const { view } = memoryCard({ '0/0': card({ rows: [], absent: [], problems: ['matrix: the value was dropped'] }) });
    expect(texts(view.el, '.memviz-card-problems li')).toEqual(['matrix: the value was dropped']);
    expect(view.el.querySelector<HTMLElement>('.memviz-card-absent')?.hidden).toBe(true);
    expect(view.el.querySelector<HTMLElement>('table')?.hidden).toBe(true);
  });

  it('keeps to text, whatever the names are', () => {
    const rows = HOSTILE.map((name) => row(name, { detail: name }));
    const { view } = memoryCard({ '0/0': card({ rows, absent: HOSTILE }) });
    expect(texts(view.el, '.memviz-card-name')).toEqual(HOSTILE);
    expect(texts(view.el, '.memviz-card-absent li')).toEqual(HOSTILE);
    expect(view.el.querySelector('img, script')).toBeNull();
  });
});

describe('how a measure is computed', () => {
  it('opens and closes with its button', () => {
    const { view } = memoryCard({ '0/0': card({ rows: [row('time constant', { detail: 'of the decay alone' })] }) });
    const how = button(view.el, '.memviz-card-how button');
    const line = view.el.querySelector<HTMLElement>('.memviz-card-method');
    expect(how.getAttribute('aria-controls')).toBe(line?.id);
    expect([line?.hidden, how.getAttribute('aria-expanded')]).toEqual([true, 'false']);
    how.click();
    expect([line?.hidden, how.getAttribute('aria-expanded')]).toEqual([false, 'true']);
    expect(texts(view.el, '.memviz-card-method p')).toEqual([
      'Here: of the decay alone.',
      'τ = −1 / mean(ln f)',
      'Source: Tallec 2018.',
    ]);
    how.click();
    expect(line?.hidden).toBe(true);
  });

  it('stays open when another sample is shown', async () => {
    const { view, selection } = memoryCard({ '0/0': card(), '0/1': card({ rows: [row('time constant', { value: '2 steps' })] }) });
    button(view.el, '.memviz-card-how button').click();
    selection.set('sample', 1);
    await nextFrame();
    expect(texts(view.el, '.memviz-card-value')).toEqual(['2 steps']);
    expect(view.el.querySelector<HTMLElement>('.memviz-card-method')?.hidden).toBe(false);
  });
});

describe('a card that is not known', () => {
  it('is asked for once the cursor rests, one at a time', async () => {
    const comm = new FakeComm();
    const { selection, wishes, state, done, view } = memoryCard({}, { comm });
    expect(state()).toBe('Computing the measures of this memory ...');
    expect(wishes()).toEqual([]);
    await rest();
    expect(wishes()).toEqual([[0, 0, false]]);
    selection.set('sample', 1);
    await rest();
    expect(wishes()).toEqual([[0, 0, false]]); // the kernel is at work
    done({ '0/0': card() });
    await nextFrame();
    expect(view.el.dataset.state).toBe('computing'); // of sample 1
    await rest();
    expect(wishes()).toEqual([[0, 0, false], [0, 1, false]]);
    done({ '0/1': card() });
    await nextFrame();
    expect(view.el.dataset.state).toBe('ready');
  });

  it('says so without a kernel', () => {
    const { state, view } = memoryCard();
    expect(state()).toBe('Not measured: there is no kernel, and this memory was not looked at before.');
    expect(view.el.dataset.state).toBe('message');
  });

  it('is not asked for in a tab that is not open', async () => {
    const comm = new FakeComm();
    const { view, wishes, model } = memoryCard({}, { comm });
    view.el.style.visibility = 'hidden';
    await rest();
    expect(wishes()).toEqual([]);
    view.el.style.visibility = '';
    view.processLuminoMessage({ type: 'after-show' } as never);
    await nextFrame();
    await rest();
    expect(wishes()).toEqual([[0, 0, false]]);
    expect(model.trait('cards')).toEqual({});
  });

  it('waits until it is on the screen', async () => {
    let seen: (entries: object[]) => void = () => undefined;
    class Observer {
      constructor(work: typeof seen) {
        seen = work;
      }
      observe(): void {}
      disconnect(): void {}
    }
    vi.stubGlobal('IntersectionObserver', Observer);
    const comm = new FakeComm();
    const { wishes } = memoryCard({}, { comm });
    await rest();
    expect(wishes()).toEqual([]);
    seen([{ isIntersecting: true }]);
    await nextFrame();
    await rest();
    expect(wishes()).toEqual([[0, 0, false]]);
    vi.unstubAllGlobals();
  });
});

describe('what takes long', () => {
  const OFFER = card({ offers: ['gradient horizon (about 3.2 s)'] });

  it('has a button with its price', async () => {
    const comm = new FakeComm();
    const { view, wishes, done } = memoryCard({ '0/0': OFFER }, { comm });
    const offer = button(view.el, '.memviz-card-offers button');
    expect(offer.textContent).toBe('measure gradient horizon (about 3.2 s)');
    offer.click();
    await nextFrame();
    expect(wishes()).toEqual([[0, 0, true]]);
    expect(offer.disabled).toBe(true);
    expect(view.el.dataset.state).toBe('computing');
    done({ '0/0': card({ rows: [row('time constant'), row('gradient horizon (1/e)')] }) });
    await nextFrame();
    expect(texts(view.el, '.memviz-card-name')).toEqual(['time constant', 'gradient horizon (1/e)']);
    expect(view.el.querySelector<HTMLElement>('.memviz-card-offers')?.hidden).toBe(true);
  });

  it('cannot be had without a kernel', () => {
    const { view } = memoryCard({ '0/0': OFFER });
    const offer = button(view.el, '.memviz-card-offers button');
    expect([offer.disabled, offer.textContent]).toEqual([true, 'not measured: gradient horizon (about 3.2 s)']);
  });

  it('leaves the card as it is when the answer is the same', async () => {
    const { view, done } = memoryCard({ '0/0': OFFER }, { comm: new FakeComm() });
    button(view.el, '.memviz-card-offers button').click();
    await nextFrame();
    done({});
    await nextFrame();
    expect(view.el.dataset.state).toBe('ready');
  });
});

it('shows recall beside the measures', () => {
  const { view } = memoryCard({ '0/0': card() }, { recall: [row('recall at delay 20', { value: '0.99 ± 0.01' })] });
  const tables = all(view.el, 'table');
  expect(texts(tables[1], '.memviz-card-name')).toEqual(['recall at delay 20']);
  expect(tables[1].getAttribute('aria-label')).toBe('Recall of the model');
});

it('leaves nothing behind', () => {
  const { view, selection, store, model } = memoryCard({ '0/0': card() });
  const alone = memoryWorld(['cell'], [partRecord({ units: 3, steps: 4 })]);
  view.remove();
  expect(listenerCount(selection)).toBe(listenerCount(alone.selection));
  expect(listenerCount(store)).toBe(listenerCount(alone.store));
  expect(listenerCount(model)).toBe(1); // the base class's own, for custom messages
});
