/**
 * What pages a cursor needs, most urgent first. Pure: no pages, no messages, no listeners.
 *
 * In: the catalog and a cursor. Out: the visible pages, then the pages that a scrub is likely to reach next.
 */

import { isProvenance, recordAt } from './catalog';
import type { AttentionKind, Catalog, MemoryKind, MemoryMeasure, PictureEntry, Place, RecordEntry } from './catalog';
import { pageId } from './pages';
import type { PageName } from './pages';

/** The part of a SelectionModel that prefetching reads. */
export interface Cursor {
  place(): Place | null;
  layerIndex(): number;
  stepIndex(): number;
  callIndex(): number;
  flat(picture: PictureEntry, replace?: Record<string, number>): number;
}

/** The part of a PictureChoiceModel that prefetching reads: which map of an attention is shown. */
export interface MapCursor {
  readonly pageKind: PictureKind;
  place(): Place | null;
  picture(): PictureEntry | null;
  flat(): number;
}

export interface Plan {
  visible: PageName[];
  near: PageName[];
}

export type PictureKind = 'frame' | 'sheet' | 'series' | AttentionKind | MemoryKind;
type Measured = 'channels' | 'histogram';

/** Its pages take the kernel a second or two each: they are never asked for on a guess, and each alone. */
const COSTLY: PageName['kind'] = 'flow';
const NEVER = Number.POSITIVE_INFINITY;
const HISTOGRAM_BYTES = 1024; // 64 float64 counts, two edges, and room for the header

/** The geometry of a record's frames of one kind; null: it has none. */
export function pictureOf(record: RecordEntry, kind: PictureKind): PictureEntry | null {
  switch (kind) {
    case 'frame':
    case 'sheet':
    case 'series':
      return record[kind];
    case 'time':
    case 'timescale':
    case 'similarity':
      return record.memory?.time ?? null;
    case 'wrote':
    case 'wrote_unit':
    case 'reads':
      return record.memory?.[kind] ?? null;
    default:
      return record.attention?.[kind] ?? null;
  }
}

/** Bytes of one page, of its data alone; what asking for it will cost. */
export function pageBytes(catalog: Catalog, name: PageName): number {
  const record = catalog.records[name.record];
  if (name.kind === 'histogram') {
    return HISTOGRAM_BYTES;
  }
  if (name.kind === 'channels') {
    return 3 * 4 * record.channels;
  }
  if (name.kind === 'heads') {
    return 4 * catalog.head_measures.length * (record.attention?.heads ?? 0);
  }
  if (isMeasure(name.kind)) {
    return 4 * measureCells(catalog, record, name.kind);
  }
  const picture = pictureOf(record, name.kind);
  if (!picture) {
    return 0;
  }
  const frames = Math.min(picture.frames_per_page, picture.frames - name.page * picture.frames_per_page);
  const cellBytes = name.kind === 'series' ? 4 : 1;
  return frames * (picture.rows * picture.cols * cellBytes + 16);
}

const MEASURES: PageName['kind'][] = ['units', 'saturation', 'retention', 'entries'] satisfies MemoryMeasure[];

function isMeasure(kind: PageName['kind']): kind is MemoryMeasure {
  return MEASURES.includes(kind);
}

/** Numbers in one page of a measure of a memory. */
function measureCells({ entry_measures }: Catalog, { memory }: RecordEntry, kind: MemoryMeasure): number {
  const [units, steps] = [memory?.time?.full_rows ?? 0, memory?.time?.full_cols ?? 0];
  switch (kind) {
    case 'units':
      return 3 * units;
    case 'saturation':
      return 2 * units;
    case 'retention':
      return (units + 1) * (memory?.lags ?? 0);
    case 'entries':
      return entry_measures.length * (memory?.entries ?? 0) * steps;
  }
}

/** Weights of attention that the kernel computes in the time in which it sends a byte. */
const WEIGHTS_PER_BYTE = 64;

/** What asking for a page costs, in bytes: an overview of a long text is few bytes, and much work for the kernel. */
export function requestCost(catalog: Catalog, name: PageName): number {
  if (isCostly(name)) {
    return Infinity;
  }
  const attention = catalog.records[name.record].attention;
  const overview = (name.kind === 'tiles' || name.kind === 'heads') && attention;
  const weights = overview ? attention.heads * attention.queries * attention.keys : 0;
  return pageBytes(catalog, name) + (weights + sharesBehind(catalog, name)) / WEIGHTS_PER_BYTE;
}

