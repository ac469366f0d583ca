/** TopExamples: the samples of a data set that excite the selected channel most; a click or the arrow keys go to one. */

import { unpack_models } from '@jupyter-widgets/base';

import type { Frame, Place } from './catalog';
import type { ColorMappingModel } from './color_mapping';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { topExamplesDefaults } from './generated/traits';
import type { TopExamplesState } from './generated/traits';
import { countText } from './number_text';
import { NEUTRAL_PIXEL, paintCodes } from './paint';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';

export const OTHER_CHANNEL = 'the examples of this channel come from the kernel';
export const NO_EXAMPLES = 'no examples were kept';

export class TopExamplesModel extends DrawnModel<TopExamplesState> {
  static override serializers = {
    ...DrawnModel.serializers,
    selection: { deserialize: unpack_models },
    colors: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...topExamplesDefaults() };
  }
}

export class TopExamplesView extends DrawnView<TopExamplesState> {
  private heading!: HTMLDivElement;
  private note!: HTMLDivElement;
  private strip!: HTMLDivElement;
  private reached = 0; // the button that Tab comes to

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  private get colors(): ColorMappingModel {
    return this.model.trait('colors');
  }

  private get buttons(): HTMLButtonElement[] {
    return [...this.strip.querySelectorAll('button')];
  }

  protected build(): void {
    this.el.classList.add('memviz-top-examples');
    this.heading = element('div', 'memviz-top-title');
    this.note = element('div', 'memviz-note');
    this.strip = element('div', 'memviz-top-strip');
    this.heading.id = `memviz-top-${this.cid}`;
    this.strip.setAttribute('role', 'group');
    this.strip.setAttribute('aria-labelledby', this.heading.id);
    this.el.append(this.heading, this.note, this.strip);
    this.life.on(this.strip, 'click', (event) => this.choose(this.placeOf(event)));
    this.life.on(this.strip, 'keydown', (event) => this.pressed(event));
  }

  protected follow(): void {
    this.life.follow(this.model, 'change', () => this.schedule());
    this.life.follow(this.selection, 'change place', () => this.schedule());
    this.life.follow(this.colors, 'recolor', () => this.schedule());
    this.life.follow(this.selection?.store, 'pages', (record: number) => {
      if (record === this.model.trait('record')) {
        this.schedule();
      }
    });
  }

  protected draw(): void {
    const place = this.selection?.place() ?? null;
    const channels = place?.record.channels ?? 0;
    const channel = this.selection && channels ? indexAlong(this.selection, 'channel', channels) : 0;
    const what = channels ? `channel ${channel} of ${place?.layer.label ?? ''}` : place?.layer.label ?? '';
    setText(this.heading, place ? `What excites ${what}` : '');
    const known = place !== null && place.index === this.model.trait('record') && channel === this.model.trait('channel');
    const samples = known ? this.model.trait('samples') : [];
    setText(this.note, !place || samples.length ? '' : known ? NO_EXAMPLES : OTHER_CHANNEL);
    this.el.dataset.state = known ? 'ready' : 'loading';
    if (!known && this.strip.contains(document.activeElement)) {
      return; // the keyboard stays where it is until the others come
    }
    this.setCount(samples.length);
    this.buttons.forEach((button, i) => place && this.fill(button, place, channel, i));
  }

  private setCount(count: number): void {
    while (this.strip.children.length > count) {
      this.strip.lastElementChild?.remove();
    }
    while (this.strip.children.length < count) {
      const button = element('button', 'memviz-top-example');
      button.type = 'button';
      button.append(
        element('canvas', 'memviz-top-map'),
        element('span', 'memviz-top-sample'),
        element('span', 'memviz-top-value'),
      );
      this.strip.append(button);
    }
    this.reach(Math.min(this.reached, Math.max(0, count - 1)));
  }

  private fill(button: HTMLButtonElement, place: Place, channel: number, i: number): void {
    const sample = this.model.trait('samples')[i];
    const value = this.model.trait('values')[i] ?? '';
    const where = this.model.trait('places')[i] ?? '';
    const [canvas, name, number] = [...button.children] as [HTMLCanvasElement, HTMLElement, HTMLElement];
    setText(name, `sample ${countText(sample)}`);
    setText(number, value);
    button.title = where ? `largest at ${where}` : '';
    button.setAttribute('aria-label', `sample ${sample}, ${value}${where ? ` at ${where}` : ''}`);
    button.setAttribute('aria-pressed', String(this.selection?.trait('sample') === sample));
    this.paint(canvas, place, { channel, sample });
  }

  /** The map of the channel, in the colours of the heatmap; none where it is a single value. */
  private paint(canvas: HTMLCanvasElement, place: Place, at: Record<string, number>): void {
    const { selection } = this;
    const sheet = place.record.sheet;
    canvas.hidden = !selection || !sheet || sheet.rows * sheet.cols === 1;
    if (!selection || !sheet || canvas.hidden) {
      return;
    }
    const tile = selection.store.frame(place.index, 'sheet', selection.flat(sheet, at));
    Object.assign(canvas, { width: sheet.cols, height: sheet.rows });
    canvas.style.aspectRatio = `${sheet.full_cols} / ${sheet.full_rows}`;
    canvas.dataset.state = tile ? 'ready' : 'loading';
    const context = canvas.getContext('2d');
    if (context) {
      const image = context.createImageData(sheet.cols, sheet.rows);
      this.colorIn(new Uint32Array(image.data.buffer), tile, place);
      context.putImageData(image, 0, 0);
    }
  }

  private colorIn(pixels: Uint32Array, tile: Frame | null, place: Place): void {
    const { frame } = place.record;
    const main = frame && this.selection ? this.selection.store.frame(place.index, 'frame', this.selection.flat(frame)) : null;
    if (tile) {
      paintCodes(pixels, tile.codes, this.colors.table(tile, ...this.colors.range(place, main)));
    } else {
      pixels.fill(NEUTRAL_PIXEL);
    }
  }

  // -------------------------------------------------------------------------------------------------------- events

  private placeOf(event: Event): number {
    const target = event.target as Element;
    return this.buttons.findIndex((button) => button.contains(target));
  }

  private choose(i: number): void {
    const sample = this.model.trait('samples')[i];
    if (sample !== undefined) {
      this.reach(i);
      this.selection?.move('sample', sample);
    }
  }

  private reach(i: number): void {
    this.reached = i;
    this.buttons.forEach((button, place) => (button.tabIndex = place === i ? 0 : -1));
  }

  private pressed(event: KeyboardEvent): void {
    const last = this.buttons.length - 1;
    const targets: Record<string, number | undefined> = {
      ArrowLeft: Math.max(0, this.reached - 1),
      ArrowRight: Math.min(last, this.reached + 1),
      Home: 0,
      End: last,
    };
    const target = targets[event.key];
    if (target !== undefined && last >= 0 && !event.ctrlKey && !event.metaKey && !event.altKey) {
      this.choose(target);
      this.buttons[target].focus();
      event.preventDefault();
      event.stopPropagation();
    }
  }
}
