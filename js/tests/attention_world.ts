/** Attention of a size and with texts of your own, with its weights in the page: for the views of tokens. */

import type { AttentionEntry, Catalog, PictureEntry, RecordEntry } from '../src/catalog';
import type { PageState } from '../src/pages';
import { header, imageRecord, layer, picture, world } from './models';

export const HOSTILE = ['<img src=x onerror=alert(1)>', 'שלום', '👩‍👩‍👧‍👦', '', 'a'.repeat(10_000), 'x\u202ey', '\n', ' '];

interface Size {
  queries: number;
  keys: number;
  heads?: number;
  samples?: number;
  pool?: [number, number];
}

/** Which texts stand along the axes; no sequence where nothing is said. */
interface Texts {
  tokens?: string[][][];
  query_tokens?: AttentionEntry['query_tokens'];
  key_tokens?: AttentionEntry['key_tokens'];
}

const NO_TOKENS = { sequence: -1, offset: 0 };

export function attentionOf(size: Size, texts: Texts = {}): RecordEntry {
  const { queries, keys, heads = 1, samples = 1, pool = [1, 1] } = size;
  const sample: [string, number] = ['sample', samples];
  const head: [string, number] = ['head', heads];
  const map = (axes: [string, number][]): PictureEntry => ({
    ...picture(axes, Math.ceil(queries / pool[0]), Math.ceil(keys / pool[1]), 1),
    full_rows: queries,
    full_cols: keys,
    pool_rows: pool[0],
    pool_cols: pool[1],
    row_dim: 'query',
    col_dim: 'key',
    row_trait: 'query',
    col_trait: 'key',
  });
  const frame = map([sample, head]);
  const attention: AttentionEntry = {
    queries,
    keys,
    heads,
    tiles: frame,
    row: frame,
    log: frame,
    mean: map([sample]),
    max: map([sample]),
    difference: map([sample, head, ['other', heads]]),
    rollout: null,
    flow: null,
    query_tokens: texts.query_tokens ?? NO_TOKENS,
    key_tokens: texts.key_tokens ?? NO_TOKENS,
  };
  return {
    ...imageRecord(samples, heads),
    dims: ['batch', 'head', 'query', 'key'],
    extents: { sample: samples, head: heads, query: queries, key: keys, time: queries },
    frame,
    attention,
  };
}

/** A page of one frame with these codes and this range. */
export function mapPage(record: RecordEntry, codes: ArrayLike<number>, more: Partial<PageState> = {}): PageState {
  const { rows, cols } = record.frame as PictureEntry;
  const lo = Float64Array.of(0);
  const hi = Float64Array.of(1);
  return { ...header({ record: 0, kind: 'frame', page: 0 }, [1, rows, cols]), data: Uint8Array.from(codes), lo, hi, ...more };
}

/** A world of that record alone, and of a layer without attention after it. */
export function attentionWorld(record: RecordEntry, pages: PageState[], tokens: string[][][] = []) {
  const weights = { ...layer('attn attention', [0]), path: 'attn', kind: 'attention' };
  const plain = { ...imageRecord(1, 1), extents: { sample: 1 } };
  const catalog: Catalog = {
    layers: [weights, layer('mlp', [1])],
    records: [record, plain],
    lo: null,
    hi: null,
    tokens,
    head_measures: [],
    head_kinds: [],
    memories: [],
    entry_measures: [],
    step_labels: [],
  };
  return world(catalog, undefined, { pages });
}

/** `record` with a flow: a row of keys for each query. */
export function withFlow(record: RecordEntry): RecordEntry {
  const { attention } = record;
  if (!attention) {
    return record;
  }
  const [sample] = attention.mean.axes;
  const query = { trait: 'query', dim: 'query', size: attention.queries };
  const row = { rows: 1, full_rows: 1, pool_rows: 1, row_dim: '', row_trait: '' };
  const pages = { frames: sample.size * query.size, frames_per_page: 1 };
  return { ...record, attention: { ...attention, flow: { ...attention.mean, ...row, ...pages, axes: [sample, query] } } };
}

/** The flow of one query of the first sample. */
export function flowPage(record: RecordEntry, query: number, codes: number[], largest = 1): PageState {
  const page = { record: 0, kind: 'flow', page: query } as const;
  const [lo, hi] = [Float64Array.of(0), Float64Array.of(largest)];
  return { ...header(page, [1, 1, record.attention?.flow?.cols ?? 0]), data: Uint8Array.from(codes), lo, hi };
}
