import { describe, expect, it, vi } from 'vitest';

import type { Frame, PageKind } from '../src/catalog';
import { ColorMappingModel } from '../src/color_mapping';
import { COLORMAPS } from '../src/generated/colormaps';
import { PictureChoiceModel } from '../src/picture_choice';
import { attentionOf, attentionWorld, mapPage } from './attention_world';
import { FakeComm, answer, attentionCatalog, catalogOf, framePage, header, imageRecord, layer, listenerCount, make, settled, stats, stepped, world } from './models';

const frameOf = (lo: number, hi: number): Frame => ({ codes: new Uint8Array(1), rows: 1, cols: 1, lo, hi });

/** The pixel of an entry of a colour map: 0xAABBGGRR. */
function pixelAt(map: string, entry: number): number {
  const [red, green, blue] = [0, 2, 4].map((at) => Number.parseInt(COLORMAPS[map].slice(6 * entry + at, 6 * entry + at + 2), 16));
  return (255 * 2 ** 24 + blue * 2 ** 16 + green * 2 ** 8 + red) >>> 0;
}

function mapping(state: object = {}, catalog = catalogOf(imageRecord(1, 4)), comm?: FakeComm) {
  const { store, selection } = world(catalog, undefined, { pages: [framePage({ record: 0, kind: 'frame', page: 0 }, [2, 2, 3])] });
  return { store, selection, colors: make(ColorMappingModel, { selection, ...state }, comm) };
}

describe('the table', () => {
  it('maps codes over the frame range to entries of the map', () => {
    const { colors } = mapping({ colormap: 'gray' });
    const table = colors.table(frameOf(0, 252), 0, 252);
    // code c is the value c, position c/252, entry floor(c/252*256): 0 -> 0, 1 -> 1, 63 -> 64, 126 -> 128, 252 -> 255.
    expect([0, 1, 63, 126, 252].map((code) => table[code])).toEqual([0, 1, 64, 128, 255].map((entry) => pixelAt('gray', entry)));
  });

  it('clips what lies outside vmin..vmax', () => {
    const { colors } = mapping({ colormap: 'viridis' });
    const table = colors.table(frameOf(-2, 2), -1, 1);
    expect(table[0]).toBe(pixelAt('viridis', 0));
    expect(table[126]).toBe(pixelAt('viridis', 128));
    expect(table[252]).toBe(pixelAt('viridis', 255));
  });

  it('draws everything in the middle colour when vmin == vmax', () => {
    const { colors } = mapping({ colormap: 'magma' });
    const table = colors.table(frameOf(0, 1), 3, 3);
    expect([table[0], table[252]]).toEqual([pixelAt('magma', 128), pixelAt('magma', 128)]);
  });

  it('draws a constant frame at its value when lo == hi', () => {
    const { colors } = mapping({ colormap: 'magma' });
    const table = colors.table(frameOf(0.25, 0.25), 0, 1);
    expect([table[0], table[252]]).toEqual([pixelAt('magma', 64), pixelAt('magma', 64)]);
  });

  it('gives -Inf, +Inf and NaN colours of their own', () => {
    const table = mapping().colors.table(frameOf(NaN, NaN), 0, 1);
    expect([table[253], table[254], table[255]]).toEqual([0xffffff00, 0xff14ff39, 0xffff00ff]);
  });

  it('covers a range wider than the largest double', () => {
    const { colors } = mapping({ colormap: 'gray' });
    const big = 1.7e308;
    const table = colors.table(frameOf(-big, big), -big, big);
    expect([table[0], table[126], table[252]]).toEqual([0, 128, 255].map((entry) => pixelAt('gray', entry)));
  });

  it('is kept for the same question and made anew for another', () => {
    const { colors } = mapping();
    const first = colors.table(frameOf(0, 1), 0, 1);
    expect(colors.table(frameOf(0, 1), 0, 1)).toBe(first);
    expect(colors.table(frameOf(0, 2), 0, 1)).not.toBe(first);
    colors.set('colormap', 'gray');
    expect(colors.table(frameOf(0, 2), 0, 1)[252]).toBe(pixelAt('gray', 255));
  });
});

