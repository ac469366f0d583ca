import { expect, it, vi } from 'vitest';

import { ComparisonReadoutModel, ComparisonReadoutView } from '../src/comparison_readout';
import { TensorImageModel } from '../src/tensor_image_model';
import { cursor } from './comparison_world';
import { scaleModel } from './figure';
import { listenerCount, make, settled } from './models';
import { colorsOf, nextFrame, shown, texts } from './page';

async function readout() {
  const cursors = [cursor(0, 1), cursor(0, 1), cursor(null, null)];
  const images = cursors.map((selection) => {
    const scales = { x: scaleModel(), y: scaleModel() };
    return make(TensorImageModel, { selection, colors: colorsOf(selection), scales, visible: true });
  });
  const model = make(ComparisonReadoutModel, { selection: cursors[0], images, names: ['A', 'B', 'A − B'] });
  const view = shown(ComparisonReadoutView, model);
  await nextFrame();
  const line = () => texts(view.el, '.memviz-comparison-numbers span').join(' | ');
  return { cursors, images, model, view, line };
}

it('says the numbers of all pictures at the cell that is read in one, approximately at first', async () => {
  const { images, line } = await readout();
  images[1].point({ row: 1, col: 2 }); // code 5 of 252 between 0 and 1
  await nextFrame();
  expect(line()).toBe('channel 0, height 1, width 2 | A: ≈ 0.01984 | B: ≈ 0.01984 | A − B: ≈ 0.01984');
});

it('says the exact numbers when they have come', async () => {
  const { images, cursors, line } = await readout();
  cursors.forEach(({ store }, i) => {
    vi.spyOn(store, 'askValue').mockResolvedValue({ text: `${i}.5`, number: i, index: [0, 0, 1, 2] });
  });
  images[2].point({ row: 1, col: 2 });
  await new Promise((done) => setTimeout(done, 90));
  await settled();
  await nextFrame();
  expect(line()).toBe('channel 0, height 1, width 2 | A: 0.5 | B: 1.5 | A − B: 2.5');
});

it('goes on with the cell when the cursor moves, and ends with the pointer', async () => {
  const { images, cursors, line, view } = await readout();
  images[0].point({ row: 0, col: 0 });
  cursors.forEach((selection) => selection.set('channel', 1));
  await nextFrame();
  expect(line()).toContain('channel 1, height 0, width 0');
  images[0].point(null);
  await nextFrame();
  expect(texts(view.el, '.memviz-comparison-numbers')[0]).toContain('Point at a cell');
});

it('leaves no listener behind when it is removed', async () => {
  const { view, model, images, cursors } = await readout();
  view.remove();
  const before = [...images, ...cursors].map(listenerCount);
  shown(ComparisonReadoutView, model).remove();
  expect([...images, ...cursors].map(listenerCount)).toEqual(before);
});
