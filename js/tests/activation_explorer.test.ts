import { afterEach, describe, expect, it } from 'vitest';

import { ActivationExplorerModel, ActivationExplorerView } from '../src/activation_explorer';
import { catalogOf, imageRecord, listenerCount, make, picture, stepped, world } from './models';
import { nextFrame, press, shown } from './page';

const ROW = (axis: string, name: string) => `
  <div class="memviz-axis memviz-axis-${axis}">
    <label class="widget-label">${name}</label>
    <div class="noUi-handle" role="slider" tabindex="0" aria-valuetext="0"></div>
    <div class="widget-readout" contenteditable="true">0</div>
    <div class="widget-play"><button></button><button></button></div>
  </div>`;
const PARTS = `${ROW('layer', 'layer')}${ROW('channel', 'channel')}${ROW('time', 'timestep')}
  <input type="text"><div class="memviz-series"></div>`;

let opened: ActivationExplorerView[] = [];
afterEach(() => opened.forEach((view) => view.remove()));

async function explorer() {
  const series = picture([['channel', 4]], 1, 5, 4);
  const { selection } = world(catalogOf(imageRecord(1, 2), { ...imageRecord(1, 4), series }));
  const model = make(ActivationExplorerModel, { selection });
  const view = shown(ActivationExplorerView, model);
  opened = [view];
  view.el.insertAdjacentHTML('beforeend', PARTS); // rendered later, as the children of a box are
  await nextFrame();
  await nextFrame();
  const find = (selector: string) => view.el.querySelector(selector) as HTMLElement;
  return { selection, model, view, find };
}

describe('names', () => {
  it('are given to handles, numbers and buttons', async () => {
    const { find, view } = await explorer();
    expect(find('.memviz-axis-time .noUi-handle').getAttribute('aria-label')).toBe('timestep');
    expect(find('.memviz-axis-channel .widget-readout').getAttribute('aria-label')).toBe('channel number');
    expect(find('.memviz-axis-channel button').getAttribute('aria-label')).toBe('play or pause channel');
    expect([view.el.getAttribute('role'), view.el.getAttribute('aria-label')]).toEqual(['group', 'activation explorer']);
  });

  it('of values say the layer, and the index of how many', async () => {
    const { find, selection } = await explorer();
    selection.set({ layer: 1, channel: 3 });
    await nextFrame();
    const said = ['layer', 'channel', 'time'].map((axis) => find(`.memviz-axis-${axis} .noUi-handle`).getAttribute('aria-valuetext'));
    expect(said).toEqual(['b, Conv2d, 2 of 2', '3 of 4', 'this layer has no time axis']);
  });

  it('of values say the label of a step', async () => {
    const { find, selection, view } = await explorer();
    const layers = [stepped('a', [[0], [1]])];
    selection.store.set('catalog', { ...catalogOf(imageRecord(1, 2), imageRecord(1, 2)), layers, step_labels: ['start', 'end'] });
    view.el.insertAdjacentHTML('beforeend', ROW('step', 'step'));
    selection.set({ step: 1 });
    await nextFrame();
    await nextFrame();
    expect(find('.memviz-axis-step .noUi-handle').getAttribute('aria-valuetext')).toBe('end, 2 of 2');
  });

  it('of values come back after the slider wrote its own', async () => {
    const { find } = await explorer();
    const handle = find('.memviz-axis-channel .noUi-handle');
    handle.setAttribute('aria-valuetext', '0.00');
    await nextFrame();
    expect(handle.getAttribute('aria-valuetext')).toBe('0 of 2');
  });
});

it('names the layer also in a step in which it did not run', async () => {
  const { selection } = world({ ...catalogOf(imageRecord(1, 2)), layers: [stepped('a', [[0], []])] });
  const view = shown(ActivationExplorerView, make(ActivationExplorerModel, { selection }));
  opened = [view];
  view.el.insertAdjacentHTML('beforeend', ROW('layer', 'layer') + ROW('channel', 'channel'));
  selection.set('step', 1);
  await nextFrame();
  await nextFrame();
  const said = [...view.el.querySelectorAll('.noUi-handle')].map((handle) => handle.getAttribute('aria-valuetext'));
  expect(said).toEqual(['a, Conv2d, 1 of 1', '0 of 2']);
});

describe('keys', () => {
  it('] and [ go to the next layer and the one before', async () => {
    const { find, selection } = await explorer();
    const handle = find('.noUi-handle');
    expect(press(handle, ']').defaultPrevented).toBe(true);
    expect(selection.get('layer')).toBe(1);
    press(handle, ']');
    press(handle, '[');
    expect(selection.get('layer')).toBe(0);
  });

  it('are letters while a text is typed, and the host\'s with Ctrl', async () => {
    const { find, selection } = await explorer();
    press(find('input'), ']');
    press(find('.noUi-handle'), ']', { ctrlKey: true });
    expect(selection.get('layer')).toBe(0);
  });

  it('/ leads to the search for a layer, where there is one', async () => {
    const { find, view } = await explorer();
    expect(press(find('.noUi-handle'), '/').defaultPrevented).toBe(false);
    const field = document.createElement('input');
    field.className = 'memviz-picker-input';
    view.el.append(field);
    expect(press(find('.noUi-handle'), '/').defaultPrevented).toBe(true);
    expect(document.activeElement).toBe(field);
    expect(press(field, '/').defaultPrevented).toBe(false); // a text now
  });

  it('stay with the focused control, but saving and running a cell stay with the host', async () => {
    const { find } = await explorer();
    const handle = find('.noUi-handle');
    handle.dispatchEvent(new FocusEvent('focusin', { bubbles: true }));
    const suppressed = () => handle.hasAttribute('data-lm-suppress-shortcuts');
    const seen = [suppressed()];
    for (const [key, more] of [['s', { ctrlKey: true }], ['ArrowRight', {}], ['Enter', { shiftKey: true }]] as const) {
      press(handle, key, more);
      seen.push(suppressed());
    }
    handle.dispatchEvent(new FocusEvent('focusout', { bubbles: true }));
    expect([...seen, suppressed()]).toEqual([true, false, true, false, false]);
  });
});

it('hides the line over time where a record has none', async () => {
  const { find, selection } = await explorer();
  expect(find('.memviz-series').classList.contains('memviz-hidden')).toBe(true);
  selection.set('layer', 1);
  await nextFrame();
  expect(find('.memviz-series').classList.contains('memviz-hidden')).toBe(false);
});

it('puts the style sheet into the page once', async () => {
  await explorer();
  await explorer();
  expect(document.querySelectorAll('#memviz-style')).toHaveLength(1);
});

it('leaves no listener behind', async () => {
  const { view, selection } = await explorer();
  const before = listenerCount(selection);
  view.remove();
  expect(listenerCount(selection)).toBeLessThan(before);
  press(document.body, ']');
  expect(selection.get('layer')).toBe(0);
});
