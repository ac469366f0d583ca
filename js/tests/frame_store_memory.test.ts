import { describe, expect, it } from 'vitest';

import type { PageName } from '../src/pages';
import { pageBytes, requestCost } from '../src/prefetch';
import { MemoryChoiceModel } from '../src/memory_choice';
import { LAYERS, memoryCatalog, memoryPage, memoryWorld, unitsPage } from './memory_world';
import { FakeComm, make, settled } from './models';

const TIME = memoryPage({}, [3, 4], [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 252], -1, 0.5);
const wanted = (comm: FakeComm) => comm.custom.flatMap(({ wants }) => (wants ?? []) as PageName[]);
const kindsOf = (comm: FakeComm, record: number) => wanted(comm).filter((name) => name.record === record).map(({ kind }) => kind);

describe('pictures of a memory', () => {
  it('are frames of their own kind', () => {
    const { store } = memoryWorld([TIME]);
    expect([store.frame(LAYERS.CELL, 'time', 0)?.codes[11], store.complete(LAYERS.CELL, 'time')]).toEqual([252, true]);
    expect([store.frame(LAYERS.CELL, 'reads', 0), store.frame(LAYERS.CONV, 'time', 0)]).toEqual([null, null]);
  });

  it('have one range in every order of the units', () => {
    const { store } = memoryWorld([TIME, memoryPage({ kind: 'timescale' }, [3, 4], Array(12).fill(0), 0, 2)]);
    const range = { min: -1, max: 2 };
    expect([store.seenRange(LAYERS.CELL, 'time'), store.seenRange(LAYERS.CELL, 'similarity')]).toEqual([range, range]);
    expect(store.seenRange(LAYERS.CELL)).toEqual({ min: null, max: null });
  });

  it('of who wrote what are asked for when looked at, never on a guess', async () => {
    const comm = new FakeComm();
    const { selection } = memoryWorld([], memoryCatalog(), comm);
    selection.set({ layer: LAYERS.CELL, channel: 1 });
    make(MemoryChoiceModel, { selection, map: 'wrote', whole: false });
    await settled();
    expect(wanted(comm).filter(({ kind }) => kind === 'wrote_unit')).toEqual([
      { record: LAYERS.CELL, kind: 'wrote_unit', page: 1 },
    ]);
    expect(wanted(comm).some(({ kind }) => kind === 'wrote')).toBe(false);
  });

  it('that would be computed again are asked for of every part of the memory that is shown, and of no other', async () => {
    const catalog = memoryCatalog();
    catalog.records.forEach((record) => (record.on_demand = true));
    const comm = new FakeComm();
    const { store, selection } = memoryWorld([], catalog, comm);
    selection.set('layer', LAYERS.CELL);
    [LAYERS.GATE, LAYERS.SLOTS].forEach((record) => store.frame(record, 'time', 0));
    await settled();
    expect([kindsOf(comm, LAYERS.GATE), kindsOf(comm, LAYERS.SLOTS)]).toEqual([['time'], []]);
  });

  it('cost what the kernel has to sum up for them', () => {
    const catalog = memoryCatalog();
    const name = { record: LAYERS.CELL, kind: 'wrote', page: 0 } as const;
    expect(pageBytes(catalog, name)).toBe(4 * 4 + 16);
    expect(requestCost(catalog, name)).toBe(4 * 4 + 16 + (4 * 4 * 3) / 64);
    expect(requestCost(catalog, { ...name, kind: 'wrote_unit' })).toBe(4 * 4 + 16 + (4 * 4) / 64);
  });
});

describe('measures of a memory', () => {
  it('are blocks of numbers, one sample a page', () => {
    const { store } = memoryWorld([unitsPage(LAYERS.CELL, [2, 0, 1], [1, 2, 0])]);
    const measure = store.memoryMeasure(LAYERS.CELL, 'units', 0);
    expect([measure?.rows, measure?.cols, [...(measure?.data ?? [])].slice(3)]).toEqual([1, 3, [2, 0, 1, 1, 2, 0]]);
    expect([store.memoryMeasure(LAYERS.CELL, 'units', 1), store.memoryMeasure(LAYERS.CONV, 'units', 0)]).toEqual([null, null]);
  });

  it('have a size', () => {
    const catalog = memoryCatalog({ entry_measures: ['key norm', 'bytes'] });
    Object.assign(catalog.records[LAYERS.CELL].memory ?? {}, { lags: 4 });
    const bytes = (kind: PageName['kind'], record: number) => pageBytes(catalog, { record, kind, page: 0 });
    expect([bytes('units', LAYERS.CELL), bytes('saturation', LAYERS.CELL)]).toEqual([4 * 3 * 3, 4 * 2 * 3]);
    expect([bytes('retention', LAYERS.CELL), bytes('entries', LAYERS.KEYS)]).toEqual([4 * 4 * 4, 4 * 2 * 2 * 4]);
    expect(bytes('units', LAYERS.CONV)).toBe(0);
  });
});

describe('the residual', () => {
  const recovered = (residual: number | null) => ({ ...TIME, residual });

  it('is the largest of what has come, and null of values that were read', () => {
    const { store } = memoryWorld([recovered(1e-7), { ...recovered(3e-7), kind: 'timescale' }, recovered(null)]);
    expect([store.residual(LAYERS.CELL), store.residual(LAYERS.GATE)]).toEqual([3e-7, null]);
  });

  it('is saved with its page', () => {
    const { store } = memoryWorld([recovered(1e-7)]);
    expect(store.savedPages().map(({ residual }) => residual)).toEqual([1e-7]);
  });

  it('goes with the catalog', () => {
    const { store } = memoryWorld([recovered(1e-7)]);
    store.set('catalog', memoryCatalog({ hi: 1 }));
    expect(store.residual(LAYERS.CELL)).toBeNull();
  });
});
