import { describe, expect, it } from 'vitest';

import type { Catalog, LayerEntry } from '../src/catalog';
import { memoryAbsence, memoryLayer, memoryOf, memoryPlace, memoryRecords, shownMemory } from '../src/memory_place';
import { NO_TEXTS, imageRecord } from './models';

/** Layers of these paths, one record each; "path!label" is a part of the memory of that label, the first its content. */
function catalogOf(...paths: string[]): Catalog {
  const labels = [...new Set(paths.flatMap((text) => text.split('!')[1] ?? []))];
  const layers = paths.map((text, index): LayerEntry => {
    const [path, label] = text.split('!');
    return { path, module_type: 'M', kind: label ? 'cell' : 'output', item: '', label: text, records: [[index]] };
  });
  const memories = labels.map((label) => {
    const parts = paths.flatMap((text, index) => (text.endsWith(`!${label}`) ? [index] : []));
    return { label, form: 'vector', layers: parts, content: parts[0], attention: -1, phase: '', law: '', note: '' };
  });
  return { ...NO_TEXTS, memories, layers, records: layers.map(() => imageRecord(1, 1)), lo: null, hi: null };
}

const model = catalogOf('embed', 'enc!enc l0', 'enc!enc l0', 'enc!enc l1', 'enc', 'dec.cell!dec', 'dec.out', 'head', '');
const cursor = (layer: number, step = 0) => ({ layerIndex: () => layer, stepIndex: () => step, callIndex: () => 0 });

describe('memoryLayer', () => {
  it.each([
    ['the selected part', 2, 2],
    ['the next memory in execution order', 0, 1],
    ['the first memory inside the selected module', 4, 1],
    ['the last memory, after all of them', 7, 5],
    ['of the model itself, around everything, the last before it', 8, 5],
  ])('is %s', (_, selected, expected) => {
    expect(memoryLayer(model, selected)).toBe(expected);
  });

  it('is the memory around the selected module', () => {
    expect(memoryLayer(catalogOf('a', 'ntm!ntm', 'ntm.proj', 'rnn!rnn'), 2)).toBe(1);
    expect(memoryLayer(catalogOf('encoder!e', 'enc'), 1)).toBe(0); // "encoder" is not inside "enc", it is only the last
  });

  it('is the first part of a memory without content', () => {
    const odd = catalogOf('a', 'm!m', 'm!m');
    odd.memories[0].content = -1;
    expect(memoryLayer(odd, 0)).toBe(1);
  });

  it('is nothing without memories', () => {
    const plain = catalogOf('conv');
    expect([memoryLayer(plain, 0), shownMemory(plain, cursor(0)), memoryRecords(plain, cursor(0))]).toEqual([-1, null, []]);
  });
});

it('knows of each layer which memory it is part of', () => {
  expect(model.layers.map((_, layer) => memoryOf(model, layer))).toEqual([-1, 0, 0, 1, -1, 2, -1, -1, -1]);
});

describe('memoryPlace', () => {
  it('is the record of that part in the step and call of the cursor', () => {
    expect(memoryPlace(model, cursor(4))?.index).toBe(1);
    expect(shownMemory(model, cursor(6))?.label).toBe('dec');
    expect(memoryRecords(model, cursor(4))).toEqual([1, 2]);
  });

  it('is nothing in a step in which it did not run, and nothing without memory: both are said', () => {
    expect(memoryPlace(model, cursor(1, 1))).toBeNull();
    expect(memoryAbsence(model, cursor(1, 1))).toBe('enc!enc l0 did not run in step 1');
    expect(memoryAbsence(catalogOf('conv'), cursor(0))).toMatch(/^No memory was found in this recording: /);
  });
});
