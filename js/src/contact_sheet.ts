/** ContactSheet: every channel of the selected record as a small tile; a click or the arrow keys select one. */

import { unpack_models } from '@jupyter-widgets/base';

import type { Place } from './catalog';
import type { ColorMappingModel } from './color_mapping';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { contactSheetDefaults } from './generated/traits';
import type { ContactSheetState } from './generated/traits';
import { approximately, countText, shareText } from './number_text';
import { channelOrder, paintTile, sheetLayout, tileAt, tileCorner } from './paint';
import type { SheetLayout } from './paint';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';
import { tileSource } from './sheet_tiles';
import type { TileSource } from './sheet_tiles';

type Order = ContactSheetState['order'];
const MEASURES: Order[] = ['magnitude', 'variance', 'zeros']; // rows of the "channels" page
const MEASURE_WORDS: Record<Order, string> = {
  index: '',
  magnitude: 'mean |x|',
  variance: 'variance',
  zeros: 'zeros',
};
const RESIZE_SLACK_PX = 2; // a scrollbar that comes and goes must not lay the sheet out for ever
const DEFAULT_WIDTH_PX = 260; // before the page has laid us out
const PADDING_PX = 4; // of .memviz-sheet-tiles: room for the ring around the outermost tiles

export class ContactSheetModel extends DrawnModel<ContactSheetState> {
  static override serializers = {
    ...DrawnModel.serializers,
    selection: { deserialize: unpack_models },
    colors: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...contactSheetDefaults() };
  }
}

export class ContactSheetView extends DrawnView<ContactSheetState> {
  private tiles!: HTMLDivElement;
  private canvas!: HTMLCanvasElement;
  private ring!: HTMLDivElement;
  private note!: HTMLDivElement;
  private pager!: HTMLDivElement;
  private pageText!: HTMLSpanElement;
  private buttons: HTMLButtonElement[] = [];
  private option!: HTMLDivElement;
  private layout_: SheetLayout | null = null;
  private order: Int32Array = new Int32Array(0); // channel per position
  private positions: Int32Array = new Int32Array(0); // position per channel
  private orderOf = ''; // what `order` was made for
  private page = 0;
  private painted = 0;
  private width = 0;
  private roll = { top: 0, height: 0 }; // scroll position and height of the tiles; asking the page would lay it out

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  private get colors(): ColorMappingModel {
    return this.model.trait('colors');
  }

  protected build(): void {
    this.el.classList.add('memviz-sheet');
    this.tiles = element('div', 'memviz-sheet-tiles');
    this.canvas = element('canvas', 'memviz-sheet-canvas');
    this.ring = element('div', 'memviz-sheet-ring');
    this.option = element('div', 'memviz-spoken');
    this.note = element('div', 'memviz-note');
    this.tiles.append(this.canvas, this.ring, this.option);
    this.buildPager();
    this.el.append(this.note, this.tiles, this.pager);
    this.canvas.setAttribute('aria-hidden', 'true');
    // one option stands for the selected tile: a listbox of 100,000 options would be slow and no easier to use
    this.option.id = `memviz-option-${this.cid}`;
    this.option.setAttribute('role', 'option');
    this.option.setAttribute('aria-selected', 'true');
    this.tiles.setAttribute('role', 'listbox');
    this.tiles.setAttribute('aria-activedescendant', this.option.id);
    this.tiles.tabIndex = 0;
    this.life.on(this.tiles, 'click', (event) => this.choose(this.positionUnder(event)));
    this.life.on(this.tiles, 'pointermove', (event) => this.nameTile(this.positionUnder(event)));
    this.life.on(this.tiles, 'keydown', (event) => this.pressed(event));
    this.life.on(this.tiles, 'scroll', () => (this.roll.top = this.tiles.scrollTop));
    this.life.resized(this.tiles, () => (this.roll.height = this.tiles.clientHeight));
    this.life.resized(this.el, () => this.resized());
  }

  private buildPager(): void {
    this.pager = element('div', 'memviz-sheet-pager');
    this.pageText = element('span', 'memviz-sheet-page');
    this.pageText.setAttribute('aria-live', 'polite');
    this.buttons = [-1, 1].map((step) => {
      const button = element('button', 'memviz-button jupyter-button', step < 0 ? '‹' : '›');
      button.type = 'button';
      button.setAttribute('aria-label', step < 0 ? 'previous channels' : 'next channels');
      this.life.on(button, 'click', () => {
        this.page += step;
        this.schedule();
      });
      return button;
    });
    this.pager.append(this.buttons[0], this.pageText, this.buttons[1]);
  }

