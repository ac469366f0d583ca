/**
 * ColorMapping: how values become colours, decided in the browser.
 *
 * In: mode, typed numbers, colour map; the selected record's statistics, or what of it has come; with a choice, the map
 * of an attention or a memory. Out: the effective range and the table code -> pixel. Event: 'recolor' when mode, vmin, vmax or
 * colormap changed.
 *
 * vmin and vmax show the range in force in every mode, so that the number boxes tied to them do. A change that
 * neither we nor the kernel made was typed: it switches the mode to 'fixed'.
 */

import { unpack_models } from '@jupyter-widgets/base';

import type { Catalog, Ends, Frame, PageKind, Place } from './catalog';
import { WEIGHTS, aroundZero, between, bothSides, layerEnds, powersOf, weightsOf } from './color_range';
import type { Range } from './color_range';
import { colorMappingDefaults } from './generated/traits';
import type { ColorMappingState } from './generated/traits';
import type { MapChoiceModel } from './map_choice';
import {
  FIRST_SPECIAL_CODE,
  LAST_VALUE_CODE,
  POSITIONS,
  SPECIAL_PIXELS,
  colormapNames,
  cssColor,
  hasColormap,
  palette,
} from './palette';
import type { SelectionModel } from './selection';
import { shownBy } from './shown_picture';
import type { ShownPicture } from './shown_picture';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

/** Digits of the numbers that the boxes show while they follow the range; the range itself is not rounded. */
const BOX_DIGITS = 6;
/** ImageData's "nothing is drawn here". */
const TRANSPARENT_PIXEL = 0;
/** Pages that show the values of a record themselves, which its statistics are of. */
const VALUE_KINDS: PageKind[] = ['frame', 'time', 'timescale', 'similarity'];
const SEQUENTIAL_MAP = 'viridis';
const DIVERGING_MAP = 'vik';

interface CachedTable {
  lo: number;
  hi: number;
  vmin: number;
  vmax: number;
  map: string;
  emptyZeros: boolean;
  pixels: Uint32Array;
}

export class ColorMappingModel extends StateModel<ColorMappingState> {
  static override serializers = {
    ...StateModel.serializers,
    selection: { deserialize: unpack_models },
    choice: { deserialize: unpack_models },
  };

  private declare following: boolean;
  private declare fromKernel: boolean;
  private declare cached: CachedTable | null;

  override defaults() {
    return { ...super.defaults(), ...colorMappingDefaults() };
  }

  override initialize(attributes: Partial<ColorMappingState>, options: ModelOptions): void {
    super.initialize(attributes, options);
    this.following = false;
    this.fromKernel = false;
    this.cached = null;
    this.listenTo(this, 'change:vmin change:vmax', this.noticeTyping);
    this.listenTo(this, 'change:mode change:vmin change:vmax change:colormap', () => this.trigger('recolor'));
    this.listenTo(this, 'change:mode', this.followRange);
    this.listenTo(this, 'change:colormap', this.checkColormap);
    this.followShown();
    this.followRange();
  }

  private followShown(): void {
    const selection = this.selection;
    if (this.choice) {
      this.listenTo(this.choice, 'chosen', this.followRange);
    } else if (selection) {
      this.listenTo(selection, 'place', this.followRange);
      this.listenTo(selection, 'change', this.followFrame);
      this.listenTo(selection.store, 'pages', this.followPages);
    }
  }

  get selection(): SelectionModel {
    return this.trait('selection');
  }

  get choice(): MapChoiceModel | null {
    return this.trait('choice');
  }

  /** What is coloured. */
  shown(): ShownPicture {
    return shownBy(this.selection, this.choice);
  }

  /** `range` as people read it: of a logarithmic map the weights, else the same. */
  readRange(range: Range): Range {
    return this.choice?.logarithmic ? weightsOf(range) : range;
  }

  /** Effective vmin, vmax for a record; `frame` decides in mode 'frame' (without one: the record's range). */
  range(place: Place, frame: Frame | null): Range {
    if (this.choice) {
      return this.rangeOfMap(place, frame, this.choice);
    }
    const known = this.layerEnds(place) ?? this.selection.store.seenRange(place.index);
    switch (this.trait('mode')) {
      case 'fixed':
        return [this.trait('vmin'), this.trait('vmax')];
      case 'frame':
        return frame ? between({ min: frame.lo, max: frame.hi }) : between(known);
      case 'all':
        return between(ends(this.selection.store.catalog) ?? known);
      case 'symmetric':
        return aroundZero(known);
      case 'layer':
        return between(known);
      case 'auto':
        if (place.layer.kind === 'attention') {
          return WEIGHTS;
        }
        return bothSides(known);
    }
  }

  /** Range of the layer over all its steps and calls; null where the record has no statistics. */
  private layerEnds({ record, layer }: Place): Ends | null {
    return record.stats && layerEnds(this.selection.store.catalog, layer);
  }

  /** As `range`, for a map of an attention or a memory; of a logarithmic one in powers of ten. */
  private rangeOfMap(place: Place, frame: Frame | null, choice: MapChoiceModel): Range {
    const { pageKind, logarithmic } = choice;
    const values = VALUE_KINDS.includes(pageKind) && this.layerEnds(place);
    const known = values || this.selection.store.seenRange(place.index, pageKind);
    const typed: Range = [this.trait('vmin'), this.trait('vmax')];
    switch (this.trait('mode')) {
      case 'fixed':
        return logarithmic ? powersOf(typed) : typed;
      case 'frame':
        return between(frame ? { min: frame.lo, max: frame.hi } : known);
      case 'layer':
        return between(known);
      case 'all':
        return choice.wholeRange(place) ?? between(ends(this.selection.store.catalog) ?? known);
      case 'symmetric':
        return logarithmic ? choice.naturalRange(place, frame) : aroundZero(known);
      case 'auto':
        return choice.naturalRange(place, frame);
    }
  }

