import { describe, expect, it } from 'vitest';

import { ColorMappingModel } from '../src/color_mapping';
import { MemoryChoiceModel } from '../src/memory_choice';
import { indexOfRow, rowOfIndex, textsAlong } from '../src/shown_picture';
import { LAYERS, memoryCatalog, memoryPage, memoryWorld, unitsPage } from './memory_world';
import { FakeComm, answer, catalogOf, header, imageRecord, listenerCount, make, settled, world } from './models';
import type { PageState } from '../src/pages';

const SHARES = [252, 253, 253, 253, 126, 126, 253, 253, 63, 63, 126, 253, 0, 63, 63, 126]; // rows sum to 1
const TIME = memoryPage({}, [3, 4], [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 252], -1, 0.5);
const WROTE = memoryPage({ kind: 'wrote' }, [4, 4], SHARES);
const UNIT = memoryPage({ kind: 'wrote_unit', page: 2 }, [4, 4], SHARES.map((code) => (code === 63 ? 126 : code)));

function choiceOf(state: object = {}, pages: PageState[] = [TIME, WROTE], layer = LAYERS.CELL, comm?: FakeComm) {
  const { store, selection } = memoryWorld(pages, memoryCatalog(), comm);
  selection.set({ layer });
  return { store, selection, choice: make(MemoryChoiceModel, { selection, ...state }) };
}

describe('the map', () => {
  it('over time is that of the selected part, in pages of the chosen order', () => {
    const { choice, selection } = choiceOf();
    expect([choice.pageKind, choice.place()?.index, choice.flat()]).toEqual(['time', 1, 0]);
    choice.set('order', 'similarity');
    expect(choice.pageKind).toBe('similarity');
    selection.set('layer', LAYERS.GATE);
    expect(choice.place()?.index).toBe(2);
  });

  it('stays while a layer that is no part of a memory is selected', () => {
    const { choice } = choiceOf({}, [TIME], LAYERS.CONV);
    expect([choice.place()?.index, choice.absence(), choice.frame()?.codes[1]]).toEqual([1, '', 20]);
  });

  it('of who wrote what is that of the whole memory, or of the selected unit', () => {
    const { choice, selection } = choiceOf({ map: 'wrote' });
    expect([choice.pageKind, choice.flat()]).toEqual(['wrote', 0]);
    choice.set('whole', false);
    selection.set('channel', 2);
    expect([choice.pageKind, choice.flat()]).toEqual(['wrote_unit', 2]);
  });

  it('is that of another part of the memory where the selected one has none', () => {
    const gate = choiceOf({ map: 'wrote' }, [WROTE], LAYERS.GATE);
    expect(gate.choice.place()?.index).toBe(LAYERS.CELL);
    const slots = choiceOf({ map: 'cursor' }, [], LAYERS.WEIGHTS);
    slots.selection.set('time', 3);
    expect([slots.choice.place()?.index, slots.choice.pageKind, slots.choice.flat()]).toEqual([LAYERS.SLOTS, 'frame', 3]);
    slots.choice.set('map', 'reads');
    slots.selection.set('head', 1);
    expect([slots.choice.place()?.index, slots.choice.pageKind, slots.choice.flat()]).toEqual([LAYERS.WEIGHTS, 'reads', 1]);
  });

  it('of a KV cache is the attention that reads it, at the query head of the selected head', () => {
    const { choice, selection } = choiceOf({ map: 'wrote' }, [], LAYERS.KEYS);
    selection.set('head', 1); // of 2 heads for 4 query heads
    expect([choice.place()?.index, choice.pageKind, choice.flat()]).toEqual([LAYERS.ATTENTION, 'frame', 2]);
    choice.set('map', 'time');
    selection.set({ layer: LAYERS.ATTENTION, head: 3 });
    expect([choice.place()?.index, choice.flat()]).toEqual([LAYERS.KEYS, 1]);
  });

  it('of a static cache begins at its first entry, though it has room for more', () => {
    const catalog = memoryCatalog();
    const attention = catalog.records[LAYERS.ATTENTION].attention!;
    catalog.records[LAYERS.ATTENTION].attention = { ...attention, queries: 4, keys: 9 };
    const { selection } = memoryWorld([], catalog);
    selection.set('layer', LAYERS.KEYS);
    expect(make(MemoryChoiceModel, { selection, map: 'wrote' }).rowOrder()).toBeNull(); // 4 queries, 4 entries
  });

  it('of a KV cache has queries for rows, which come after the entries of earlier calls', () => {
    const { choice } = choiceOf({ map: 'wrote' }, [], LAYERS.KEYS); // 3 queries on 4 keys
    expect([choice.picture()?.row_trait, indexOfRow(choice, 0), rowOfIndex(choice, 3)]).toEqual(['time', 1, 2]);
    expect(rowOfIndex(choice, 0)).toBe(-1);
  });
});

