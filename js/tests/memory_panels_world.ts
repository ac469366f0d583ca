/** A memory for the tests of MemoryPanels: cell and gate of 3 units, weights of 2 heads over 2 slots, 4 timesteps. */

import type { Catalog, LayerEntry, MemoryFrames, PictureEntry, RecordEntry } from '../src/catalog';
import { MemoryPanelsModel, MemoryPanelsView } from '../src/memory_panels';
import type { PageState } from '../src/pages';
import { FakeComm, NO_TEXTS, header, imageRecord, layer, make, picture, world } from './models';
import { shown } from './page';

export const STEPS = 4;
export const WIDTH = 464; // of every strip: 600 without the names
const NO_TOKENS = { sequence: -1, offset: 0 };

/** Units down, time across. */
export function timePicture(axes: [string, number][], units: number, unit: string, steps = STEPS): PictureEntry {
  const shape = picture(axes, units, steps, 8);
  return { ...shape, row_dim: unit, row_trait: unit, col_dim: 'time', col_trait: 'time' };
}

export function frames(unit: string, time: PictureEntry | null, more: Partial<MemoryFrames> = {}): MemoryFrames {
  const none = { wrote: null, wrote_unit: null, reads: null, saturation: false, lags: 0, entries: 0 };
  return { memory: 0, units: unit, time, pinned: null, tokens: NO_TOKENS, ...none, ...more };
}

export function part(dims: string[], shape: number[], memory: MemoryFrames, extents: Record<string, number>): RecordEntry {
  return { ...imageRecord(1, 1), dims, shape, memory, extents, frame: null, stats: null };
}

export function partLayer(kind: string, record: number, item = ''): LayerEntry {
  return { ...layer(`${kind} of enc`, [record]), path: 'enc', kind, item };
}

const vectors = ['batch', 'time', 'channel'];
const along = { sample: 2, time: STEPS, channel: 3 };

/** Layers: conv, then cell, gate.f and read_weights of the memory "enc". Two samples. */
export function memoryCatalog(more: Partial<MemoryFrames> = {}, pool: Partial<PictureEntry> = {}): Catalog {
  const units = { ...timePicture([['sample', 2]], 3, 'channel'), ...pool };
  const heads = timePicture([['sample', 2], ['head', 2]], 2, 'slot');
  const records = [
    imageRecord(1, 1),
    part(vectors, [2, STEPS, 3], frames('channel', units, more), along),
    part(vectors, [2, STEPS, 3], frames('channel', units, { pinned: [0, 1], ...more }), along),
    part(['batch', 'time', 'head', 'slot'], [2, STEPS, 2, 2], frames('slot', heads, { pinned: [0, 1], ...more }), {
      sample: 2,
      time: STEPS,
      head: 2,
      slot: 2,
    }),
  ];
  const memory = {
    label: 'enc',
    form: 'vector',
    layers: [1, 2, 3],
    content: 1,
    attention: -1,
    phase: '',
    law: 'cell_t = f_t · cell_{t-1} + i_t · g_t',
    note: '',
  };
  const layers = [layer('conv', [0]), partLayer('cell', 1), partLayer('gate.f', 2), partLayer('read_weights', 3)];
  return { ...NO_TEXTS, memories: [memory], layers, records, lo: null, hi: null };
}

/** A page "time" of `count` frames of `units` x 4 cells: codes go up from 0, values from `lo` to `hi`. */
export function timePage(record: number, count: number, units: number, lo = -1, hi = 3, kind = 'time'): PageState {
  const data = Uint8Array.from({ length: count * units * STEPS }, (_, cell) => cell * 20);
  const ends = { lo: new Float64Array(count).fill(lo), hi: new Float64Array(count).fill(hi) };
  return { ...header({ record, kind, page: 0 } as never, [count, units, STEPS]), data, ...ends };
}

/** A page "units": the row r of either order holds `units[r]`. */
export function unitsPage(record: number, units: number[]): PageState {
  const data = Float32Array.from([...units.map(() => 1), ...units, ...units]);
  const none = new Float64Array(0);
  return { ...header({ record, kind: 'units', page: 0 } as never, [3, 1, units.length], 'float32'), data, lo: none, hi: none };
}

export const ALL_PAGES = [timePage(1, 2, 3), timePage(2, 2, 3, 0, 1), timePage(3, 4, 2, 0, 1)];

export interface PanelOptions {
  pages?: object[];
  order?: string;
  comm?: FakeComm;
}

export function panelsOf(catalog: Catalog, { pages = [], order = 'index', comm }: PanelOptions = {}) {
  const { store, selection } = world(catalog, comm, { pages });
  const model = make(MemoryPanelsModel, { selection, order });
  const view = shown(MemoryPanelsView, model);
  const rows = () => [...view.el.querySelectorAll<HTMLElement>('.memviz-panel')];
  const strip = (row: number) => rows()[row].querySelector('.memviz-panel-strip') as HTMLElement;
  return { store, selection, model, view, rows, strip };
}

/** Says where a strip lies, which jsdom does not know: `cols` x `units` cells of 10 x 10 pixels from 0, 0. */
export function lieAt(strip: HTMLElement, cols: number, units: number): void {
  strip.getBoundingClientRect = () => new DOMRect(0, 0, 10 * cols, 10 * units);
}

/** A mouse event in the middle of a cell of a strip that `lieAt` has placed. */
export function mouse(strip: HTMLElement, type: string, row: number, col: number): void {
  const event = new MouseEvent(type, { bubbles: true, clientX: 10 * col + 5, clientY: 10 * row + 5 });
  strip.dispatchEvent(event);
}
