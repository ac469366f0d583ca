/**
 * The catalog as it travels, and what the views read of it.
 *
 * In: columns from the kernel, from saved widget state, or from a frozen page. Out: a Catalog whose entries share what is
 * alike. State that was saved by an earlier version is a Catalog already.
 */

import { EMPTY_CATALOG } from './catalog';
import type { Catalog, LayerEntry, RecordEntry } from './catalog';
import type { PackedCatalog, PackedColumn, PackedTable } from './generated/catalog';

type Wire = PackedCatalog | Partial<Catalog>;
type Entry = Record<string, unknown>;
/** What stands in the place `i` of a column. */
type Reader = (i: number) => unknown;

const NUMBERS = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
};

/** What a catalog was unpacked from: it goes into saved widget state as it came. */
const origins = new WeakMap<object, PackedCatalog>();

export function unpackCatalog(wire: Wire | null | undefined): Partial<Catalog> {
  if (!isPacked(wire)) {
    return wire ?? {};
  }
  const catalog: Catalog = {
    ...EMPTY_CATALOG,
    ...(wire.rest as Partial<Catalog>),
    layers: layersOf(wire),
    records: entriesOf(wire.records) as unknown as RecordEntry[],
  };
  origins.set(catalog, wire);
  return catalog;
}

/** The columns that a catalog came in; a catalog that never was packed stays as it is. */
export function packedCatalog(catalog: Partial<Catalog>): Wire {
  return origins.get(catalog) ?? catalog;
}

function isPacked(wire: Wire | null | undefined): wire is PackedCatalog {
  return Boolean(wire && 'rest' in wire);
}

function layersOf({ layers, calls, indices }: PackedCatalog): LayerEntry[] {
  const counts = numbersOf(calls);
  const records = Array.from(numbersOf(indices));
  let step = 0;
  let first = 0;
  return entriesOf(layers).map(({ inside, tail, steps, ...fields }) => {
    const own = Array.from({ length: steps as number }, () => {
      const begin = first;
      first += counts[step++];
      return records.slice(begin, first);
    });
    const label = inside ? `${fields.path}${tail}` : tail;
    return { ...fields, label, records: own } as LayerEntry;
  });
}

function entriesOf({ count, columns, nested }: PackedTable): Entry[] {
  const fields = Object.entries(columns).map(([name, column]) => {
    const read = readerOf(column);
    return [name, name in nested ? within(entriesOf(nested[name]), read) : read] as const;
  });
  return Array.from({ length: count }, (_, i) => {
    const entry: Entry = {};
    for (const [name, read] of fields) {
      entry[name] = read(i);
    }
    return entry;
  });
}

/** The next of the nested entries wherever `there` says so; read once, in order. */
function within(entries: Entry[], there: Reader): Reader {
  let next = 0;
  return (i) => (there(i) ? entries[next++] : null);
}

function readerOf(column: PackedColumn): Reader {
  const { values, data, dtype } = column;
  if (!data) {
    return () => values[0];
  }
  const numbers = numbersOf(column);
  if (dtype.startsWith('float')) {
    return (i) => (Number.isNaN(numbers[i]) ? null : numbers[i]);
  }
  return (i) => values[numbers[i]];
}

/** The numbers of a column, in memory of their own: bytes of a message begin anywhere. */
function numbersOf({ data, dtype }: PackedColumn): ArrayLike<number> {
  if (!data) {
    return [];
  }
  const Numbers = NUMBERS[dtype as keyof typeof NUMBERS];
  return new Numbers(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer);
}
