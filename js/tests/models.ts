/** Small worlds for the tests: catalogs, pages, a comm that records what is sent, models without a manager. */

import type { WidgetModel } from '@jupyter-widgets/base';
import { WidgetModel as BaseModel } from '@jupyter-widgets/base';

import type { Catalog, LayerEntry, PictureEntry, RecordEntry, StatsEntry } from '../src/catalog';
import { FrameStoreModel } from '../src/frame_store';
import type { PageHeader, PageName, PageState } from '../src/pages';
import { SelectionModel } from '../src/selection';

let modelsMade = 0;

/** A comm without a kernel behind it; `custom` are the contents of custom messages, `updates` the states sent. */
export class FakeComm {
  custom: Record<string, unknown>[] = [];
  updates: Record<string, unknown>[] = [];
  closed = false;
  failing = false;

  send(data: { method: string; content?: Record<string, unknown>; state?: Record<string, unknown> }): string {
    if (this.failing) {
      throw new Error('Kernel is dead');
    }
    if (data.method === 'custom') {
      this.custom.push(data.content ?? {});
    } else {
      this.updates.push(data.state ?? {});
    }
    return `message-${this.custom.length + this.updates.length}`;
  }
  close(): void {
    this.closed = true;
  }
  on_msg(): void {}
  on_close(): void {}
}

type ModelClass<M> = new (attributes: object, options: never) => M;

/** A model as the manager would make it; no comm means no kernel. */
export function make<M extends WidgetModel>(cls: ModelClass<M>, state: object, comm?: FakeComm): M {
  modelsMade += 1;
  const options = { model_id: `model-${modelsMade}`, comm, widget_manager: { callbacks: () => ({}) } };
  return new cls(state, options as never);
}

/** A model of somebody else: a slider, a play button, a bqplot mark. */
export function foreign(state: object, comm?: FakeComm): WidgetModel {
  return make(BaseModel as unknown as ModelClass<WidgetModel>, state, comm);
}

export function stats(min: number | null, max: number | null): StatsEntry {
  return { min, max, mean: 0, std: 1, zeros: 0, nan: 0, posinf: 0, neginf: 0, count: 1 };
}

export function picture(axes: [string, number][], rows: number, cols: number, framesPerPage: number): PictureEntry {
  return {
    rows,
    cols,
    full_rows: rows,
    full_cols: cols,
    pool_rows: 1,
    pool_cols: 1,
    row_dim: 'height',
    col_dim: 'width',
    row_trait: '',
    col_trait: '',
    axes: axes.map(([trait, size]) => ({ trait, dim: trait, size })),
    frames: axes.reduce((product, [, size]) => product * size, 1),
    frames_per_page: framesPerPage,
  };
}

/** The part of a catalog that only attention and memories have. */
export const NO_TEXTS = { tokens: [], head_measures: [], head_kinds: [], memories: [], entry_measures: [], step_labels: [] };

/** A record of frames over `sample` and `channel`, without tiles, series and channel measures. */
export function imageRecord(samples: number, channels: number, framesPerPage = 2): RecordEntry {
  return {
    shape: [samples, channels, 2, 3],
    dims: ['batch', 'channel', 'height', 'width'],
    dtype: 'float32',
    nbytes: samples * channels * 24,
    kept: true,
    on_demand: false,
    message: '',
    stats: stats(-1, 3),
    extents: { sample: samples, channel: channels },
    frame: picture(
      [
        ['sample', samples],
        ['channel', channels],
      ],
      2,
      3,
      framesPerPage,
    ),
    sheet: null,
    series: null,
    channels: 0,
    attention: null,
    memory: null,
  };
}

/** A layer of a recording of one step: its records by call. */
export function layer(label: string, calls: number[]): LayerEntry {
  return stepped(label, [calls]);
}

/** A layer with its records by step and call. */
export function stepped(label: string, records: number[][]): LayerEntry {
  return { path: label, module_type: 'Conv2d', kind: 'output', item: '', label, records };
}

/** Weights of attention over `sample` and `head`, without statistics. */
export function attentionRecord(samples: number, heads: number): RecordEntry {
  const shown = picture([['sample', samples], ['head', heads]], 2, 3, 2);
  return {
    ...imageRecord(samples, heads),
    dims: ['batch', 'head', 'query', 'key'],
    stats: null,
    extents: { sample: samples, head: heads, query: 2, key: 3 },
    frame: { ...shown, row_dim: 'query', col_dim: 'key', row_trait: 'query', col_trait: 'key' },
  };
}

/** An attention record alone in its recording. */
export function attentionCatalog(): Catalog {
  const weights = { ...layer('attn attention', [0]), path: 'attn', kind: 'attention' };
  return { ...NO_TEXTS, layers: [weights], records: [attentionRecord(1, 4)], lo: null, hi: null };
}

/** One layer per record, called a, b, c ... */
export function catalogOf(...records: RecordEntry[]): Catalog {
  return { ...NO_TEXTS, layers: records.map((_, index) => layer('abcdefgh'[index], [index])), records, lo: -1, hi: 3 };
}

export function header(name: PageName, shape: [number, number, number], dtype: PageHeader['dtype'] = 'uint8'): PageHeader {
  return { ...name, dtype, shape, sampled: false };
}

/** A page of frames whose codes count up from 0; lo = frame number, hi = lo + 1. */
export function framePage(name: PageName, shape: [number, number, number]): PageState {
  const [frames, rows, cols] = shape;
  const data = Uint8Array.from({ length: frames * rows * cols }, (_, cell) => cell % 253);
  const lo = Float64Array.from({ length: frames }, (_, frame) => frame);
  const hi = lo.map((value) => value + 1);
  return { ...header(name, shape), data, lo, hi };
}

/** Hands a store the kernel's answer, as if it had come over the comm. */
export function answer(store: FrameStoreModel, content: object, buffers: ArrayBufferView[] = []): void {
  const views = buffers.map((buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength));
  store.trigger('msg:custom', content, views);
}

/** Answers one request in full, every want with a page of the right geometry. */
export function answerAll(store: FrameStoreModel, request: Record<string, unknown>): void {
  const id = request.id as number;
  for (const want of request.wants as PageName[]) {
    if (want.kind === 'histogram') {
      const data = new Float64Array(64);
      answer(store, { type: 'page', id, ...header(want, [1, 1, 64], 'float64') }, [data, Float64Array.of(0), Float64Array.of(1)]);
      continue;
    }
    const entry = store.catalog.records[want.record].frame as PictureEntry;
    const frames = Math.min(entry.frames_per_page, entry.frames - want.page * entry.frames_per_page);
    const { data, lo, hi, ...rest } = framePage(want, [frames, entry.rows, entry.cols]);
    answer(store, { type: 'page', id, ...rest }, [data, lo, hi] as ArrayBufferView[]);
  }
  answer(store, { type: 'done', id });
}

/** A store and a cursor on it. */
export function world(catalog: Catalog, comm?: FakeComm, state: object = {}): { store: FrameStoreModel; selection: SelectionModel } {
  const store = make(FrameStoreModel, { catalog, ...state }, comm);
  return { store, selection: make(SelectionModel, { store }, comm && new FakeComm()) };
}

/** Lets queued microtasks run. */
export async function settled(): Promise<void> {
  await Promise.resolve();
  await Promise.resolve();
}

/** How many handlers a model carries for its events. */
export function listenerCount(model: WidgetModel): number {
  const events = (model as unknown as { _events?: Record<string, unknown[]> })._events ?? {};
  return Object.values(events).reduce((sum, handlers) => sum + handlers.length, 0);
}
