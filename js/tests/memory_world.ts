/** A recurrent memory, a memory of slots and a KV cache of your own making, with pages: for the maps of memories. */

import type { Catalog, LayerEntry, MemoryEntry, MemoryFrames, PictureEntry, RecordEntry } from '../src/catalog';
import type { PageState } from '../src/pages';
import { attentionOf } from './attention_world';
import { NO_TEXTS, header, imageRecord, layer, picture, world } from './models';
import type { FakeComm } from './models';

export const STEPS = 4;
const [CONV, CELL, GATE, SLOTS, WEIGHTS, KEYS, ATTENTION] = [0, 1, 2, 3, 4, 5, 6];
export const LAYERS = { CONV, CELL, GATE, SLOTS, WEIGHTS, KEYS, ATTENTION };

/** Units down, time across. */
export function overTime(axes: [string, number][], units: number, unit: string): PictureEntry {
  const shape = picture(axes, units, STEPS, 8);
  return { ...shape, row_dim: unit, row_trait: unit, col_dim: 'time', col_trait: 'time' };
}

function frames(units: string, time: PictureEntry, more: Partial<MemoryFrames> = {}): MemoryFrames {
  const none = { wrote: null, wrote_unit: null, reads: null, pinned: null, saturation: false, lags: 0, entries: 0 };
  return { memory: 0, units, time, tokens: { sequence: -1, offset: 0 }, ...none, ...more };
}

function part(dims: string[], shape: number[], memory: MemoryFrames, extents: Record<string, number>): RecordEntry {
  return { ...imageRecord(1, 1), dims, shape, memory, extents, frame: null, stats: null };
}

/** Rows: read at; columns: written at. */
export function provenance(axes: [string, number][], steps = STEPS): PictureEntry {
  const map = { row_dim: 'read at', row_trait: 'time', col_dim: 'written at', col_trait: '' };
  return { ...picture(axes, steps, steps, 1), ...map };
}

const memory = (more: Partial<MemoryEntry>): MemoryEntry => ({
  label: 'enc l0',
  form: 'vector',
  layers: [],
  content: -1,
  attention: -1,
  phase: '',
  law: '',
  note: '',
  ...more,
});

const inModule = (path: string, kind: string, record: number): LayerEntry => ({
  ...layer(`${path} ${kind}`, [record]),
  path,
  kind,
});

/** conv; cell and gate.f of "enc l0" (3 units); memory and read_weights of "ntm" (2 slots of 3); keys of "attn" (2 heads). */
export function memoryCatalog(more: Partial<Catalog> = {}): Catalog {
  const tokens = { sequence: 0, offset: 0 };
  const units = overTime([['sample', 1]], 3, 'channel');
  const [whole, unit] = [provenance([['sample', 1]]), provenance([['sample', 1], ['channel', 3]])];
  const along = { sample: 1, time: STEPS, channel: 3 };
  const vectors = ['batch', 'time', 'channel'];
  const cell = frames('channel', units, { tokens, wrote: whole, wrote_unit: unit });
  const gate = frames('channel', units, { tokens, pinned: [0, 1] });
  const states = { ...picture([['sample', 1]], STEPS, 3, 1), row_dim: 'time', col_dim: 'channel', row_trait: 'time', col_trait: 'channel' };
  const content = { ...picture([['sample', 1], ['time', STEPS]], 2, 3, 4), row_dim: 'slot', row_trait: 'slot', col_dim: 'width' };
  const slots = frames('slot', overTime([['sample', 1]], 2, 'slot'), { memory: 1 });
  const reads = frames('slot', overTime([['sample', 1], ['head', 2]], 2, 'slot'), { memory: 1, pinned: [0, 1], reads: provenance([['sample', 1], ['head', 2]]) });
  const keys = frames('channel', overTime([['sample', 1], ['head', 2]], 3, 'channel'), { memory: 2, entries: 2 });
  const records: RecordEntry[] = [
    { ...imageRecord(1, 1), extents: { sample: 1 } },
    { ...part(vectors, [1, STEPS, 3], cell, along), frame: states },
    { ...part(vectors, [1, STEPS, 3], gate, along), frame: states },
    { ...part(['batch', 'time', 'slot', 'width'], [1, STEPS, 2, 3], slots, { sample: 1, time: STEPS, slot: 2 }), frame: content },
    part(['batch', 'time', 'head', 'slot'], [1, STEPS, 2, 2], reads, { sample: 1, time: STEPS, head: 2, slot: 2 }),
    part(['batch', 'head', 'time', 'channel'], [1, 2, STEPS, 3], keys, { ...along, head: 2 }),
    attentionOf({ queries: 3, keys: STEPS, heads: 4 }),
  ];
  const layers = [
    layer('conv', [CONV]),
    inModule('enc', 'cell', CELL),
    inModule('enc', 'gate.f', GATE),
    inModule('ntm', 'memory', SLOTS),
    inModule('ntm', 'read_weights', WEIGHTS),
    inModule('attn', 'key', KEYS),
    { ...layer('attn attention', [ATTENTION]), path: 'attn', kind: 'attention' },
  ];
  const memories = [
    memory({ layers: [CELL, GATE], content: CELL, law: 'cell_t = f_t · cell_{t-1} + i_t · g_t' }),
    memory({ label: 'ntm', form: 'slots', layers: [SLOTS, WEIGHTS], content: SLOTS }),
    memory({ label: 'attn', form: 'kv', layers: [KEYS], content: KEYS, attention: ATTENTION }),
  ];
  return { ...NO_TEXTS, layers, records, lo: null, hi: null, memories, tokens: [[['a', 'b', 'c', 'd']]], ...more };
}

/** A page of one frame. */
export function memoryPage(name: Partial<PageState>, shape: [number, number], codes: number[], lo = 0, hi = 1): PageState {
  const page = { record: CELL, kind: 'time' as const, page: 0, ...name };
  const ends = { lo: Float64Array.of(lo), hi: Float64Array.of(hi) };
  return { ...header(page, [1, ...shape]), data: Uint8Array.from(codes), ...ends, ...name };
}

/** Units of rows by timescale and by similarity, in a page of measures. */
export function unitsPage(record: number, timescale: number[], similarity: number[]): PageState {
  const none = new Float64Array(0);
  const data = Float32Array.from([...timescale.map(() => NaN), ...timescale, ...similarity]);
  return { ...header({ record, kind: 'units', page: 0 }, [3, 1, timescale.length], 'float32'), data, lo: none, hi: none };
}

export function memoryWorld(pages: PageState[] = [], catalog = memoryCatalog(), comm?: FakeComm) {
  return world(catalog, comm, { pages });
}