/** Products that are summed for a map of who wrote what: read at x written at x units. */
function sharesBehind(catalog: Catalog, { record, kind }: PageName): number {
  const memory = catalog.records[record].memory;
  const shares = memory && isProvenance(kind) ? memory[kind] : null;
  const units = kind === 'wrote_unit' ? 1 : (memory?.time?.full_rows ?? 1);
  return shares ? shares.full_rows * shares.full_cols * units : 0;
}

/** Whether the page is only ever asked for while it is looked at. */
export function isCostly({ kind }: Pick<PageName, 'kind'>): boolean {
  return kind === COSTLY;
}

/** Pages for a cursor. Those in `near` stay within `limitBytes` together with the visible ones. */
export function planPages(catalog: Catalog, cursor: Cursor, limitBytes: number): Plan {
  const place = cursor.place();
  if (place === null) {
    return { visible: [], near: [] };
  }
  const visible = visiblePages(place, cursor);
  const cost = (names: PageName[]) => names.reduce((sum, name) => sum + pageBytes(catalog, name), 0);
  // Half of the limit for the selected record, so that the neighbouring layers come before its far end.
  const near = within(recordPages(place, cursor), catalog, limitBytes / 2 - cost(visible));
  const next = within(neighbourPages(catalog, cursor), catalog, limitBytes - cost(visible) - cost(near));
  const planned = new Set([...visible, ...near, ...next].map(pageId));
  const rest = [...otherSteps(catalog, place, cursor), ...otherSamples(place, cursor)].filter(
    (name) => !planned.has(pageId(name)),
  );
  const left = limitBytes - cost(visible) - cost(near) - cost(next);
  return { visible, near: [...near, ...next, ...within(rest, catalog, left)] };
}

/**
 * Pages for a map that is looked at: its own, and those beside it where they cost little, and no replay; in a time-lapse
 * the same of the other steps, as far as `limitBytes` goes.
 */
export function planMap(catalog: Catalog, choice: MapCursor, limitBytes: number): Plan {
  const place = choice.place();
  const picture = choice.picture();
  if (!place || !picture) {
    return { visible: [], near: [] };
  }
  const { index: record, record: entry } = place;
  const page = Math.floor(choice.flat() / picture.frames_per_page);
  const last = Math.ceil(picture.frames / picture.frames_per_page) - 1;
  const kind = choice.pageKind;
  const alone = entry.on_demand || isCostly({ kind }) || isProvenance(kind);
  const beside: [number, number] = alone ? [page, page] : [Math.max(0, page - 1), Math.min(last, page + 1)];
  const steps = alone ? [] : sameInOtherSteps(catalog, place).map((other) => ({ record: other, kind, page }));
  const shown = steps.filter((name) => pictureOf(catalog.records[name.record], kind));
  const near = [...outward(record, kind, page, beside), ...within(shown, catalog, limitBytes)];
  return { visible: [{ record, kind, page }], near };
}

/** The first of `names` whose bytes fit into `limitBytes` together. */
function within(names: Iterable<PageName>, catalog: Catalog, limitBytes: number): PageName[] {
  const fitting: PageName[] = [];
  let bytes = 0;
  for (const name of names) {
    bytes += pageBytes(catalog, name);
    if (bytes > limitBytes) {
      break;
    }
    fitting.push(name);
  }
  return fitting;
}

function visiblePages(place: Place, cursor: Cursor): PageName[] {
  const { index, record } = place;
  if (record.frame === null) {
    return []; // nothing was kept; the record's message says why
  }
  const names: PageName[] = [];
  for (const kind of ['frame', 'sheet', 'series'] as const) {
    const name = pageAtCursor(index, record[kind], kind, cursor);
    if (name !== null) {
      names.push(name);
    }
  }
  const measured: Measured[] = record.channels > 0 ? ['channels', 'histogram'] : ['histogram'];
  return [...names, ...measured.map((kind) => ({ record: index, kind, page: 0 }))];
}

function pageAtCursor(
  record: number,
  picture: PictureEntry | null,
  kind: PictureKind,
  cursor: Cursor,
): PageName | null {
  if (picture === null || picture.frames === 0) {
    return null;
  }
  return { record, kind, page: Math.floor(cursor.flat(picture) / picture.frames_per_page) };
}

/** The other pages of the selected record: its tiles on show, then outward from the cursor. */
function* recordPages({ index, record }: Place, cursor: Cursor): Generator<PageName> {
  for (const kind of ['sheet', 'frame', 'series'] as const) {
    const picture = record[kind];
    if (picture !== null && picture.frames > 0) {
      const limits = kind === 'sheet' ? channelPages(picture, cursor) : samplePages(picture, cursor);
      yield* outward(index, kind, Math.floor(cursor.flat(picture) / picture.frames_per_page), limits);
    }
  }
}

