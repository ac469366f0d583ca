/**
 * Pages: what the kernel sends at once, a block of frames, tiles or series of one record.
 *
 * In: headers and binary buffers from the wire or from saved widget state. Out: typed arrays.
 */

import type { PageKind } from './catalog';

/** Which page: `page` counts blocks of `frames_per_page` frames. */
export interface PageName {
  record: number;
  kind: PageKind;
  page: number;
}

export type PageDtype = 'uint8' | 'float32' | 'float64';

/** The header as it travels; shape is [frames, rows, cols]. */
export interface PageHeader extends PageName {
  dtype: PageDtype;
  shape: [number, number, number];
  sampled: boolean;
  /** Largest error of values that were recovered; null or absent: they were read. */
  residual?: number | null;
  /** Of a page without a kernel: first and number of cells of each run that no rank recorded, one after the other. */
  absent?: number[];
}

/** What a buffer can be: DataView on a live comm, DataView or ArrayBuffer from saved state. */
export type WireBuffer = ArrayBuffer | ArrayBufferView;

/** One entry of the `pages` trait: header and buffers in one object. */
export interface PageState extends PageHeader {
  data: WireBuffer;
  lo: WireBuffer;
  hi: WireBuffer;
}

/** A page ready to be read. lo and hi have one number per frame, or none for exact data. */
export interface Page extends PageHeader {
  data: Uint8Array | Float32Array | Float64Array;
  lo: Float64Array;
  hi: Float64Array;
  bytes: number;
}

const ELEMENT_BYTES: Record<PageDtype, number> = { uint8: 1, float32: 4, float64: 8 };

/** The name as one string, for maps and sets. */
export function pageId(name: PageName): string {
  return `${name.record}/${name.kind}/${name.page}`;
}

/** The page behind a header and its three buffers [data, lo, hi]; throws when sizes do not agree. */
export function pageFromWire(header: PageHeader, buffers: readonly WireBuffer[]): Page {
  const [n, rows, cols] = header.shape;
  const [data, lo, hi] = buffers;
  const expected = n * rows * cols * ELEMENT_BYTES[header.dtype];
  if (buffers.length !== 3 || data.byteLength !== expected) {
    const got = buffers.map((buffer) => buffer.byteLength).join(', ');
    throw new Error(`page ${pageId(header)} came with buffers of ${got} bytes; expected 3, the first of ${expected}`);
  }
  const { record, kind, page, dtype, shape, sampled, residual = null, absent } = header;
  return {
    record,
    kind,
    page,
    dtype,
    shape,
    sampled,
    residual,
    ...(absent && { absent }),
    data: typed(data, dtype),
    lo: typed(lo, 'float64') as Float64Array,
    hi: typed(hi, 'float64') as Float64Array,
    bytes: data.byteLength + lo.byteLength + hi.byteLength,
  };
}

/** The page of one entry of the `pages` trait. */
export function pageFromState(state: PageState): Page {
  return pageFromWire(state, [state.data, state.lo, state.hi]);
}

/** The entry that `pageFromState` turns into the same page again; shares the buffers. */
export function pageToState(page: Page): PageState {
  const { record, kind, page: number, dtype, shape, sampled, residual, absent } = page;
  const view = (array: ArrayBufferView) => new DataView(array.buffer, array.byteOffset, array.byteLength);
  const buffers = { data: view(page.data), lo: view(page.lo), hi: view(page.hi) };
  return { record, kind, page: number, dtype, shape, sampled, residual, ...(absent && { absent }), ...buffers };
}

/** The bytes of a buffer as a typed array: a view where alignment allows it, else a copy. */
function typed(buffer: WireBuffer, dtype: PageDtype): Uint8Array | Float32Array | Float64Array {
  const whole = ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer);
  if (dtype === 'uint8') {
    return whole;
  }
  // A typed array must start at a multiple of its element size; a buffer inside a message need not.
  const bytes = whole.byteOffset % ELEMENT_BYTES[dtype] === 0 ? whole : whole.slice();
  const count = bytes.byteLength / ELEMENT_BYTES[dtype];
  return dtype === 'float32'
    ? new Float32Array(bytes.buffer, bytes.byteOffset, count)
    : new Float64Array(bytes.buffer, bytes.byteOffset, count);
}

/** Whether no rank recorded a cell of a page, counted over all of its frames. */
export function isAbsent({ absent = [] }: PageHeader, cell: number): boolean {
  for (let run = 0; run < absent.length; run += 2) {
    if (cell >= absent[run] && cell < absent[run] + absent[run + 1]) {
      return true;
    }
  }
  return false;
}
