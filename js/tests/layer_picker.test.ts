import { describe, expect, it } from 'vitest';

import { LayerPickerModel, LayerPickerView, MOST_OPTIONS, findLayers } from '../src/layer_picker';
import { NO_TEXTS, imageRecord, layer, listenerCount, make, world } from './models';
import { nextFrame, press, shown, texts } from './page';

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
    expect([selection.get('layer'), input.value, input.getAttribute('aria-expanded')]).toEqual([1, '', 'false']);
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

  it('holds a bounded part of many layers, around the active one', () => {
    const { input, view, type } = picker(Array.from({ length: 1000 }, (_, i) => `layer${i}`));
    type('layer');
    expect(texts(view.el, '[role=option]')).toHaveLength(MOST_OPTIONS);
    expect(texts(view.el, '.memviz-picker-remark')).toEqual(['… 950 more']);
    for (let i = 0; i < 60; i++) {
      press(input, 'ArrowDown');
    }
    expect(texts(view.el, '[aria-selected=true]')).toEqual(['layer60 · Conv2d']);
  });

  it('says when nothing is found', () => {
    const { view, type } = picker();
    type('nowhere');
    expect(texts(view.el, 'li')).toEqual(['no layer of that name']);
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