/** The page under the cursor's indices, and its tiles, in the other steps of a time-lapse. */
function* otherSteps(catalog: Catalog, place: Place, cursor: Cursor): Generator<PageName> {
  for (const index of sameInOtherSteps(catalog, place)) {
    for (const kind of ['frame', 'sheet'] as const) {
      const name = pageAtCursor(index, catalog.records[index][kind], kind, cursor);
      if (name !== null) {
        yield name;
      }
    }
  }
}

/** The same call of the layer in the other steps of a time-lapse, nearest first: what its slider and play button reach. */
function sameInOtherSteps({ step_labels, records }: Catalog, { index, layer }: Place): number[] {
  const here = layer.records.findIndex((calls) => calls.includes(index));
  if (!step_labels?.length || here < 0) {
    return [];
  }
  const call = layer.records[here].indexOf(index);
  const steps = layer.records.map((_, step) => step).sort((a, b) => Math.abs(a - here) - Math.abs(b - here));
  const found = steps.flatMap((step) => recordAt(layer, step, call) ?? []);
  return [...new Set(found)].filter((record) => record !== index && !records[record].on_demand);
}

/** Every page of the selected record, outward from the cursor: what the sample slider reaches. */
function* otherSamples({ index, record }: Place, cursor: Cursor): Generator<PageName> {
  for (const kind of ['frame', 'sheet', 'series'] as const) {
    const picture = record[kind];
    if (picture !== null && picture.frames > 0) {
      const last = Math.ceil(picture.frames / picture.frames_per_page) - 1;
      yield* outward(index, kind, Math.floor(cursor.flat(picture) / picture.frames_per_page), [0, last]);
    }
  }
}

/** First and last page of all tiles that one contact sheet shows: every channel at the cursor's other indices. */
function channelPages(picture: PictureEntry, cursor: Cursor): [number, number] {
  const first = cursor.flat(picture, { channel: 0 });
  const last = cursor.flat(picture, { channel: NEVER });
  return [Math.floor(first / picture.frames_per_page), Math.floor(last / picture.frames_per_page)];
}

/** First and last page of the record for the cursor's sample. */
function samplePages(picture: PictureEntry, cursor: Cursor): [number, number] {
  const ends = (value: number) =>
    Object.fromEntries(picture.axes.filter((axis) => axis.trait !== 'sample').map((axis) => [axis.trait, value]));
  const first = cursor.flat(picture, ends(0));
  const last = cursor.flat(picture, ends(NEVER));
  return [Math.floor(first / picture.frames_per_page), Math.floor(last / picture.frames_per_page)];
}

/** Pages on both sides of `start`, nearest first, the one in scrubbing direction (up) before the one below. */
function* outward(
  record: number,
  kind: PictureKind,
  start: number,
  [first, last]: [number, number],
): Generator<PageName> {
  const reach = Math.max(last - start, start - first);
  for (let distance = 1; distance <= reach; distance++) {
    for (const page of [start + distance, start - distance]) {
      if (page >= first && page <= last) {
        yield { record, kind, page };
      }
    }
  }
}

/** Whether a recording has what would be computed again, by its records: looked for once. */
const recomputed = new WeakMap<readonly RecordEntry[], boolean>();

function isRecomputed({ records }: Catalog): boolean {
  const known = recomputed.get(records) ?? records.some((record) => record.on_demand);
  recomputed.set(records, known);
  return known;
}

/** The page under the cursor's indices and its tiles, for the next and the previous layer, step and call. */
function* neighbourPages(catalog: Catalog, cursor: Cursor): Generator<PageName> {
  if (isRecomputed(catalog)) {
    return; // what the budget did not hold is computed again for whoever asks: never for a guess
  }
  for (const index of neighbours(catalog, cursor)) {
    for (const kind of ['frame', 'sheet'] as const) {
      const name = pageAtCursor(index, catalog.records[index][kind], kind, cursor);
      if (name !== null) {
        yield name;
      }
    }
  }
}

/** Records one step of a slider away, each once, without the selected one. */
function neighbours(catalog: Catalog, cursor: Cursor): Set<number> {
  const [layer, step, call] = [cursor.layerIndex(), cursor.stepIndex(), cursor.callIndex()];
  const found = new Set<number>();
  for (const [layers, steps, calls] of [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]) {
    const entry = catalog.layers[layer + layers];
    const index = entry && recordAt(entry, step + steps, call + calls);
    if (index !== undefined) {
      found.add(index);
    }
  }
  found.delete(cursor.place()?.index ?? -1); // the last call has none after it
  return found;
}
