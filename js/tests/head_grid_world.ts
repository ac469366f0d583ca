/** Attention for the tests of HeadGrid: layers of heads with small maps and measures, made up. */

import type { AttentionEntry, Catalog, RecordEntry } from '../src/catalog';
import { HeadGridModel, HeadGridView } from '../src/head_grid';
import type { PageState } from '../src/pages';
import { FakeComm, NO_TEXTS, attentionRecord, framePage, header, layer, make, picture, world } from './models';
import { shown } from './page';

export const MEASURES = ['entropy', 'distance', 'sink', 'induction', 'kind', 'score'];
export const KINDS = ['previous token', 'sink'];

/** Maps of 2 x 2 cells; one page per sample. */
export function attention(samples: number, heads: number, queries = 2): AttentionEntry {
  const one = picture([['sample', samples]], queries, 2, 1);
  const each = picture([['sample', samples], ['head', heads]], queries, 2, heads);
  const texts = { sequence: -1, offset: 0 };
  const sizes = { queries, keys: 2, heads };
  const maps = { tiles: each, row: each, log: each, mean: one, max: one, difference: null, rollout: null, flow: null };
  return { ...sizes, ...maps, query_tokens: texts, key_tokens: texts };
}

export function headsRecord(samples: number, heads: number): RecordEntry {
  return { ...attentionRecord(samples, heads), attention: attention(samples, heads) };
}

/** conv, then `layers` of attention called h.0.attn, h.1.attn ... of `heads` heads and two samples. */
export function headsCatalog(layers: number, heads: number): Catalog {
  const attentions = Array.from({ length: layers }, (_, i) => {
    const path = `h.${i}.attn`;
    return { ...layer(`${path} attention`, [i + 1]), path, kind: 'attention' };
  });
  const records = [attentionRecord(1, 1), ...attentions.map(() => headsRecord(2, heads))];
  const named = { head_measures: MEASURES, head_kinds: KINDS };
  return { ...NO_TEXTS, ...named, layers: [layer('conv', [0]), ...attentions], records, lo: null, hi: null };
}

/** A page of tiles: the codes count up from 0. */
export function tilesPage(record: number, sample: number, heads: number): PageState {
  return framePage({ record, kind: 'tiles', page: sample }, [heads, 2, 2]);
}

/** A page of measures: one list per name of MEASURES. */
export function headsPage(record: number, sample: number, rows: number[][]): PageState {
  const name = { record, kind: 'heads' as const, page: sample };
  const none = new Float64Array(0);
  const head = header(name, [rows.length, 1, rows[0].length], 'float32');
  return { ...head, data: Float32Array.from(rows.flat()), lo: none, hi: none };
}

/** Three heads: the second is a previous-token head, the last a sink; induction is not defined anywhere. */
export const THREE = [
  [0.2, 0.9, 0.5],
  [1.5, 3, 1.5],
  [0.1, 0.2, 0.75],
  [NaN, NaN, NaN],
  [-1, 0, 1],
  [NaN, 0.8, 0.75],
];

export interface GridOptions {
  pages?: object[];
  order?: string;
  comm?: FakeComm;
}

export function gridOf(catalog: Catalog, { pages = [], order = 'index', comm }: GridOptions = {}) {
  const { store, selection } = world(catalog, comm, { pages });
  const model = make(HeadGridModel, { selection, order });
  const view = shown(HeadGridView, model);
  const grid = view.el.querySelector('[role=grid]') as HTMLElement;
  const cell = (row: number, head: number) =>
    grid.querySelector(`.memviz-heads-row[data-row='${row}'] .memviz-head[data-head='${head}']`) as HTMLElement;
  return { store, selection, model, view, grid, cell };
}