  protected follow(): void {
    this.life.follow(this.model, 'change:order change:tiles_per_page', () => this.followSelected());
    this.life.follow(this.selection, 'place', () => this.followSelected());
    this.life.follow(this.selection, 'change', () => this.changed());
    this.life.follow(this.colors, 'recolor', () => this.schedule());
    this.life.follow(this.selection?.store, 'pages', (record: number) => {
      if (record === this.selection?.place()?.index) {
        this.schedule();
      }
    });
    this.updateOrder();
    this.page = this.pageOfSelected();
  }

  /** Another channel alone moves the ring; the tiles stay, unless their range is that of the shown frame. */
  private changed(): void {
    const changed = Object.keys(this.selection?.changedAttributes() || {});
    const before = this.page;
    if (changed.includes('channel')) {
      this.page = this.pageOfSelected();
    }
    if (before === this.page && this.colors.get('mode') !== 'frame' && changed.every((trait) => trait === 'channel')) {
      this.moveRing();
    } else {
      this.schedule();
    }
  }

  private resized(): void {
    if (Math.abs(this.available() - this.width) > RESIZE_SLACK_PX) {
      this.schedule();
    }
  }

  private available(): number {
    const width = this.tiles.clientWidth || this.el.clientWidth;
    return width ? width - 2 * PADDING_PX : DEFAULT_WIDTH_PX;
  }

  // ----------------------------------------------------------------------------------------------------- the order

  private channels(): number {
    return this.selection?.place()?.record.channels ?? 0;
  }

  private measure(order: Order): Float32Array | null {
    const place = this.selection?.place();
    const row = MEASURES.indexOf(order);
    return (place && row >= 0 && this.selection?.store.channelMeasures(place.index)?.[row]) || null;
  }

  private updateOrder(): void {
    const order = this.model.trait('order');
    const measure = this.measure(order);
    const madeFor = [this.selection?.place()?.index, this.channels(), order, measure !== null].join(' ');
    if (madeFor === this.orderOf) {
      return;
    }
    this.orderOf = madeFor;
    this.order = channelOrder(this.channels(), measure);
    this.positions = new Int32Array(this.order.length);
    this.order.forEach((channel, position) => (this.positions[channel] = position));
    this.page = this.pageOfSelected();
  }

  private get perPage(): number {
    return Math.max(1, this.model.trait('tiles_per_page'));
  }

  private selectedChannel(): number {
    return this.selection ? indexAlong(this.selection, 'channel', Math.max(1, this.channels())) : 0;
  }

  private selectedPosition(): number {
    return this.positions[this.selectedChannel()] ?? 0;
  }

  private pageOfSelected(): number {
    return Math.floor(this.selectedPosition() / this.perPage);
  }

  private followSelected(): void {
    this.updateOrder();
    this.page = this.pageOfSelected();
    this.schedule();
  }

