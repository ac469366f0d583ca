/** ColorBar: the colours with their numbers, the histogram of the layer above them, and the loud colours with counts. */

import { unpack_models } from '@jupyter-widgets/base';

import type { Histogram, PageKind, Place } from './catalog';
import type { ColorMappingModel } from './color_mapping';
import type { Range } from './color_range';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { colorBarDefaults } from './generated/traits';
import type { ColorBarState } from './generated/traits';
import { approximately, countText, shareText } from './number_text';
import { CODE_NEGATIVE_INFINITY, barTicks, histogramColumns } from './paint';
import { powerTicks } from './power_ticks';
import type { SelectionModel } from './selection';
import { emptyZeros, zeroReason } from './shown_picture';
import type { ShownPicture } from './shown_picture';

const GRADIENT_STEPS = 256;
const HISTOGRAM_PX = 34;
const DEFAULT_WIDTH_PX = 320; // before the page has laid us out
/** Pages of values that the histogram of the record counts. */
const COUNTED_KINDS: PageKind[] = ['frame', 'time', 'timescale', 'similarity'];
/** The loud colours of the codes without a place in the range; the same as in ColorMapping's table. */
const LOUD: [key: 'nan' | 'posinf' | 'neginf', name: string, color: string][] = [
  ['nan', 'NaN', '#ff00ff'],
  ['posinf', '+Inf', '#39ff14'],
  ['neginf', '−Inf', '#00ffff'],
];

export class ColorBarModel extends DrawnModel<ColorBarState> {
  static override serializers = { ...DrawnModel.serializers, colors: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...colorBarDefaults() };
  }
}

export class ColorBarView extends DrawnView<ColorBarState> {
  private scale!: HTMLDivElement;
  private bars!: HTMLCanvasElement;
  private gradient!: HTMLCanvasElement;
  private ticks!: HTMLDivElement;
  private legend!: HTMLDivElement;
  private caption!: HTMLDivElement;
  private width = 0; // CSS pixels; asking the page at every frame would lay it out
  private drawnFor = ''; // the gradient is drawn only for another range, colour map or width

  private get colors(): ColorMappingModel {
    return this.model.trait('colors');
  }

  protected get selection(): SelectionModel | null {
    return this.colors?.selection ?? null;
  }

  protected build(): void {
    this.el.classList.add('memviz-bar');
    this.scale = element('div', 'memviz-bar-scale');
    this.bars = element('canvas', 'memviz-bar-histogram');
    this.gradient = element('canvas', 'memviz-bar-gradient');
    this.ticks = element('div', 'memviz-bar-ticks');
    this.legend = element('div', 'memviz-bar-legend');
    this.scale.append(this.bars, this.gradient, this.ticks);
    this.scale.setAttribute('role', 'img');
    this.caption = element('div', 'memviz-bar-caption');
    this.caption.hidden = true;
    this.el.append(this.caption, this.scale, this.legend);
    this.life.resized(this.scale, () => {
      this.width = Math.round(this.scale.clientWidth);
      this.schedule();
    });
  }

  protected follow(): void {
    this.life.follow(this.colors, 'recolor', () => this.schedule());
    this.life.follow(this.colors?.choice, 'chosen', () => this.schedule());
    this.life.follow(this.selection, 'change place', () => this.schedule());
    this.life.follow(this.selection?.store, 'pages', (record: number) => {
      if (record === this.colors.shown().place()?.index) {
        this.schedule();
      }
    });
  }

  protected draw(): void {
    const shown = this.selection && this.colors.shown();
    const place = shown?.place() ?? null;
    this.scale.hidden = !shown?.picture();
    this.drawCaption(shown);
    if (!place || !shown) {
      this.legend.replaceChildren();
      return;
    }
    const frame = shown.frame();
    const [vmin, vmax] = this.colors.range(place, frame);
    // counted over all values of the record: of no map of anything else
    const counted = shown.picture() !== null && COUNTED_KINDS.includes(shown.pageKind);
    const histogram = counted ? shown.selection.store.histogram(place.index) : null;
    this.bars.hidden = !counted;
    const holes = frame !== null && emptyZeros(shown) && frame.codes.includes(CODE_NEGATIVE_INFINITY);
    const empty = holes ? `exactly 0: ${zeroReason(shown)}` : '';
    const width = this.width || DEFAULT_WIDTH_PX;
    const map = [this.colors.mapName(vmin, vmax), shown.pageKind, empty];
    const drawnFor = [vmin, vmax, ...map, width, place.index, histogram !== null].join(' ');
    if (drawnFor !== this.drawnFor) {
      this.drawnFor = drawnFor;
      this.drawScale(place, histogram, [vmin, vmax], width, empty);
    }
  }

