import { describe, expect, it } from 'vitest';

import { stepCount, stepName } from '../src/catalog';
import { StepLabelModel, StepLabelView } from '../src/step_label';
import { catalogOf, imageRecord, listenerCount, make, stepped, world } from './models';
import { nextFrame, shown } from './page';

/** One layer that ran in every step. */
function training(step_labels: string[], steps = step_labels.length) {
  const records = Array.from({ length: steps }, () => imageRecord(1, 2));
  return { ...catalogOf(...records), layers: [stepped('a', records.map((_, step) => [step]))], step_labels };
}

function label(step_labels: string[], steps?: number) {
  const { store, selection } = world(training(step_labels, steps));
  const model = make(StepLabelModel, { selection });
  return { store, selection, model, view: shown(StepLabelView, model) };
}

describe('the label of the step', () => {
  it('follows the cursor', async () => {
    const { view, selection } = label(['start', 'epoch 1', 'epoch 2']);
    expect([view.el.textContent, view.el.title]).toEqual(['start', 'start, 1 of 3']);
    selection.set('step', 2);
    await nextFrame();
    expect([view.el.textContent, view.el.title]).toEqual(['epoch 2', 'epoch 2, 3 of 3']);
  });

  it('is text, whatever it contains', () => {
    const { view } = label(['<img src=x onerror=alert(1)>']);
    expect([view.el.textContent, view.el.querySelector('img')]).toEqual(['<img src=x onerror=alert(1)>', null]);
  });

  it('is as wide as the longest needs, within bounds', () => {
    const widths = [['a'], ['a', 'x'.repeat(12)], ['x'.repeat(99)]].map((labels) => label(labels).view.el.style.width);
    expect(widths).toEqual(['1ch', '12ch', '16ch']);
  });

  it('follows steps that are recorded later', async () => {
    const { view, store, selection } = label(['one', 'two']);
    store.set('catalog', training(['one', 'two', 'three']));
    selection.set('step', 2);
    await nextFrame();
    expect(view.el.title).toBe('three, 3 of 3');
  });

  it('leaves no listener behind', () => {
    const { view, selection } = label(['one']);
    const before = listenerCount(selection);
    view.remove();
    const after = listenerCount(selection);
    expect(after).toBeLessThan(before);
    const again = shown(StepLabelView, make(StepLabelModel, { selection }));
    again.remove();
    expect(listenerCount(selection)).toBe(after);
  });
});

describe('the words for a step', () => {
  it('are its label, with "step" before a number', () => {
    const catalog = training(['start', '1200', '3.5']);
    expect([0, 1, 2].map((step) => stepName(catalog, step))).toEqual(['start', 'step 1200', 'step 3.5']);
    expect(stepName(training([], 3), 2)).toBe('step 2');
  });

  it('count from 1 where there are labels, and are numbers of the slider where there are none', () => {
    expect(stepCount(training(['start', '1200']), 1)).toBe('step 1200, 2 of 2');
    expect(stepCount(training([], 3), 2)).toBe('2 of 3');
  });

  it('are numbers in widget state from before there were labels', () => {
    const { step_labels: _, ...old } = training(['start']);
    expect(stepName(old as ReturnType<typeof training>, 0)).toBe('step 0');
  });

  it('say in which step a layer did not run', () => {
    const { selection } = world({ ...training(['start', 'epoch 1'], 1), layers: [stepped('conv', [[0], []])] });
    selection.set('step', 1);
    expect(selection.absence()).toBe('conv did not run in epoch 1');
  });
});
