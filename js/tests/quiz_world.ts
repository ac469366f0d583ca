/** A quiz over layers a (4 channels), b (4 channels, 2 samples) and c (40 channels), for the tests. */

import type { QuizField } from '../src/generated/catalog';
import { QuizFormModel, QuizFormView } from '../src/quiz_form';
import { catalogOf, imageRecord, make, world } from './models';
import type { FakeComm } from './models';
import { shown } from './page';

export function field(trait: string, right: number[], more: Partial<QuizField> = {}): QuizField {
  return { trait, name: trait, right, options: [0, 1, 2, 3], size: 4, texts: {}, ...more };
}

export const LAYER = field('layer', [1], { options: [0, 1, 2], size: 3, texts: { 0: 'a', 1: 'b', 2: 'c' } });

/** The cursors: of the view at the start, `ahead` at layer b, sample 1, channel 2. */
export function form(fields: QuizField[] = [field('channel', [2])], state: object = {}, comm?: FakeComm) {
  const records = [imageRecord(1, 4), imageRecord(2, 4), imageRecord(1, 40)];
  const { store, selection } = world(catalogOf(...records));
  const ahead = world(catalogOf(...records)).selection;
  ahead.set({ layer: 1, sample: 1, channel: 2 });
  const told = { question: 'Which one?', hint: 'a hint', explanation: 'because', fields };
  const model = make(QuizFormModel, { selection, ahead, ...told, ...state }, comm);
  const view = shown(QuizFormView, model);
  const at = () => ['layer', 'sample', 'channel'].map((axis) => selection.get(axis) as number);
  return { store, selection, ahead, model, view, at, el: view.el as HTMLElement };
}
