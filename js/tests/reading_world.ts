/** Memories with their pages in the page, for the views that read numbers off them. */

import type { Catalog, LayerEntry, MemoryEntry, MemoryFrames, PageKind, PictureEntry, RecordEntry } from '../src/catalog';
import type { PageState } from '../src/pages';
import { header, imageRecord, layer, picture, world } from './models';

export const ENTRY_MEASURES = ['key norm', 'value norm', 'attention received', 'uniform baseline', 'held until', 'bytes'];
export const WORDS = ['the', 'cat', 'sat', 'down'];
const NOTHING = new Float64Array(0);

interface Size {
  units: number;
  steps: number;
  samples?: number;
}

/** A part of memory 0 with units over time: no series, no measure, no texts unless `more` says so. */
export function partRecord({ units, steps, samples = 1 }: Size, more: Partial<MemoryFrames> = {}): RecordEntry {
  const time: PictureEntry = {
    ...picture([['sample', samples]], units, steps, 1),
    row_dim: 'channel',
    col_dim: 'time',
    row_trait: 'channel',
    col_trait: 'time',
  };
  const memory: MemoryFrames = {
    memory: 0,
    units: 'channel',
    time,
    wrote: null,
    wrote_unit: null,
    reads: null,
    pinned: null,
    tokens: { sequence: -1, offset: 0 },
    saturation: false,
    lags: 0,
    entries: 0,
    ...more,
  };
  return {
    ...imageRecord(samples, units),
    shape: [samples, steps, units],
    dims: ['batch', 'time', 'channel'],
    extents: { sample: samples, time: steps, channel: units },
    memory,
  };
}

/** `record` with a series per sample and unit, exact unless `pool` steps share a value. */
export function withSeries(record: RecordEntry, pool = 1): RecordEntry {
  const { sample = 1, channel = 1, time = 1 } = record.extents;
  const series = picture([['sample', sample], ['channel', channel]], 1, Math.ceil(time / pool), channel);
  return { ...record, series: { ...series, full_cols: time, pool_cols: pool } };
}

/** A layer named after the part that it is. */
export function part(kind: string, record: number): LayerEntry {
  return { ...layer(`enc ${kind}`, [record]), path: 'enc', kind, module_type: 'LSTM' };
}

/** A page of float32 numbers of record 0 unless `more` says otherwise. */
export function numbers(kind: PageKind, shape: [number, number, number], values: number[], more: Partial<PageState> = {}): PageState {
  const data = Float32Array.from(values);
  return { ...header({ record: 0, kind, page: 0 }, shape, 'float32'), data, lo: NOTHING, hi: NOTHING, ...more };
}

/** A page of codes with one range. */
export function codes(kind: PageKind, [rows, cols]: [number, number], values: number[], [lo, hi]: [number, number]): PageState {
  const data = Uint8Array.from(values);
  return { ...header({ record: 0, kind, page: 0 }, [1, rows, cols]), data, lo: Float64Array.of(lo), hi: Float64Array.of(hi) };
}

/** One memory of these parts, the first of them its content, and a layer `mlp` that is none, at the end. */
export function memoryWorld(kinds: string[], records: RecordEntry[], pages: PageState[] = [], more: Partial<MemoryEntry & Catalog> = {}) {
  const { tokens = [], content = 0, form = 'vector', attention = -1 } = more;
  const memory: MemoryEntry = {
    label: 'enc', form, layers: kinds.map((_, place) => place), content, attention, phase: '', law: '', note: '',
  };
  const catalog: Catalog = {
    layers: [...kinds.map(part), layer('mlp', [kinds.length])],
    records: [...records, { ...imageRecord(1, 1), extents: { sample: 1 } }],
    lo: null,
    hi: null,
    tokens,
    head_measures: [],
    head_kinds: [],
    memories: [memory],
    entry_measures: ENTRY_MEASURES,
    step_labels: [],
  };
  return world(catalog, undefined, { pages });
}
