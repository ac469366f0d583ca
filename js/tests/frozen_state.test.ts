import { describe, expect, it } from 'vitest';

import { managerState } from '../src/frozen_state';
import type { FrozenState } from '../src/frozen_state';

function frozen(): FrozenState {
  return {
    views: ['w0'],
    models: {
      w0: {
        model_name: 'FrameStoreModel',
        model_module: 'memviz-widgets',
        model_module_version: '*',
        state: { pages: [{ record: 3 }, { record: 4 }] },
        buffers: [
          [['pages', 0, 'data'], 's0', 0, 2],
          [['pages', 1, 'data'], 's0', 8, 3],
        ],
      },
    },
  };
}

describe('managerState', () => {
  const bytes = new Uint8Array([1, 2, 0, 0, 0, 0, 0, 0, 7, 8, 9]);

  it('puts buffers where they belong, each at the start of its own memory', () => {
    const made = managerState(frozen(), { s0: bytes });
    const { pages } = made.state.w0.state as unknown as { pages: { record: number; data: DataView }[] };
    expect(pages.map(({ record }) => record)).toEqual([3, 4]);
    expect(pages.map(({ data }) => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)])).toEqual([
      [1, 2],
      [7, 8, 9],
    ]);
    expect(pages.map(({ data }) => data.buffer.byteLength)).toEqual([2, 3]);
    expect(made).toMatchObject({ version_major: 2, version_minor: 0 });
    expect(made.state.w0).not.toHaveProperty('buffers');
  });

  it('reads a blob that is a view itself', () => {
    const inside = new Uint8Array([9, 9, ...bytes]).subarray(2);
    const { pages } = managerState(frozen(), { s0: inside }).state.w0.state as unknown as { pages: { data: DataView }[] };
    expect(pages[1].data.getUint8(0)).toBe(7);
  });

  it('says that bytes are missing', () => {
    expect(() => managerState(frozen(), { s0: bytes.subarray(0, 10) })).toThrow(
      "This page is damaged: 3 bytes of 's0' are missing.",
    );
    expect(() => managerState(frozen(), {})).toThrow("This page is damaged: 2 bytes of 's0' are missing.");
  });
});