describe('the range', () => {
  const rangeIn = (mode: string, min: number | null = -1, max: number | null = 3, frame: Frame | null = frameOf(5, 6)) => {
    const record = imageRecord(1, 4);
    record.stats = stats(min, max);
    const { colors, selection } = mapping({ mode, vmin: 7, vmax: 8 }, { ...catalogOf(record), lo: -10, hi: 20 });
    return colors.range(selection.place()!, frame);
  };

  it.each([
    ['frame', [5, 6]],
    ['layer', [-1, 3]],
    ['all', [-10, 20]],
    ['symmetric', [-3, 3]],
    ['fixed', [7, 8]],
    ['auto', [-3, 3]],
  ])('%s', (mode, expected) => {
    expect(rangeIn(mode)).toEqual(expected);
  });

  it('is the layer range in auto when the values have one sign', () => {
    expect(rangeIn('auto', 0, 3)).toEqual([0, 3]);
  });

  it('is 0..1 when nothing is finite', () => {
    expect(rangeIn('auto', null, null)).toEqual([0, 1]);
    expect(rangeIn('symmetric', null, null)).toEqual([0, 1]);
    expect(rangeIn('frame', -1, 3, frameOf(NaN, NaN))).toEqual([0, 1]);
  });

  it('takes a diverging map only where both signs are in it', () => {
    const { colors } = mapping();
    expect(colors.mapName(-1, 1)).toBe('vik');
    expect(colors.mapName(0, 1)).toBe('viridis');
    colors.set('colormap', 'cividis');
    expect(colors.mapName(-1, 1)).toBe('cividis');
    expect(colors.color(1, -1, 1)).toBe(`#${COLORMAPS.cividis.slice(-6)}`);
  });
});

describe('the range over steps and calls', () => {
  const training = () => {
    const records = [stats(-1, 2), stats(0, 8), stats(-2, 1), stats(0, 99)].map((each) => ({ ...imageRecord(1, 4), stats: each }));
    return world({ ...catalogOf(...records), layers: [stepped('a', [[0], [1, 2]]), layer('b', [3])] });
  };

  it.each([
    ['layer', [-2, 8]],
    ['auto', [-8, 8]],
    ['symmetric', [-8, 8]],
  ])('is in mode %s that of the layer in all of them', (mode, expected) => {
    const { selection } = training();
    const colors = make(ColorMappingModel, { selection, mode });
    const ranges = [0, 1].map((step) => {
      selection.set('step', step);
      return colors.range(selection.place()!, null);
    });
    expect(ranges).toEqual([expected, expected]);
  });

  it('leaves out what has no statistics', () => {
    const { selection } = world({
      ...catalogOf({ ...imageRecord(1, 4), stats: stats(0, 3) }, { ...imageRecord(1, 4), stats: null }),
      layers: [stepped('a', [[0], [1]])],
    });
    expect(make(ColorMappingModel, { selection, mode: 'layer' }).range(selection.place()!, null)).toEqual([0, 3]);
  });
});

