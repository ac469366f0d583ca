import { describe, expect, it, vi } from 'vitest';

import { PictureChoiceModel } from '../src/picture_choice';
import { attentionOf, attentionWorld, mapPage } from './attention_world';
import { FakeComm, answer, catalogOf, header, imageRecord, layer, listenerCount, make, settled, stepped, world } from './models';

const RECORD = attentionOf({ queries: 2, keys: 2, heads: 3, samples: 2 });
const CODES = [252, 253, 126, 126];

function choiceOf(state: object = {}, record = RECORD) {
  const pages = [mapPage(RECORD, CODES), mapPage(RECORD, CODES, { kind: 'mean' })];
  const { store, selection } = attentionWorld(record, pages);
  return { store, selection, choice: make(PictureChoiceModel, { selection, ...state }) };
}

describe('the map', () => {
  it('is the head at the cursor for weights, and one per sample for the mean', () => {
    const { choice, selection } = choiceOf();
    selection.set({ sample: 1, head: 2 });
    expect([choice.pageKind, choice.flat()]).toEqual(['frame', 5]);
    choice.set('kind', 'mean');
    expect([choice.pageKind, choice.flat()]).toEqual(['mean', 1]);
  });

  it('of a difference is that of the other head, the last where there are fewer', () => {
    const { choice, selection } = choiceOf({ kind: 'difference', other_head: 1 });
    selection.set('head', 2);
    expect(choice.flat()).toBe(2 * 3 + 1);
    choice.set('other_head', 7);
    expect(choice.flat()).toBe(2 * 3 + 2);
  });

  it('stays while a layer without attention is selected', () => {
    const { choice, selection } = choiceOf();
    selection.set('layer', 1);
    expect([choice.place()?.index, choice.absence(), [...(choice.frame()?.codes ?? [])]]).toEqual([0, '', CODES]);
  });
});

describe('what cannot be shown', () => {
  const said = (kind: string, record = RECORD) => {
    const { choice } = choiceOf({ kind }, record);
    return [choice.picture(), choice.frame(), choice.absence(), choice.refusal()];
  };
  const one = attentionOf({ queries: 2, keys: 2 });
  if (one.attention) {
    one.attention.difference = null;
  }

  it.each([
    ['rollout', RECORD, 'no rollout to attn attention: it needs square attention of one length in every layer before it'],
    ['difference', one, 'attn attention has one head: a difference needs two'],
    ['weights', { ...RECORD, frame: null, attention: null, message: 'not kept' }, 'not kept'],
  ])('%s is said in a sentence', (kind, record, sentence) => {
    expect(said(kind, record)).toEqual([null, null, sentence, sentence]);
  });

  it('is said of a model without attention', () => {
    const { selection } = world(catalogOf(imageRecord(1, 1)));
    const choice = make(PictureChoiceModel, { selection });
    expect([choice.place(), choice.picture(), choice.words()]).toEqual([null, null, []]);
    expect(choice.absence()).toMatch(/^No attention was found/);
  });

  it('is said of a step in which the layer did not run', () => {
    const { selection, store } = attentionWorld(RECORD, []);
    const late = { ...stepped('attn attention', [[0], []]), path: 'attn', kind: 'attention' };
    store.set('catalog', { ...store.catalog, layers: [late] });
    selection.set('step', 1);
    expect(make(PictureChoiceModel, { selection }).absence()).toBe('attn attention did not run in step 1');
  });
});

describe('the words', () => {
  it.each([
    ['weights', 'head 2 of 3'],
    ['row', 'head 2 of 3, each row in shares of its largest weight'],
    ['log', 'head 2 of 3, colours by the logarithm of the weight'],
    ['mean', 'mean of 3 heads'],
    ['max', 'largest of 3 heads'],
    ['difference', 'head 2 minus head 1'],
  ])('for %s', (kind, words) => {
    const { choice, selection } = choiceOf({ kind, other_head: 1 });
    selection.set('head', 2);
    expect(choice.words(' of ')).toEqual(['sample 0 of 2', words]);
  });

  it('for a rollout tell how it was made and what it leaves out', () => {
    const record = { ...RECORD, attention: RECORD.attention && { ...RECORD.attention, rollout: RECORD.attention.mean } };
    const { choice } = choiceOf({ kind: 'rollout' }, record);
    const [, words] = choice.words(' of ');
    expect(words).toBe('rollout to attn attention: residual 0.5, heads averaged; follows weights only');
    expect(choice.words()).toEqual(['sample 0', 'rollout to attn attention']);
  });
});