  /** Which map of an attention or a memory it is, with its limits; nothing for the frame of the selected record. */
  private drawCaption(shown: ShownPicture | null): void {
    const words = this.colors?.choice && shown ? shown.words(' of ').join(', ') : '';
    setText(this.caption, words);
    this.caption.hidden = words === '';
  }

  private drawScale(place: Place, histogram: Histogram | null, range: Range, width: number, empty: string): void {
    const [vmin, vmax] = range;
    const [low, high] = this.colors.readRange(range);
    drawGradient(this.gradient, (position) => this.colors.color(position, vmin, vmax));
    const outside = histogram
      ? drawHistogram(this.bars, histogram, vmin, vmax, width)
      : clear(this.bars);
    const powers = this.colors.choice?.logarithmic ?? false;
    this.ticks.replaceChildren(
      ...(powers ? powerTicks : barTicks)(vmin, vmax, width).map(({ position, text }) => {
        const tick = element('span', 'memviz-bar-tick', text);
        tick.style.left = `${position * 100}%`;
        tick.dataset.end = position === 0 ? 'first' : position === 1 ? 'last' : '';
        return tick;
      }),
    );
    const entries = this.legendEntries(place, histogram, outside, empty);
    this.legend.replaceChildren(...entries);
    const counted = histogram ? ', histogram of the layer above them, heights as the square root of the counts' : '';
    const logarithmic = powers ? ', logarithmic' : '';
    this.scale.title = `colours from ${approximately(low)} to ${approximately(high)}${logarithmic}${counted}`;
    const said = entries.map((entry) => entry.textContent).join(', ');
    this.scale.setAttribute('aria-label', `${this.colors.mapName(vmin, vmax)} ${this.scale.title}${said && `; ${said}`}`);
  }

  private legendEntries(place: Place, histogram: Histogram | null, outside: Outside, empty: string): HTMLElement[] {
    const entries: HTMLElement[] = [];
    if (empty) {
      entries.push(swatched('empty', 'transparent', empty));
    }
    if (outside.below > 0) {
      entries.push(element('span', 'memviz-bar-clipped', `◂ ${shareText(outside.below)} below`));
    }
    if (outside.above > 0) {
      entries.push(element('span', 'memviz-bar-clipped', `${shareText(outside.above)} above ▸`));
    }
    for (const [key, name, color] of LOUD) {
      const count = place.record.stats?.[key] ?? 0;
      if (count > 0) {
        entries.push(swatched(key, color, `${countText(count)} ${name}`));
      }
    }
    if (histogram?.sampled) {
      entries.push(element('span', 'memviz-bar-sampled', 'histogram of a sample'));
    }
    return entries;
  }
}

/** A colour with what it stands for. */
function swatched(kind: string, color: string, words: string): HTMLElement {
  const entry = element('span', 'memviz-bar-loud');
  const swatch = element('span', 'memviz-bar-swatch');
  swatch.style.backgroundColor = color;
  entry.append(swatch, element('span', '', words));
  entry.dataset.kind = kind;
  return entry;
}

interface Outside {
  below: number;
  above: number;
}

function drawGradient(canvas: HTMLCanvasElement, color: (position: number) => string): void {
  canvas.width = GRADIENT_STEPS;
  canvas.height = 1;
  const context = canvas.getContext('2d');
  for (let step = 0; context && step < GRADIENT_STEPS; step++) {
    context.fillStyle = color((step + 0.5) / GRADIENT_STEPS);
    context.fillRect(step, 0, 1, 1);
  }
}

function clear(canvas: HTMLCanvasElement): Outside {
  canvas.getContext('2d')?.clearRect(0, 0, canvas.width, canvas.height);
  return { below: 0, above: 0 };
}

/** Draws in the text colour of the canvas, so that themes apply. */
function drawHistogram(canvas: HTMLCanvasElement, histogram: Histogram, vmin: number, vmax: number, width: number): Outside {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(HISTOGRAM_PX * ratio);
  const { heights, below, above } = histogramColumns(histogram, vmin, vmax, canvas.width);
  const context = canvas.getContext('2d');
  if (context) {
    context.fillStyle = getComputedStyle(canvas).color || '#808080';
    heights.forEach((height, x) => {
      const pixels = Math.ceil(height * canvas.height);
      context.fillRect(x, canvas.height - pixels, 1, pixels);
    });
  }
  return { below, above };
}
