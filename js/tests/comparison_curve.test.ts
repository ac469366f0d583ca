import { describe, expect, it } from 'vitest';

import { ComparisonCurveModel, ComparisonCurveView } from '../src/comparison_curve';
import { curveScale, decades, distanceText, firstApart, heightOf } from '../src/comparison_curve_points';
import { cursor, entry } from './comparison_world';
import { FakeComm, listenerCount, make } from './models';
import { all, nextFrame, press, shown, texts } from './page';

const DISTANCES = [entry(0, 0), entry(1, 0.02, { cosine: 0.001, cka: 0.5, rows: 48 }), entry(2, 0.3)];

async function curve(state: object = {}, comm?: FakeComm) {
  const selection = cursor(0, 1);
  const model = make(ComparisonCurveModel, { selection, distances: DISTANCES, names: ['A', 'B'], ...state }, comm);
  const view = shown(ComparisonCurveView, model);
  await nextFrame();
  const [plot] = all(view.el, '.memviz-curve-plot');
  const text = (name: string) => texts(view.el, name).join('|');
  const states = () => all(view.el, '.memviz-curve-dot').map((dot) => dot.dataset.state);
  return { selection, model, view, plot, text, states };
}

describe('the sentence', () => {
  it('names the first record that differs, and its button goes there', async () => {
    const { view, selection, text } = await curve({ bound: 0.1 });
    expect(text('.memviz-curve-verdict')).toBe('A and B part (relative L2 above 0.1) atb, call 1relative L2 0.3');
    (view.el.querySelector('.memviz-curve-verdict button') as HTMLButtonElement).click();
    expect([selection.get('layer'), selection.get('call')]).toEqual([1, 1]);
  });

  it('says that nothing differs in what was measured', async () => {
    const { view, text } = await curve({ distances: [entry(0, 0)] });
    expect(text('.memviz-curve-verdict [role=status]')).toBe('A and B are the same in the 1 records that were measured.');
    expect((view.el.querySelector('.memviz-curve-verdict button') as HTMLButtonElement).hidden).toBe(true);
  });

  it('is of the chosen measure', async () => {
    const { model, text } = await curve();
    model.set('measure', 'cka');
    await nextFrame();
    expect(text('.memviz-curve-verdict')).toContain('1 − CKA 0.5');
  });
});

describe('the points', () => {
  it('are of the selected call, marked where they are apart', async () => {
    const { selection, states, plot } = await curve({ bound: 0.1 });
    expect(states()).toEqual(['alike', 'alike']);
    selection.set({ layer: 1, call: 1 });
    await nextFrame();
    expect(states()).toEqual(['alike', 'apart']);
    expect(plot.getAttribute('aria-valuetext')).toBe('b (2 of 2): relative L2 0.3');
  });

  it('that were not measured are hollow', async () => {
    const { states } = await curve({ distances: [DISTANCES[1]] });
    expect(states()).toEqual(['unmeasured', 'apart']);
  });

  it('say all measures and what is special', async () => {
    const { selection, text, model } = await curve();
    selection.move('layer', 1);
    await nextFrame();
    expect(text('.memviz-curve-reading')).toBe(
      'b (2 of 2): relative L2 0.02, 1 − cosine 0.001, 1 − CKA 0.5 over 48 examples',
    );
    model.set('distances', [entry(1, null, { infinite: true, note: '3 values are finite on one side only' })]);
    await nextFrame();
    expect(text('.memviz-curve-reading')).toBe('b (2 of 2): relative L2 ∞; 3 values are finite on one side only');
  });

  it('are reached by keys and by a click', async () => {
    const { selection, plot } = await curve();
    press(plot, 'ArrowRight');
    expect(selection.get('layer')).toBe(1);
    press(plot, 'ArrowRight');
    expect(selection.get('layer')).toBe(1);
    press(plot, 'Home');
    expect(selection.get('layer')).toBe(0);
    plot.getBoundingClientRect = () => new DOMRect(0, 0, 640, 150);
    plot.dispatchEvent(new MouseEvent('click', { clientX: 600, bubbles: true }));
    expect(selection.get('layer')).toBe(1);
  });
});