describe('events', () => {
  const heard = (choice: PictureChoiceModel) => {
    const names: string[] = [];
    choice.on('place', () => names.push('place'));
    choice.on('chosen', () => names.push('chosen'));
    return names;
  };

  it('tell another head from another map', () => {
    const { choice, selection } = choiceOf();
    const names = heard(choice);
    selection.set('head', 1);
    expect([names.includes('chosen'), names.includes('place')]).toEqual([true, false]);
    choice.set('kind', 'mean');
    expect(names).toContain('place');
  });

  it('come with a page of the map, and of no other', () => {
    const { choice, store } = choiceOf();
    const names = heard(choice);
    store.trigger('pages', 0, 'mean');
    expect(names).toEqual([]);
    store.trigger('pages', 0, 'frame');
    expect(names).toEqual(['chosen']);
  });

  it('come with another catalog, also where the record has the same number', () => {
    const { choice, store } = choiceOf();
    const names = heard(choice);
    store.set('catalog', { ...store.catalog, layers: store.catalog.layers.slice(0, 1) });
    expect(names).toContain('place');
  });
});

describe('pages', () => {
  const asked = async (kind: string, more: object = {}) => {
    const comm = new FakeComm();
    const record = { ...RECORD, ...more };
    const layers = [layer('mlp', [1]), { ...layer('attn attention', [0]), path: 'attn', kind: 'attention' }];
    const { selection, store } = world({ ...catalogOf(record, imageRecord(1, 1)), layers }, comm);
    make(PictureChoiceModel, { selection, kind });
    await settled();
    return { comm, store, wants: (comm.custom[0].wants as { record: number; kind: string; page: number }[]) };
  };

  it('of the map are asked for before those of the selected layer', async () => {
    expect((await asked('mean')).wants[0]).toEqual({ record: 0, kind: 'mean', page: 0 });
  });

  it('beside it are asked for too, but never computed again for a guess', async () => {
    const beside = ({ wants }: Awaited<ReturnType<typeof asked>>) => wants.filter(({ kind }) => kind === 'row');
    expect(beside(await asked('row')).map(({ page }) => page)).toEqual([0, 1]);
    expect(beside(await asked('row', { on_demand: true })).map(({ page }) => page)).toEqual([0]);
  });
});

it('asks for the exact value of a cell of its map', () => {
  const { choice, store } = choiceOf({ kind: 'mean' });
  const ask = vi.spyOn(store, 'askValue');
  void choice.ask(1, 0);
  expect(ask).toHaveBeenCalledWith(0, 0, 1, 0, 'mean');
});

it('moves the cursor to the attention that it shows', () => {
  const { choice, selection } = choiceOf();
  selection.set('layer', 1);
  choice.select({ query: 1, key: 1 });
  expect(['layer', 'query', 'key', 'time'].map((axis) => selection.get(axis))).toEqual([0, 1, 1, 1]);
});

it('says why the kernel refused', () => {
  const comm = new FakeComm();
  const { store, selection } = world({ ...catalogOf(RECORD), layers: [{ ...layer('a', [0]), kind: 'attention' }] }, comm);
  const choice = make(PictureChoiceModel, { selection, kind: 'max' });
  return settled().then(() => {
    const { id } = comm.custom[0] as { id: number };
    answer(store, { type: 'refused', id, ...header({ record: 0, kind: 'max', page: 0 }, [0, 0, 0]), message: 'too large' });
    expect(choice.refusal()).toBe('too large');
  });
});

it('leaves no listener behind when it is closed', async () => {
  const { selection, store } = attentionWorld(RECORD, []);
  const before = [listenerCount(selection), listenerCount(store)];
  const choice = make(PictureChoiceModel, { selection });
  await choice.close();
  expect([listenerCount(selection), listenerCount(store), listenerCount(choice)]).toEqual([...before, 0]);
});
