import { describe, expect, it } from 'vitest';

import type { Catalog } from '../src/catalog';
import { FrameStoreModel } from '../src/frame_store';
import type { PackedCatalog } from '../src/generated/catalog';
import { packedCatalog, unpackCatalog } from '../src/packed_catalog';
import { catalogOf, imageRecord, make } from './models';
import SHARED_JSON from './packed_catalog.json';

// Written by tests/frames/test_packed_catalog.py, which holds the kernel to it.
const SHARED = SHARED_JSON as unknown as { catalog: Catalog; packed: unknown; many: unknown; means: number[] };

/** Buffers as a message brings them: views that begin anywhere. */
function arrived(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(arrived);
  }
  if (value === null || typeof value !== 'object') {
    return value;
  }
  if ('base64' in value) {
    const bytes = Uint8Array.from(atob(value.base64 as string), (letter) => letter.charCodeAt(0));
    const odd = new Uint8Array(bytes.length + 3);
    odd.set(bytes, 3);
    return new DataView(odd.buffer, 3);
  }
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, arrived(item)]));
}

const packed = () => arrived(SHARED.packed) as PackedCatalog;

describe('a packed catalog', () => {
  it('is read as the kernel meant it', () => {
    expect(unpackCatalog(packed())).toEqual(SHARED.catalog);
  });

  it('has every digit of numbers that are sent as bytes', () => {
    const { records } = unpackCatalog(arrived(SHARED.many) as PackedCatalog) as Catalog;
    expect(records.map((record) => record.stats?.mean)).toEqual(SHARED.means);
  });

  it('holds what is alike once', () => {
    const { records } = unpackCatalog(arrived(SHARED.many) as PackedCatalog) as Catalog;
    expect(records[299].shape).toBe(records[0].shape);
  });

  it('is saved as it came', () => {
    const wire = packed();
    expect(packedCatalog(unpackCatalog(wire))).toBe(wire);
  });
});

it('reads a catalog that an earlier version saved, and none', () => {
  const saved = catalogOf(imageRecord(1, 2));
  expect(unpackCatalog(saved)).toBe(saved);
  expect(packedCatalog(saved)).toBe(saved);
  expect([unpackCatalog({}), unpackCatalog(null)]).toEqual([{}, {}]);
});

it('is unpacked for the store, and packed again in its state', async () => {
  const state = await FrameStoreModel._deserialize_state({ catalog: packed() as never }, undefined as never);
  const store = make(FrameStoreModel, state);
  expect(store.catalog.layers.map((layer) => layer.label)).toEqual(SHARED.catalog.layers.map(({ label }) => label));
  const written = store.serialize(store.get_state()) as { catalog: object };
  expect(Object.keys(written.catalog)).toEqual(Object.keys(packed()));
});
