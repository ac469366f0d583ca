/**
 * The widget state of a frozen page, as export/page.py wrote it.
 *
 * In: JSON, and inflated blobs by name. Out: the state that a widget manager restores, with its buffers.
 */

import { put_buffers } from '@jupyter-widgets/base';
import type { ManagerBase } from '@jupyter-widgets/base-manager';

/** Where the bytes of one buffer are: place in the state, name of the blob, first byte, number of bytes. */
export type BufferPlace = [path: (string | number)[], blob: string, start: number, count: number];

export interface FrozenModel {
  model_name: string;
  model_module: string;
  model_module_version: string;
  state: Record<string, unknown>;
  buffers?: BufferPlace[];
}

export interface FrozenState {
  models: Record<string, FrozenModel>;
  /** Model ids of the views, top to bottom. */
  views: string[];
}

/** What `ManagerBase.set_state` takes. */
export type ManagerState = Parameters<ManagerBase['set_state']>[0];

/** Puts the buffers in their places, each in memory of its own: bqplot reads from where that begins, whatever a view says. */
export function managerState({ models }: FrozenState, blobs: Record<string, Uint8Array>): ManagerState {
  const state: Record<string, Omit<FrozenModel, 'buffers'>> = {};
  for (const [id, { buffers = [], ...model }] of Object.entries(models)) {
    const views = buffers.map(([, blob, start, count]) => viewOf(blobs, blob, start, count));
    put_buffers(model.state as Parameters<typeof put_buffers>[0], buffers.map(([path]) => path), views);
    state[id] = model;
  }
  return { version_major: 2, version_minor: 0, state: state as ManagerState['state'] };
}

function viewOf(blobs: Record<string, Uint8Array>, name: string, start: number, count: number): DataView {
  const blob = blobs[name];
  if (!blob || start + count > blob.byteLength) {
    throw new Error(`This page is damaged: ${count} bytes of '${name}' are missing.`);
  }
  return new DataView(blob.slice(start, start + count).buffer);
}
