import { describe, expect, it } from 'vitest';

import { MemoryLinkModel, partLabels } from '../src/memory_link';
import { LAYERS, memoryCatalog, memoryWorld } from './memory_world';
import { foreign, make } from './models';

function link(layer: number) {
  const { selection } = memoryWorld();
  selection.set('layer', layer);
  const memory = foreign({ index: 0 });
  const part = foreign({ index: 0, _options_labels: ['cell', 'gate.f'] });
  make(MemoryLinkModel, { selection, memory, part });
  return { selection, memory, part };
}

describe('the dropdowns', () => {
  it('show the memory and the part that belong to the selected layer', () => {
    const { memory, part, selection } = link(LAYERS.GATE);
    expect([memory.get('index'), part.get('index')]).toEqual([0, 1]);
    selection.set('layer', LAYERS.WEIGHTS);
    expect([memory.get('index'), part.get('index')]).toEqual([1, 1]);
    expect(part.get('_options_labels')).toEqual(['memory', 'read_weights']);
  });

  it('show the memory that is next while another layer is selected', () => {
    const { memory, part } = link(LAYERS.CONV);
    expect([memory.get('index'), part.get('index')]).toEqual([0, 0]);
  });

  it('select the part that is chosen', () => {
    const { selection, part } = link(LAYERS.CELL);
    part.set('index', 1);
    expect(selection.layerIndex()).toBe(LAYERS.GATE);
  });

  it('select what the chosen memory holds', () => {
    const { selection, memory, part } = link(LAYERS.GATE);
    memory.set('index', 1);
    expect(selection.layerIndex()).toBe(LAYERS.SLOTS);
    expect(part.get('index')).toBe(0);
  });

  it('stay with the part that the chosen memory has, too', () => {
    const catalog = memoryCatalog();
    const [first, second] = catalog.memories;
    const both = { ...catalog, memories: [first, { ...second, layers: [LAYERS.SLOTS, LAYERS.GATE] }] };
    const { selection } = memoryWorld([], both);
    selection.set('layer', LAYERS.GATE);
    const memory = foreign({ index: 0 });
    make(MemoryLinkModel, { selection, memory, part: foreign({ index: 1 }) });
    memory.set('index', 1);
    expect(selection.layerIndex()).toBe(LAYERS.GATE);
  });
});

describe('the names of parts', () => {
  it('have the item where there are several of a kind', () => {
    const catalog = memoryCatalog();
    catalog.layers[LAYERS.SLOTS] = { ...catalog.layers[LAYERS.SLOTS], kind: 'read_weights', item: 'head0' };
    catalog.layers[LAYERS.WEIGHTS] = { ...catalog.layers[LAYERS.WEIGHTS], item: 'head1' };
    expect(partLabels(catalog, catalog.memories[1])).toEqual(['read_weights head0', 'read_weights head1']);
  });
});