describe('what cannot be shown', () => {
  const said = (state: object, layer: number, change: (catalog: ReturnType<typeof memoryCatalog>) => void = () => undefined) => {
    const catalog = memoryCatalog();
    change(catalog);
    const { selection } = memoryWorld([], catalog);
    selection.set({ layer });
    const choice = make(MemoryChoiceModel, { selection, ...state });
    return [choice.picture(), choice.absence(), choice.refusal()];
  };

  it.each([
    ['a law', { map: 'wrote' }, LAYERS.SLOTS, /^ntm has no gate that says what it keeps, so who wrote what cannot be told/],
    ['a moment', { map: 'cursor' }, LAYERS.CELL, /^enc cell has one number per unit at a step: the map over time shows/],
    ['read weights', { map: 'reads' }, LAYERS.CELL, /^enc l0 has no read weights: nothing says what is read from it/],
  ])('%s is missed in a sentence', (_, state, layer, sentence) => {
    const [picture, absence, refusal] = said(state, layer);
    expect([picture, refusal === absence]).toEqual([null, true]);
    expect(absence).toMatch(sentence);
  });

  it('is too long, as a whole or for each unit', () => {
    const without = (...kinds: ('wrote' | 'wrote_unit')[]) => (catalog: ReturnType<typeof memoryCatalog>) =>
      kinds.forEach((kind) => Object.assign(catalog.records[LAYERS.CELL].memory ?? {}, { [kind]: null }));
    expect(said({ map: 'wrote', whole: false }, LAYERS.CELL, without('wrote_unit'))[1]).toBe(
      'enc cell has too many steps for a map of each unit. Show the whole memory.',
    );
    expect(said({ map: 'wrote' }, LAYERS.CELL, without('wrote', 'wrote_unit'))[1]).toMatch(/mv.analysis.memory.provenance/);
  });

  it('is what slots are read for, when no adapter says whether before or after the write', () => {
    const unsaid = (phase: string) => (catalog: ReturnType<typeof memoryCatalog>) => {
      Object.assign(catalog.memories[1], { law: 'memory_t = ...', phase });
      Object.assign(catalog.records[LAYERS.WEIGHTS].memory ?? {}, { reads: null });
    };
    expect(said({ map: 'reads' }, LAYERS.WEIGHTS, unsaid(''))[1]).toMatch(/^ntm has no read weights with the note "reads before/);
    expect(said({ map: 'reads' }, LAYERS.WEIGHTS, unsaid('after_write'))[1]).toMatch(/^ntm has no read weights: nothing/);
  });

  it('is a cache whose attention was not recorded', () => {
    const sentence = said({ map: 'wrote' }, LAYERS.KEYS, (catalog) => (catalog.memories[2].attention = -1))[1];
    expect(sentence).toMatch(/^The attention that reads attn was not recorded/);
  });

  it('is said of a model without memory', () => {
    const { selection } = world(catalogOf(imageRecord(1, 1)));
    const choice = make(MemoryChoiceModel, { selection });
    expect([choice.place(), choice.picture(), choice.words()]).toEqual([null, null, []]);
    expect(choice.absence()).toMatch(/^No memory was found/);
  });
});

describe('the words', () => {
  it.each([
    [{}, LAYERS.GATE, ['gate f of enc l0']],
    [{ order: 'timescale' }, LAYERS.CELL, ['cell of enc l0', 'channels by time constant, longest first']],
    [{ map: 'wrote' }, LAYERS.GATE, ['cell of enc l0', 'which step wrote what it holds, in shares of each row']],
    [{ map: 'wrote', whole: false }, LAYERS.CELL, ['cell of enc l0', 'channel 0 of 3', 'which step wrote what it holds, in shares of each row']],
    [{ map: 'cursor' }, LAYERS.SLOTS, ['memory of ntm', 'time 0 of 4']],
    [{ map: 'reads' }, LAYERS.WEIGHTS, ['memory of ntm', 'head 0 of 2', 'which step wrote what is read from it, in shares of each row']],
  ])('say the part, its axes and what the map is: %j', (state, layer, expected) => {
    expect(choiceOf(state, [], layer).choice.words(' of ')).toEqual(expected);
  });

  it('are the texts of the tokens along time, and along both sides of who wrote what', () => {
    const { choice } = choiceOf();
    expect([textsAlong(choice, 'time')?.(2), textsAlong(choice, 'channel')]).toEqual(['c', null]);
    choice.set('map', 'wrote');
    expect([textsAlong(choice, 'read at')?.(3), textsAlong(choice, 'written at')?.(0)]).toEqual(['d', 'a']);
  });
});

describe('units in another order', () => {
  it('stand in rows by the page of their measures', () => {
    const { choice } = choiceOf({ order: 'timescale' }, [TIME, unitsPage(LAYERS.CELL, [2, 0, 1], [1, 2, 0])]);
    expect([0, 1, 2].map((row) => indexOfRow(choice, row))).toEqual([2, 0, 1]);
    expect(rowOfIndex(choice, 1)).toBe(2);
    choice.set('order', 'similarity');
    expect(rowOfIndex(choice, 1)).toBe(0);
    choice.set('order', 'index');
    expect([indexOfRow(choice, 2), rowOfIndex(choice, 2)]).toEqual([2, 2]);
  });

  it('are not known until that page has come; then the views are told', async () => {
    const comm = new FakeComm();
    const { choice, store } = choiceOf({ order: 'timescale' }, [TIME], LAYERS.CELL, comm);
    expect([indexOfRow(choice, 0), rowOfIndex(choice, 0)]).toEqual([null, -1]);
    await settled();
    const asked = comm.custom.flatMap(({ wants }) => (wants ?? []) as { kind: string }[]).map(({ kind }) => kind);
    expect(asked).toContain('units');
    let told = 0;
    choice.on('chosen', () => (told += 1));
    const { data, lo, hi, ...head } = unitsPage(LAYERS.CELL, [2, 0, 1], [1, 2, 0]);
    answer(store, { type: 'page', id: comm.custom[0].id, ...head }, [data, lo, hi] as ArrayBufferView[]);
    expect([told > 0, indexOfRow(choice, 0)]).toEqual([true, 2]);
  });
});

describe('the colours', () => {
  const range = (state: object, layer: number, pages = [TIME, WROTE], mode = 'auto') => {
    const { choice, selection } = choiceOf(state, pages, layer);
    const colors = make(ColorMappingModel, { selection, choice, mode });
    const place = choice.place();
    return place && colors.range(place, choice.frame());
  };
  const largest = memoryPage({ kind: 'wrote' }, [4, 4], SHARES, 0, 0.8);
  const weights = memoryPage({ record: LAYERS.GATE }, [3, 4], SHARES.slice(4), 0.2, 0.9);
  const moment = memoryPage({ record: LAYERS.SLOTS, kind: 'frame' }, [2, 3], SHARES.slice(10), -2, 1);

  it.each([
    ['symmetric about 0 over the frame for values of both signs', {}, LAYERS.CELL, [TIME], [-1, 1]],
    ['the range of weights and gates', {}, LAYERS.GATE, [weights], [0, 1]],
    ['from 0 to the largest share', { map: 'wrote' }, LAYERS.CELL, [largest], [0, 0.8]],
    ['over all moments that have come', { map: 'cursor' }, LAYERS.SLOTS, [moment], [-2, 2]],
    ['that of weights for a KV cache', { map: 'wrote' }, LAYERS.KEYS, [], [0, 1]],
  ])('are %s', (_, state, layer, pages, expected) => {
    expect(range(state, layer, pages)).toEqual(expected);
  });

  it('follow the other modes, too', () => {
    expect(range({}, LAYERS.CELL, [TIME], 'frame')).toEqual([-1, 0.5]);
    expect(range({}, LAYERS.CELL, [TIME], 'layer')).toEqual([-1, 0.5]);
    expect(range({ map: 'wrote' }, LAYERS.CELL, [largest], 'all')).toEqual([0, 1]);
  });
});

describe('who wrote it', () => {
  it('lights up by a click on a unit, at the selected time', () => {
    const { choice, selection } = choiceOf({}, [TIME, UNIT]);
    choice.select({ channel: 2, time: 1 });
    expect([selection.get('channel'), selection.get('time')]).toEqual([2, 1]);
    expect(selection.get('lit')).toEqual([0.5, 0.5, 0, 0]);
  });

  it('follows the cursor', () => {
    const { choice, selection } = choiceOf({}, [TIME, UNIT]);
    choice.select({ channel: 2, time: 1 });
    selection.set('time', 0);
    expect(selection.get('lit')).toEqual([1, 0, 0, 0]);
  });

  it('is the row of the map of who wrote what where that is shown', () => {
    const { choice, selection } = choiceOf({ map: 'wrote' });
    choice.select({ time: 2 });
    expect(selection.get('lit')).toEqual([0.25, 0.25, 0.5, 0]);
  });

  it('of a KV cache is whom the query of that time attends to', () => {
    const page = { ...memoryPage({ record: LAYERS.ATTENTION, kind: 'frame' }, [3, 4], SHARES.slice(4)) };
    const { choice, selection } = choiceOf({}, [page], LAYERS.KEYS);
    choice.select({ time: 2 }); // the second of three queries
    expect(selection.get('lit')).toEqual([0.25, 0.25, 0.5, 0]);
  });

  it('waits for its page', async () => {
    const comm = new FakeComm();
    const { choice, selection, store } = choiceOf({}, [TIME], LAYERS.CELL, comm);
    choice.select({ channel: 2, time: 1 });
    expect(selection.get('lit')).toEqual([]);
    await settled();
    const asked = comm.custom.flatMap(({ wants }) => (wants ?? []) as { kind: string }[]).map(({ kind }) => kind);
    expect(asked).toContain('wrote_unit');
    const name = { record: LAYERS.CELL, kind: 'wrote_unit' as const, page: 2 };
    const buffers = [UNIT.data, UNIT.lo, UNIT.hi] as ArrayBufferView[];
    answer(store, { type: 'page', id: comm.custom[0].id, ...header(name, [1, 4, 4]) }, buffers);
    expect(selection.get('lit')).toEqual([0.5, 0.5, 0, 0]);
  });

  it('goes out on release, with another memory, and where nothing can be told', () => {
    const { choice, selection } = choiceOf({}, [TIME, UNIT]);
    const lit = () => (selection.get('lit') as number[]).length;
    choice.select({ channel: 2, time: 1 });
    choice.release();
    expect(lit()).toBe(0);
    choice.select({ channel: 2, time: 1 });
    expect(lit()).toBe(4);
    selection.set('layer', LAYERS.GATE); // the same memory
    expect(lit()).toBe(4);
    selection.set('layer', LAYERS.SLOTS);
    expect(lit()).toBe(0);
    choice.select({ slot: 1, time: 1 }); // without a law
    expect(lit()).toBe(0);
  });

  it('is left alone once somebody else lit other steps up', () => {
    const { choice, selection } = choiceOf({}, [TIME, UNIT]);
    choice.select({ channel: 2, time: 1 });
    selection.set({ lit: [1] });
    selection.set('time', 0);
    expect(selection.get('lit')).toEqual([1]);
  });

  it('selects the memory that is shown', () => {
    const { choice, selection } = choiceOf({}, [TIME], LAYERS.CONV);
    choice.select({ channel: 1, time: 3 });
    expect([selection.get('layer'), selection.get('channel'), selection.get('time')]).toEqual([LAYERS.CELL, 1, 3]);
  });
});

it('lets go of the selection and the store', () => {
  const { store, selection } = memoryWorld([TIME]);
  const before = [listenerCount(store), listenerCount(selection)];
  const choice = make(MemoryChoiceModel, { selection });
  choice.close();
  expect([listenerCount(store), listenerCount(selection)]).toEqual(before);
});