  /**
   * 256 pixels, one per code of `frame` (ImageData order on little endian); kept for the last question.
   * `emptyZeros`: code 253 stands for what is exactly 0, and nothing is drawn there.
   */
  table(frame: Frame, vmin: number, vmax: number, emptyZeros = false): Uint32Array {
    const { lo, hi } = frame;
    const asked = { lo, hi, vmin, vmax, map: this.mapName(vmin, vmax), emptyZeros };
    const last = this.cached;
    if (last && (Object.keys(asked) as (keyof typeof asked)[]).every((key) => last[key] === asked[key])) {
      return last.pixels;
    }
    const pixels = tablePixels(palette(asked.map), lo, hi, vmin, vmax);
    if (emptyZeros) {
      pixels[FIRST_SPECIAL_CODE] = TRANSPARENT_PIXEL;
    }
    this.cached = { ...asked, pixels };
    return pixels;
  }

  /** The colour map in force: the chosen one; for 'auto' a diverging one where the range has both signs. */
  mapName(vmin: number, vmax: number): string {
    const chosen = this.trait('colormap');
    if (hasColormap(chosen)) {
      return chosen;
    }
    return vmin < 0 && vmax > 0 ? DIVERGING_MAP : SEQUENTIAL_MAP;
  }

  /** CSS colour at a position 0..1 between vmin and vmax. */
  color(position: number, vmin: number, vmax: number): string {
    return cssColor(this.mapName(vmin, vmax), entryAt(position));
  }

  override set_state(state: Partial<ColorMappingState>): void {
    this.fromKernel = true;
    try {
      super.set_state(state as Parameters<StateModel<ColorMappingState>['set_state']>[0]);
    } finally {
      this.fromKernel = false;
    }
    this.followRange();
  }

  private noticeTyping(): void {
    if (!this.following && !this.fromKernel && this.trait('mode') !== 'fixed') {
      this.assign({ mode: 'fixed' }); // sent together with the number by whoever set that
    }
  }

  /** In mode 'frame' every step of the cursor has a range of its own; the other modes follow 'place' alone. */
  private followFrame(): void {
    if (this.trait('mode') === 'frame') {
      this.followRange();
    }
  }

  /** A record without statistics has the range of what has come of it. */
  private followPages(): void {
    if (this.trait('mode') === 'frame' || !this.selection.place()?.record.stats) {
      this.followRange();
    }
  }

  /** Lets vmin and vmax show the range in force. Nothing is sent: the next thing that is sent takes them along. */
  protected followRange(): void {
    const place = this.selection && this.shown().place();
    const mode = this.trait('mode');
    if (!place || mode === 'fixed') {
      return;
    }
    const ofFrame = mode === 'frame' || (this.choice !== null && mode === 'auto');
    const frame = ofFrame ? this.shown().frame() : null;
    if (ofFrame && frame === null) {
      return; // its page is on the way; the old numbers stay until then
    }
    const [vmin, vmax] = this.readRange(this.range(place, frame)).map(inBox);
    this.following = true;
    try {
      this.assign({ vmin, vmax });
    } finally {
      this.following = false;
    }
  }

  private checkColormap(): void {
    const chosen = this.trait('colormap');
    if (chosen !== 'auto' && !hasColormap(chosen)) {
      const known = ['auto', ...colormapNames()].join(', ');
      this.selection?.store.report(new Error(`no colour map '${chosen}'; choose one of ${known}`));
    }
  }
}

/** Code -> pixel. The order of the double operations is part of the contract: tests redo it in Python. */
function tablePixels(colors: Uint32Array, lo: number, hi: number, vmin: number, vmax: number): Uint32Array {
  // lo..hi of float64 tensors may be wider than the largest double; then everything is halved first.
  const half = Number.isFinite(hi - lo) && Number.isFinite(vmax - vmin) ? 1 : 0.5;
  const [low, high, first, last] = half === 1 ? [lo, hi, vmin, vmax] : [lo / 2, hi / 2, vmin / 2, vmax / 2];
  const pixels = new Uint32Array(POSITIONS);
  for (let code = 0; code <= LAST_VALUE_CODE; code++) {
    const value = low === high ? low : low + (code / LAST_VALUE_CODE) * (high - low);
    const position = first === last ? 0.5 : (value - first) / (last - first);
    pixels[code] = colors[entryAt(position)];
  }
  pixels.set(SPECIAL_PIXELS, FIRST_SPECIAL_CODE);
  return pixels;
}

/** Entry of a colour map at a position, clipped to 0..1; a frame without finite values has no position: entry 0. */
function entryAt(position: number): number {
  const clipped = position > 0 ? Math.min(1, position) : 0;
  return Math.min(POSITIONS - 1, Math.floor(clipped * POSITIONS));
}

/** A number short enough to be read in a box. */
function inBox(value: number): number {
  return Number(value.toPrecision(BOX_DIGITS));
}

/** Null when no record has statistics. */
function ends(catalog: Catalog): Ends | null {
  return catalog.lo === null || catalog.hi === null ? null : { min: catalog.lo, max: catalog.hi };
}
