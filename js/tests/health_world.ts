/** A recording with findings, for the tests of the health table. */

import { vi } from 'vitest';

import type { HealthRow } from '../src/generated/catalog';
import { HealthTableModel, HealthTableView } from '../src/health_table';
import { FakeComm, catalogOf, imageRecord, make, world } from './models';
import { shown } from './page';

export function row(kind: string, layer: number, more: Partial<HealthRow> = {}): HealthRow {
  return {
    severity: 'warning',
    kind,
    place: { layer, step: 0, call: 0, label: 'abc'[layer] ?? 'nowhere', when: '' },
    axis: '',
    places: [],
    at: {},
    sentence: `${kind} of ${layer}`,
    measure: 'of positions where it fires',
    value: '0 %',
    bound: 'more than 0 %',
    n: '320 positions',
    before: null,
    ...more,
  };
}

/** NaN in layer b at sample 1, channel 2, after layer a; 20 dead units of layer c; a gate of layer a, a hint. */
export const ROWS: HealthRow[] = [
  row('non-finite', 1, {
    severity: 'error',
    axis: 'channel',
    places: [2],
    at: { sample: 1 },
    before: { layer: 0, step: 0, call: 0, label: 'a', when: '' },
  }),
  row('dead units', 2, { axis: 'channel', places: Array.from({ length: 20 }, (_, unit) => 2 * unit) }),
  row('saturated gate', 0, { severity: 'hint' }),
];
export const CHECKS = [{ kind: 'non-finite', severity: 'error', rule: 'NaN or Inf in any layer' }];

/** The table over layers a (4 channels), b (4 channels, 2 samples) and c (40 channels). */
export function table(state: object = {}, comm?: FakeComm) {
  const records = [imageRecord(1, 4), imageRecord(2, 4), imageRecord(1, 40)];
  const { store, selection } = world(catalogOf(...records), undefined);
  const told = { headline: '1 error, 1 warning and 1 hint in 3 layers', advice: 'Look first at b.', first: 0 };
  const model = make(HealthTableModel, { selection, rows: ROWS, checks: CHECKS, ...told, ...state }, comm);
  if (comm) {
    vi.spyOn(model, 'comm_live', 'get').mockReturnValue(true);
  }
  const view = shown(HealthTableView, model);
  const at = () => ['layer', 'sample', 'channel'].map((axis) => selection.get(axis) as number);
  return { store, selection, model, view, at, el: view.el as HTMLElement };
}
