import { describe, expect, it } from 'vitest';

import { LIST_PX, ROW_PX } from '../src/layer_list';
import { LayerPickerModel, LayerPickerView, findLayers } from '../src/layer_picker';
import { NO_TEXTS, imageRecord, layer, listenerCount, make, world } from './models';
import { all, nextFrame, press, shown, texts } from './page';

function picker(labels = ['conv1', 'layer1.0.conv1', '<b>bold</b>', 'fc']) {
  const layers = labels.map((label) => ({ ...layer(label, [0]), module_type: label === 'fc' ? 'Linear' : 'Conv2d' }));
  const { store, selection } = world({ ...NO_TEXTS, layers, records: [imageRecord(1, 2)], lo: 0, hi: 1 });
  const model = make(LayerPickerModel, { selection });
  const view = shown(LayerPickerView, model);
  const input = view.el.querySelector('input') as HTMLInputElement;
  const type = (text: string) => {
    input.value = text;
    input.dispatchEvent(new Event('input'));
  };
  return { store, selection, model, view, input, type };
}

const counted = (view: LayerPickerView) => view.el.querySelector('[role=status]')?.textContent;
const readout = (view: LayerPickerView) => view.el.querySelector('.memviz-picker-readout')?.textContent;

it('names the selected layer, its type and its place', async () => {
  const { view, selection } = picker();
  expect(readout(view)).toBe('conv1 · Conv2d · 1 of 4');
  selection.set('layer', 3);
  await nextFrame();
  expect(readout(view)).toBe('fc · Linear · 4 of 4');
});

it('says so when nothing was recorded', () => {
  expect(readout(picker([]).view)).toBe('no layers');
});

it('shows names as text, whatever they contain', () => {
  const { view, type } = picker();
  type('bold');
  expect(texts(view.el, '[role=option]')).toEqual(['<b>bold</b> · Conv2d']);
  expect(view.el.querySelector('b')).toBeNull();
});

it('never cuts the word that tells attention from output', () => {
  const path = 'encoder.layers.0.self_attn';
  const layers = [{ ...layer(`${path} attention`, [0]), path, kind: 'attention' }];
  const { selection } = world({ ...NO_TEXTS, layers, records: [imageRecord(1, 2)], lo: 0, hi: 1 });
  const view = shown(LayerPickerView, make(LayerPickerModel, { selection }));
  expect(texts(view.el, '.memviz-picker-head, .memviz-picker-tail')).toEqual(['encoder.layer', 's.0.self_attn attention']);
});

it('finds layers by a part of path or type, in any case', () => {
  const layers = [layer('Layer1.conv', [0]), { ...layer('fc', [0]), module_type: 'Linear' }];
  expect(['CONV', 'linear', 'x', ''].map((query) => findLayers(layers, query))).toEqual([[0], [1], [], [0, 1]]);
});

describe('the list', () => {
  it('is a closed combobox at first', () => {
    const { input, view } = picker();
    const list = view.el.querySelector('[role=listbox]') as HTMLElement;
    expect([input.getAttribute('role'), input.getAttribute('aria-expanded'), list.hidden]).toEqual(['combobox', 'false', true]);
    expect(input.getAttribute('aria-controls')).toBe(list.id);
  });

  it('is moved through by arrows and left by Enter with a choice', () => {
    const { input, view, type, selection } = picker();
    type('conv1');
    press(input, 'ArrowDown');
    const active = view.el.querySelector('[aria-selected=true]');
    expect([active?.textContent, input.getAttribute('aria-activedescendant')]).toEqual(['layer1.0.conv1 · Conv2d', active?.id]);
    press(input, 'Enter');
    expect([selection.get('layer'), input.value, input.getAttribute('aria-expanded')]).toEqual([1, 'conv1', 'false']);
  });

  it('is left by Escape without a choice', () => {
    const { input, type, selection } = picker();
    type('fc');
    press(input, 'Escape');
    expect([selection.get('layer'), input.getAttribute('aria-expanded')]).toEqual([0, 'false']);
  });

  it('takes the option that is pressed', () => {
    const { view, type, selection } = picker();
    type('fc');
    view.el.querySelector('[role=option] span')?.dispatchEvent(new MouseEvent('mousedown', { bubbles: true, cancelable: true }));
    expect(selection.get('layer')).toBe(3);
  });

  it('says when nothing is found, and stays where it is', () => {
    const { view, type, input, selection } = picker();
    type('nowhere');
    expect([texts(view.el, 'li'), counted(view)]).toEqual([['no layer of that name'], '0 found']);
    press(input, 'ArrowDown');
    press(input, 'Enter');
    expect([selection.get('layer'), input.hasAttribute('aria-activedescendant')]).toEqual([0, false]);
  });
});