describe('the range of a record without statistics', () => {
  const here = { pages: [framePage({ record: 0, kind: 'frame', page: 0 }, [2, 2, 3])] }; // frames 0..1 and 1..2
  const modes = ['frame', 'layer', 'all', 'symmetric', 'fixed', 'auto'];
  const ranges = (selection: ReturnType<typeof world>['selection'], frame: Frame | null) =>
    modes.map((mode) => make(ColorMappingModel, { selection, mode, vmin: 7, vmax: 8 }).range(selection.place()!, frame));

  it('is 0..1 for attention in auto, and that of the pages that are here in the other modes', () => {
    const { selection } = world(attentionCatalog(), undefined, here);
    expect(ranges(selection, frameOf(0.25, 0.5))).toEqual([[0.25, 0.5], [0, 2], [0, 2], [-2, 2], [7, 8], [0, 1]]);
    expect(ranges(selection, null)[0]).toEqual([0, 2]);
  });

  it('is 0..1 as long as nothing is here', () => {
    const { selection } = world(attentionCatalog());
    expect(ranges(selection, null)).toEqual([[0, 1], [0, 1], [0, 1], [0, 1], [7, 8], [0, 1]]);
  });

  it('is that of the pages in auto too where it is no attention', () => {
    const { selection } = world({ ...attentionCatalog(), layers: [layer('conv', [0])] }, undefined, here);
    expect(ranges(selection, null).at(-1)).toEqual([0, 2]);
  });

  it('grows with the pages, and the number boxes with it', async () => {
    const comm = new FakeComm();
    const { store, selection } = world(attentionCatalog(), comm, here);
    const colors = make(ColorMappingModel, { selection, mode: 'layer' });
    await settled();
    const page = header({ record: 0, kind: 'histogram', page: 0 }, [1, 1, 64], 'float64');
    const buffers = [new Float64Array(64), Float64Array.of(-0.5), Float64Array.of(1.5)];
    answer(store, { type: 'page', id: comm.custom[0].id, ...page }, buffers);
    expect([colors.get('vmin'), colors.get('vmax'), colors.get('mode')]).toEqual([-0.5, 2, 'layer']);
  });

  it('is forgotten with the catalog', () => {
    const { store, selection } = world(attentionCatalog(), undefined, here);
    store.set('catalog', { ...attentionCatalog(), layers: [layer('conv', [0])] });
    expect(ranges(selection, null)[1]).toEqual([0, 1]);
  });
});

describe('the number boxes', () => {
  it('show the range in force', () => {
    const { colors, selection } = mapping({}, catalogOf(imageRecord(1, 4), { ...imageRecord(1, 4), stats: stats(0, 9) }));
    expect([colors.get('vmin'), colors.get('vmax'), colors.get('mode')]).toEqual([-3, 3, 'auto']);
    selection.set('layer', 1);
    expect([colors.get('vmin'), colors.get('vmax'), colors.get('mode')]).toEqual([0, 9, 'auto']);
    colors.set('mode', 'all');
    expect([colors.get('vmin'), colors.get('vmax'), colors.get('mode')]).toEqual([-1, 3, 'all']);
  });

  it('follow every frame in mode frame', () => {
    const { colors, selection } = mapping({ mode: 'frame' });
    expect([colors.get('vmin'), colors.get('vmax')]).toEqual([0, 1]);
    selection.set('channel', 1);
    expect([colors.get('vmin'), colors.get('vmax')]).toEqual([1, 2]);
  });

  it('fix the range when a number is typed, and tell the kernel both numbers', () => {
    const comm = new FakeComm();
    const { colors } = mapping({}, undefined, comm);
    colors.set('vmin', -0.5);
    colors.save_changes();
    expect(colors.get('mode')).toBe('fixed');
    expect(comm.updates).toEqual([{ vmin: -0.5, vmax: 3, mode: 'fixed' }]);
  });

  it('stay where the kernel puts the mode', () => {
    const { colors } = mapping();
    colors.set_state({ vmin: 4 });
    expect([colors.get('mode'), colors.get('vmin')]).toEqual(['auto', -3]);
    colors.set_state({ mode: 'fixed', vmin: 4, vmax: 5 });
    expect([colors.get('mode'), colors.get('vmin'), colors.get('vmax')]).toEqual(['fixed', 4, 5]);
  });
});

it('calls for new colours on every change that is seen', () => {
  const { colors } = mapping({ mode: 'layer' });
  const recolor = vi.fn();
  colors.on('recolor', recolor);
  colors.set('colormap', 'gray');
  expect(recolor).toHaveBeenCalledTimes(1);
});

it('names the colour maps that there are when one is unknown', () => {
  const { colors, store } = mapping();
  colors.set('colormap', 'jet');
  expect(store.get('problem')).toMatch(/^Error: no colour map 'jet'; choose one of auto, viridis/);
  expect(colors.mapName(0, 1)).toBe('viridis');
});

