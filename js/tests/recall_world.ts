/** What a recall lab measured, for the tests: two models over delays 0, 5, 20. */

import { vi } from 'vitest';

import type { RecallCurve, RecallDot, RecallFailureEntry, RecallRow } from '../src/generated/catalog';
import { RecallCurvesModel, RecallCurvesView } from '../src/recall_curves';
import { FakeComm, foreign, make } from './models';
import { shown } from './page';

export function dot(model: number, value: number, accuracy: number, more: Partial<RecallDot> = {}): RecallDot {
  return {
    model,
    value,
    accuracy,
    low: Math.max(0, accuracy - 0.1),
    high: Math.min(1, accuracy + 0.1),
    chance: 0.125,
    context_chance: 0.125,
    wrong: Math.round((1 - accuracy) * 256),
    n: 256,
    sequences: 256,
    bits_kept: 2.5,
    most_bits: 3,
    error: '',
    ...more,
  };
}

export const failed = (model: number, value: number) => ({ ...dot(model, value, 0), error: 'lstm at delay 20: too long' });

export function row(more: Partial<RecallRow> = {}): RecallRow {
  return {
    d50: '12.5',
    d50_value: 12.5,
    value: 20,
    bits_kept: 2.5,
    most_bits: 3,
    n: 256,
    sequences: 256,
    elements: 64,
    held_bytes: 256,
    state_note: 'hidden, cell of lstm l0',
    ...more,
  };
}

/** attention: 1, 1, 0.5; lstm: 1, 0.25, failed at 20. */
export const DELAYS: RecallCurve = {
  over: 'delay',
  text: 'delay (steps)',
  values: [0, 5, 20],
  dots: [dot(0, 0, 1), dot(1, 0, 1), dot(0, 5, 1), dot(1, 5, 0.25), dot(0, 20, 0.5), failed(1, 20)],
  rows: [row(), row({ d50: '< 5', d50_value: null, elements: null, held_bytes: null, state_note: 'not known' })],
};
export const NOTHING: RecallCurve = {
  over: 'length',
  text: 'length (symbols to copy)',
  values: [1, 2],
  dots: [],
  rows: [row({ value: null, d50: 'not measured', d50_value: null }), row({ value: null, d50: 'not measured', d50_value: null })],
};
export const FAILURE: RecallFailureEntry = {
  model: 1,
  over: 'delay',
  value: 5,
  sequence: 3,
  symbols: ['4', '_', '<b>', '?'],
  written: 0,
  asked: 3,
  right: '4',
  answered: '7',
  verdict: 'decayed',
  sentences: ['lstm l0: decayed: 0.12 is left at the read, below 0.37.'],
};

export function lab(state: object = {}, comm?: FakeComm) {
  const lines = () => foreign({ x: [0], y: [0] });
  const scale = foreign({ min: null, max: null });
  const axis = foreign({ scale, label: '' }, undefined);
  const dots = [0, 1].map(() => foreign({ x: [0], y: [0], hovered_point: null, selected: null }));
  const marks = { lines: lines(), bars: lines(), chance: lines(), halves: lines(), ring: lines(), x_axis: axis, dots };
  const names = { names: ['attention', 'lstm'], colors: ['#0072b2', '#d55e00'], markers: ['circle', 'square'] };
  const model = make(RecallCurvesModel, { ...names, ...marks, curves: [DELAYS, NOTHING], over: 'delay', ...state }, comm);
  if (comm) {
    vi.spyOn(model, 'comm_live', 'get').mockReturnValue(true);
  }
  const view = shown(RecallCurvesView, model);
  return { model, view, el: view.el as HTMLElement, ...marks, scale };
}