describe('a list of many layers', () => {
  const MANY = Array.from({ length: 10_000 }, (_, i) => `layer${i}`);
  const IN_SIGHT = LIST_PX / ROW_PX;
  const places = (view: LayerPickerView) => all(view.el, '[role=option]').map((option) => Number(option.getAttribute('aria-posinset')));

  it('has the rows in sight in the page, and the height of all', () => {
    const { view, type } = picker(MANY);
    type('layer');
    const found = places(view);
    expect(found.length).toBeGreaterThanOrEqual(IN_SIGHT);
    expect(found.length).toBeLessThan(2 * IN_SIGHT);
    expect((view.el.querySelector('.memviz-picker-space') as HTMLElement).style.height).toBe(`${10_000 * ROW_PX}px`);
    expect(view.el.querySelector('[role=option]')?.getAttribute('aria-setsize')).toBe('10000');
  });

  it('follows the wheel, and keeps the active option', () => {
    const { view, type, input } = picker(MANY);
    type('layer');
    const list = view.el.querySelector('[role=listbox]') as HTMLElement;
    list.scrollTop = 5000 * ROW_PX;
    list.dispatchEvent(new Event('scroll'));
    expect(places(view)).toEqual(expect.arrayContaining([1, 5001, 5012]));
    expect(places(view).length).toBeLessThan(2 * IN_SIGHT + 2);
    expect(document.getElementById(input.getAttribute('aria-activedescendant') ?? '')?.textContent).toBe('layer0 · Conv2d');
    expect(all(view.el, '[role=option]')[5].style.top).toBe(`${(places(view)[5] - 1) * ROW_PX}px`);
  });

  it('is walked by the keys, the active option in sight', () => {
    const { view, input } = picker(MANY);
    const list = view.el.querySelector('[role=listbox]') as HTMLElement;
    const active = () => view.el.querySelector('[aria-selected=true]')?.getAttribute('aria-posinset');
    press(input, 'ArrowDown'); // opens
    const seen = ['PageDown', 'ArrowDown', 'PageUp', 'End', 'ArrowDown', 'Home', 'ArrowUp'].map((key) => {
      press(input, key);
      return active();
    });
    expect(seen).toEqual(['11', '12', '2', '10000', '10000', '1', '1']);
    press(input, 'End');
    expect(list.scrollTop).toBeGreaterThan(9_900 * ROW_PX);
  });

  it('opens at the selected layer', () => {
    const { input, view, selection } = picker(MANY);
    selection.set('layer', 7000);
    press(input, 'ArrowDown');
    expect(view.el.querySelector('[aria-selected=true]')?.textContent).toBe('layer7000 · Conv2d');
    expect(places(view)).not.toContain(1);
  });
});

describe('what was searched for', () => {
  it('is counted while typing, and led through by Enter, round to the first', () => {
    const { input, type, selection, view } = picker(['a', 'x1', 'b', 'x2', 'x3']);
    type('x');
    expect(counted(view)).toBe('3 found');
    const seen = Array.from({ length: 4 }, () => {
      press(input, 'Enter');
      return [selection.get('layer'), counted(view)];
    });
    expect(seen).toEqual([[1, '1 of 3'], [3, '2 of 3'], [4, '3 of 3'], [1, '1 of 3']]);
  });

  it('begins at the selected layer', () => {
    const { input, type, selection } = picker(['a', 'x1', 'b', 'x2']);
    selection.set('layer', 2);
    type('x');
    press(input, 'Enter');
    expect(selection.get('layer')).toBe(3);
  });

  it('is counted anew when the layer is changed elsewhere, and forgotten by Escape', async () => {
    const { input, type, selection, view } = picker(['a', 'x1', 'b']);
    type('x');
    press(input, 'Enter');
    selection.set('layer', 2);
    await nextFrame();
    expect(counted(view)).toBe('1 found');
    press(input, 'Escape');
    expect([input.value, counted(view)]).toEqual(['', '']);
  });

  it('leaves Home and End to the text', () => {
    const { input, type } = picker();
    type('conv');
    expect(press(input, 'End').defaultPrevented).toBe(false);
  });
});
it('leaves no listener behind', () => {
  const { view, model, selection, store } = picker();
  const count = () => [selection, store].map(listenerCount);
  const before = count();
  shown(LayerPickerView, model).remove();
  expect(count()).toEqual(before);
  view.remove();
  expect(count().every((left, i) => left < before[i])).toBe(true);
});