  /** First position on the page, and the number of tiles on it. */
  private span(): [number, number] {
    const pages = Math.max(1, Math.ceil(this.order.length / this.perPage));
    this.page = Math.max(0, Math.min(pages - 1, this.page));
    const first = this.page * this.perPage;
    return [first, Math.min(this.perPage, this.order.length - first)];
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  protected draw(): void {
    this.updateOrder();
    const place = this.selection?.place() ?? null;
    const [first, count] = this.span();
    const source = place && count > 0 && this.selection ? tileSource(place, this.selection, this.colors) : null;
    setText(this.note, source ? '' : this.emptyText(place));
    this.tiles.hidden = !source;
    this.pager.hidden = !source || this.order.length <= this.perPage;
    if (!place || !source) {
      return;
    }
    const missing = this.paintTiles(place, source, first, count);
    setText(this.note, missing ? this.selection?.store.refusal(place.index, 'sheet') ?? '' : '');
    setText(this.pageText, `${countText(first + 1)}–${countText(first + count)} of ${countText(this.order.length)}`);
    this.buttons[0].disabled = first === 0;
    this.buttons[1].disabled = first + count >= this.order.length;
    this.moveRing();
  }

  /** Where there is no record, the picture and the record line say why; a third time would be noise. */
  private emptyText(place: Place | null): string {
    const what = place?.layer.kind === 'attention' ? 'these weights' : 'this output';
    return place ? `no channels in ${what}` : '';
  }

  /** Draws the tiles of one page; returns how many of them are not here yet. */
  private paintTiles(place: Place, source: TileSource, first: number, count: number): number {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.available();
    const layout = sheetLayout(count, this.width, ratio, source.single, source.tall);
    this.layout_ = layout;
    const context = this.canvas.getContext('2d');
    if (this.canvas.width !== layout.width || this.canvas.height !== layout.height) {
      this.canvas.width = layout.width;
      this.canvas.height = layout.height;
      this.canvas.style.width = `${layout.width / ratio}px`;
      this.canvas.style.height = `${layout.height / ratio}px`;
    }
    if (!context) {
      return count;
    }
    const image = context.createImageData(layout.width, layout.height);
    const pixels = new Uint32Array(image.data.buffer);
    let missing = 0;
    for (let i = 0; i < count; i++) {
      const tile = source.tile(this.order[first + i]);
      missing += tile ? 0 : 1;
      paintTile(pixels, layout, i, tile, tile && source.table(tile));
    }
    context.putImageData(image, 0, 0);
    this.painted += 1;
    Object.assign(this.canvas.dataset, {
      record: place.index,
      state: missing ? 'loading' : 'ready',
      painted: this.painted,
      first,
      count,
      columns: layout.columns,
      pitchX: (layout.tileWidth + layout.gap) / ratio,
      pitchY: (layout.tileHeight + layout.gap) / ratio,
    });
    return missing;
  }

  private moveRing(): void {
    const layout = this.layout_;
    const channel = this.selectedChannel();
    const [first, count] = this.span();
    const position = this.selectedPosition() - first;
    const shown = layout !== null && position >= 0 && position < count;
    this.ring.hidden = !shown;
    if (layout && shown) {
      const ratio = window.devicePixelRatio || 1;
      const [left, top] = tileCorner(layout, position).map((pixel) => pixel / ratio);
      const [width, height] = [layout.tileWidth / ratio, layout.tileHeight / ratio];
      Object.assign(this.ring.style, { left: `${left + PADDING_PX}px`, top: `${top + PADDING_PX}px` });
      Object.assign(this.ring.style, { width: `${width}px`, height: `${height}px` });
      this.scrollTo(top, height + 2 * PADDING_PX);
    }
    this.canvas.dataset.selected = String(channel);
    this.speak(channel);
  }

  /** Scrolls the sheet alone, never the page. */
  private scrollTo(top: number, height: number): void {
    const { roll } = this;
    if (roll.height && (top < roll.top || top + height > roll.top + roll.height)) {
      this.tiles.scrollTop = top + height / 2 - roll.height / 2;
    }
  }

  private speak(channel: number): void {
    const total = countText(this.channels());
    const label = `channels of ${this.selection?.place()?.layer.label ?? ''}, ${channel} of ${total} selected`;
    this.tiles.setAttribute('aria-label', label);
    this.option.setAttribute('aria-setsize', String(this.channels()));
    this.option.setAttribute('aria-posinset', String(this.selectedPosition() + 1));
    setText(this.option, this.channelWords(channel));
  }

  /** "channel 17", and its measure when the sheet is ordered by one. */
  private channelWords(channel: number): string {
    const order = this.model.trait('order');
    const value = this.measure(order)?.[channel];
    if (value === undefined) {
      return `channel ${channel}`;
    }
    const text = order === 'zeros' && !Number.isNaN(value) ? shareText(value) : approximately(value);
    return `channel ${channel}, ${MEASURE_WORDS[order]} ${text}`;
  }

  // -------------------------------------------------------------------------------------------------------- events

  /** Position in the display order under the pointer; -1: none. */
  private positionUnder(event: MouseEvent): number {
    const box = this.canvas.getBoundingClientRect();
    const [first, count] = this.span();
    if (!this.layout_ || !box.width) {
      return -1;
    }
    const scale = this.layout_.width / box.width;
    const tile = tileAt(this.layout_, count, (event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
    return tile < 0 ? -1 : first + tile;
  }

  private nameTile(position: number): void {
    this.tiles.title = position < 0 ? '' : this.channelWords(this.order[position]);
  }

  private choose(position: number): void {
    if (position >= 0 && position < this.order.length) {
      this.selection?.move('channel', this.order[position]);
    }
  }

  private pressed(event: KeyboardEvent): void {
    const columns = this.layout_?.columns ?? 1;
    const at = this.selectedPosition();
    const last = this.order.length - 1;
    const targets: Record<string, number | undefined> = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at - columns,
      ArrowDown: at + columns,
      PageUp: Math.max(0, at - this.perPage),
      PageDown: Math.min(last, at + this.perPage),
      Home: 0,
      End: last,
    };
    const target = targets[event.key];
    if (target !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
      this.choose(target);
      event.preventDefault();
      event.stopPropagation();
    }
  }
}