describe('the kernel', () => {
  it('is asked for the rest once per answer', async () => {
    const comm = new FakeComm();
    const { model } = await curve({ pending: 3 }, comm);
    model.set('bound', 0.5);
    await nextFrame();
    expect(comm.custom).toEqual([{ type: 'measure', on_demand: false }]);
    model.set({ distances: [...DISTANCES, entry(3, 0)], pending: 2 });
    await nextFrame();
    expect(comm.custom).toHaveLength(2);
  });

  it('measures what is not held when the button is pressed', async () => {
    const comm = new FakeComm();
    const { view } = await curve({ unheld: 2 }, comm);
    expect(comm.custom).toEqual([]);
    const [button] = all(view.el, '.memviz-curve > button');
    expect(button.textContent).toContain('measure 2 more that are not held');
    button.click();
    expect(comm.custom).toEqual([{ type: 'measure', on_demand: true }]);
  });

  it('is not missed', async () => {
    const { states, model } = await curve({ pending: 3, unheld: 1 });
    model.set('bound', 0.1);
    await nextFrame();
    expect(states()).toEqual(['alike', 'alike']);
  });
});

it('lists what is not compared, as text', async () => {
  const unaligned = [{ label: '<b>x</b>', count: 3, reason: 'shape (2,) in a, (3,) in b' }];
  const { view, text } = await curve({ unaligned });
  expect(text('summary')).toBe('3 records are not compared');
  expect(text('li')).toBe('<b>x</b> (3 times): shape (2,) in a, (3,) in b');
  expect(view.el.querySelector('b')).toBeNull();
});

it('leaves no listener behind when it is removed', async () => {
  const { view, selection, model } = await curve();
  view.remove();
  const before = [selection, selection.store].map(listenerCount);
  shown(ComparisonCurveView, model).remove();
  expect([selection, selection.store].map(listenerCount)).toEqual(before);
  expect((model as unknown as { _events: object })._events).not.toHaveProperty('change:distances');
});

describe('the scale', () => {
  const points = (values: (number | null)[]) =>
    values.map((value, layer) => ({ layer, record: layer, value, entry: null }));

  it('has whole decades around the values and the bound', () => {
    expect(curveScale(points([0, 0.02, 0.3, null]), 0)).toEqual({ low: -2, high: 0, infinite: false });
    expect(curveScale(points([0, 0.02]), 5)).toEqual({ low: -2, high: 1, infinite: false });
    expect(curveScale(points([0, Infinity]), 0)).toEqual({ low: -1, high: 0, infinite: true });
  });

  it('puts 0 below the lowest decade and infinity at the top', () => {
    const scale = { low: -2, high: 0, infinite: false };
    expect([1, 0.1, 0.01, 0].map((value) => heightOf(value, scale, 1.2))).toEqual([0, 0.5, 1, 1.2]);
    expect(heightOf(Infinity, { ...scale, infinite: true }, 1.2)).toBe(0);
    expect(heightOf(1, { ...scale, infinite: true }, 1.2)).toBeGreaterThan(0);
  });

  it('labels few decades', () => {
    expect(decades({ low: -2, high: 0, infinite: false })).toEqual([-2, -1, 0]);
    expect(decades({ low: -16, high: 0, infinite: false }).length).toBeLessThan(7);
  });
});

it('finds an infinite distance first where it comes first, and nothing in what was not measured', () => {
  expect(firstApart([entry(0, 0), entry(1, null, { infinite: true })], 'relative_l2', 1e9)?.record).toBe(1);
  expect(firstApart([entry(0, null)], 'relative_l2', 0)).toBeNull();
  expect([0, Infinity, null].map(distanceText)).toEqual(['0', '∞', 'not measured']);
});