it('leaves no listener behind when it is closed', async () => {
  const { colors, selection, store } = mapping();
  await colors.close();
  const before = [listenerCount(selection), listenerCount(store)];
  const again = make(ColorMappingModel, { selection });
  await again.close();
  expect([listenerCount(selection), listenerCount(store)]).toEqual(before);
  expect(listenerCount(again)).toBe(0);
});

describe('with the choice of a map', () => {
  const record = { ...attentionOf({ queries: 2, keys: 2, heads: 2 }), stats: null };
  const page = (kind: PageKind, lo: number, hi: number) =>
    mapPage(record, [0, 253, 252, 126], { kind, lo: Float64Array.of(lo), hi: Float64Array.of(hi) });
  const PAGES = [page('frame', 0.1, 0.4), page('log', -2.5, -0.1), page('difference', -0.2, 0.1)];

  const of = (kind: string, state: object = {}) => {
    const { selection, store } = attentionWorld(record, PAGES);
    const choice = make(PictureChoiceModel, { selection, kind });
    const colors = make(ColorMappingModel, { selection, choice, ...state });
    return { selection, store, choice, colors, range: (frame: Frame | null = choice.frame()) => colors.range(choice.place()!, frame) };
  };

  it.each([
    ['weights', [0, 1]],
    ['row', [0, 1]],
    ['mean', [0, 1]],
    ['max', [0, 1]],
    ['log', [-3, 0]],
    ['difference', [-0.2, 0.2]],
  ])('the range of %s is its own in auto', (kind, range) => expect(of(kind).range()).toEqual(range));

  it('the range of a rollout ends at its largest, and begins at 0', () => {
    expect(of('rollout').range(frameOf(0.01, 0.3))).toEqual([0, 0.3]);
    expect(of('rollout').range(null)).toEqual([0, 1]);
  });

  it('the range of a logarithm never goes below one millionth', () => {
    expect(of('log').range(frameOf(-40, 0))).toEqual([-6, 0]);
  });

  it.each([
    ['frame', [0.1, 0.4]],
    ['layer', [0.1, 0.4]],
    ['all', [0, 1]],
    ['symmetric', [-0.4, 0.4]],
    ['fixed', [0.2, 0.3]],
  ])('mode %s counts the frames of that map', (mode, range) => {
    expect(of('weights', { mode, vmin: 0.2, vmax: 0.3 }).range()).toEqual(range);
  });

  it('the number boxes hold weights, also for a logarithm', () => {
    const { colors } = of('log');
    expect([colors.get('vmin'), colors.get('vmax')]).toEqual([0.001, 1]);
    colors.set({ mode: 'fixed', vmin: 0.01, vmax: 0.1 });
    expect(of('log', { mode: 'fixed', vmin: 0.01, vmax: 0.1 }).range()).toEqual([-2, -1]);
    expect(of('log', { mode: 'fixed', vmin: 0, vmax: 1 }).range()).toEqual([-6, 0]);
  });

  it('the number boxes follow another map', () => {
    const { colors, choice } = of('weights');
    choice.set('kind', 'difference');
    expect([colors.get('vmin'), colors.get('vmax'), colors.get('mode')]).toEqual([-0.2, 0.2, 'auto']);
  });

  it('weights that are exactly 0 are not drawn', () => {
    const { colors } = of('weights');
    expect(colors.table(frameOf(0, 1), 0, 1, true)[253]).toBe(0);
    expect(colors.table(frameOf(0, 1), 0, 1)[253]).toBe(0xffffff00);
  });

  it('no listener is left behind', async () => {
    const { colors, choice, selection, store } = of('weights');
    const count = () => [choice, selection, store].map(listenerCount);
    await colors.close();
    const before = count();
    await make(ColorMappingModel, { selection, choice }).close();
    expect(count()).toEqual(before);
  });
});
