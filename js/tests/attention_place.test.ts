import { describe, expect, it } from 'vitest';

import { attentionAbsence, attentionLayer, attentionLayers, attentionPlace } from '../src/attention_place';
import type { Catalog, LayerEntry } from '../src/catalog';
import { NO_TEXTS, attentionRecord, imageRecord } from './models';

/** Layers of these paths, one record each; a path that ends in "!" is attention. */
function catalogOf(...paths: string[]): Catalog {
  const layers = paths.map((text, index): LayerEntry => {
    const kind = text.endsWith('!') ? 'attention' : 'output';
    const path = text.replace('!', '');
    return { path, module_type: 'M', kind, item: '', label: path, records: [[index]] };
  });
  const records = layers.map((layer) => (layer.kind === 'attention' ? attentionRecord(1, 2) : imageRecord(1, 2)));
  return { ...NO_TEXTS, layers, records, lo: null, hi: null };
}

const model = catalogOf('embed', 'block0.attn!', 'block0.attn', 'block0.mlp', 'block1.attn!', 'block1.attn', 'head', '');
const cursor = (layer: number, step = 0) => ({ layerIndex: () => layer, stepIndex: () => step, callIndex: () => 0 });
const shownAt = (path: string) => attentionLayer(model, model.layers.findIndex((layer) => layer.path === path));

describe('attentionLayer', () => {
  it('is the selected layer when that is attention', () => {
    expect(attentionLayer(model, 4)).toBe(4);
    expect(attentionLayers(model)).toEqual([1, 4]);
  });

  it('is the attention inside the selected module, or around it', () => {
    expect(attentionLayer(model, 5)).toBe(4); // block1.attn, the output of the module in which it ran
    const nested = catalogOf('a', 'block!', 'block.proj', 'other!');
    expect(attentionLayer(nested, 2)).toBe(1);
  });

  it('is else the next one, and behind the last one the last', () => {
    expect(shownAt('embed')).toBe(1);
    expect(shownAt('block0.mlp')).toBe(4);
    expect(shownAt('head')).toBe(4);
    expect(shownAt('')).toBe(4);
  });
});

describe('attentionPlace', () => {
  it('has the record of the step and call', () => {
    expect(attentionPlace(model, cursor(3))).toMatchObject({ index: 4, layer: { path: 'block1.attn' } });
    expect(attentionPlace(model, cursor(3, 1))).toBeNull();
    expect(attentionAbsence(model, cursor(3, 1))).toBe('block1.attn did not run in step 1');
  });

  it('says that a model has no attention', () => {
    const convolutions = catalogOf('conv1', '');
    expect(attentionPlace(convolutions, cursor(0))).toBeNull();
    expect(attentionAbsence(convolutions, cursor(0))).toContain('No attention was found');
  });

  it('does not take a longer name for a part', () => {
    const names = catalogOf('block1', 'block10.attn!', 'block2.attn!');
    expect(attentionLayer(names, 0)).toBe(1); // the next one, not because its name begins alike
    expect(attentionLayer(catalogOf('x!', 'block1', 'block10.attn!', 'block1.attn!'), 1)).toBe(3);
  });
});
