/**
 * TensorImage: the heatmap, a bqplot Mark that draws the selected frame through a 256-entry colour table.
 *
 * The canvas has one pixel per cell, as far as the screen has these, and lies between bqplot's two SVG layers; size, pan and zoom are CSS only.
 */

import type { WidgetModel } from '@jupyter-widgets/base';
import { Mark } from 'bqplot';

import type { Frame, Place } from './catalog';
import type { ColorMappingModel } from './color_mapping';
import { DetailCanvas } from './detail_canvas';
import { element, setText } from './drawn_view';
import { FigureShape } from './figure_shape';
import { keepKeys } from './host_shortcuts';
import { Lifetime } from './lifetime';
import { LitStrip } from './lit_strip';
import { approximately } from './number_text';
import { boxOfCell, pictureBox } from './paint';
import type { Box } from './paint';
import { drawBands, selectedBands } from './picture_bands';
import { PictureCanvas } from './picture_canvas';
import { exportPicture } from './picture_export';
import { PictureDetail, inDetail, inWhole } from './picture_detail';
import { PictureReader } from './picture_reader';
import type { ReadPicture } from './picture_reader';
import type { SelectionModel } from './selection';
import { emptyZeros, textsAlong } from './shown_picture';
import type { ShownPicture } from './shown_picture';
import { injectStyle } from './style';
import type { TensorImageModel } from './tensor_image_model';

export { TensorImageModel } from './tensor_image_model';

const DESCRIBE_EVERY_MS = 1000; // a screen reader is told about the picture at most this often
type State = 'ready' | 'loading' | 'message';

export class TensorImage extends Mark implements ReadPicture {
  declare model: TensorImageModel;
  private life!: Lifetime;
  private holder!: HTMLDivElement;
  private whole!: PictureCanvas;
  private notice!: HTMLDivElement;
  private reader!: PictureReader;
  private detail!: PictureDetail;
  private detailCanvas!: DetailCanvas;
  private drawnBands = '';
  private shape!: FigureShape;
  private strip!: LitStrip;

  get selection(): SelectionModel {
    return this.model.trait('selection');
  }

  get shown(): ShownPicture {
    return this.model.shown;
  }

  /** As it is read: in the cells of the detail where there is one. */
  get read(): ShownPicture {
    const { current } = this.detail;
    return current ? inDetail(this.shown, current) : this.shown;
  }

  get figure(): HTMLElement {
    return this.parent.el;
  }

  /** The plot area: the element that takes the keyboard. */
  get area(): HTMLElement {
    return this.holder;
  }

  get readable(): boolean {
    return this.model.trait('readout');
  }

  private get canvas(): HTMLCanvasElement {
    return this.whole.el;
  }

  private get colors(): ColorMappingModel {
    return this.model.trait('colors');
  }

  override async render(): Promise<void> {
    this.life = new Lifetime(this, (error) => this.selection.store.report(error));
    await super.render();
    if (this.life.ended) {
      return;
    }
    this.event_listeners = {};
    this.create_listeners();
    this.life.guard(() => {
      injectStyle(document);
      this.mount();
      this.listen();
      this.draw();
    })();
  }

  private mount(): void {
    this.el.classList.add('memviz-mark');
    this.whole = new PictureCanvas();
    this.notice = element('div', 'memviz-image-notice');
    this.holder = element('div', 'memviz-image-holder');
    this.detailCanvas = new DetailCanvas();
    this.holder.append(this.canvas, this.notice, this.detailCanvas.el);
    this.holder.tabIndex = 0;
    this.holder.setAttribute('role', 'img');
    this.parent.el.insertBefore(this.holder, this.parent.svg.node());
    this.shape = new FigureShape(this.parent);
    this.strip = new LitStrip(this.el);
    this.detail = new PictureDetail(this.life, () => this.detailChanged(), (error) => this.selection.store.report(error));
    this.reader = new PictureReader(this, this.life);
    keepKeys(this.holder, this.life);
    exportPicture(this.parent, `memviz_${this.cid}`, this.life, () => {
      const box = this.box();
      const whole = box && this.canvas.dataset.state === 'ready' ? [{ canvas: this.canvas, box }] : [];
      return whole.length && this.detailBox ? [...whole, { canvas: this.detailCanvas.el, box: this.detailBox }] : whole;
    });
    this.parent.el.classList.add('memviz-figure');
    this.life.onEnd(() => {
      this.holder.remove();
      this.parent.el.classList.remove('memviz-no-picture');
      this.parent.el.classList.toggle('memviz-figure', this.parent.el.querySelector('.memviz-image-holder') !== null);
    });
  }

  private listen(): void {
    this.listenTo(this.model, 'data_updated', this.life.guard(() => this.relayout()));
    this.listenTo(this.model, 'change:selection change:choice change:colors', () => this.followModels());
    this.followModels();
  }

  private followModels(): void {
    const repaint = (): void => this.schedule();
    this.life.unfollow();
    this.life.follow(this.selection, 'change place', repaint); // the bands move with it
    this.life.follow(this.model.trait('choice'), 'chosen', repaint);
    this.life.follow(this.colors, 'recolor', repaint);
    this.life.follow(this.shown.subject, 'place', () => this.noteLoaded());
    this.life.follow(this.selection.store, 'pages', (record: number) => {
      if (record === this.shown.place()?.index) {
        this.noteLoaded();
        this.schedule();
      }
    });
    this.noteLoaded();
    this.schedule();
  }

  /** Says in the page when the whole record is here: "3:all". */
  private noteLoaded(): void {
    const record = this.shown.place()?.index ?? -1;
    const complete = this.selection.store.complete(record, this.shown.pageKind);
    this.canvas.dataset.loaded = complete ? `${record}:all` : '';
  }

  private schedule(): void {
    this.life.nextFrame(() => this.paint());
  }

  // ----------------------------------------------------------------------------------------------------- placement

  override set_positional_scales(): void {
    for (const name of ['x', 'y']) {
      this.listenTo(this.scales[name], 'domain_changed', this.life.guard(() => this.place()));
    }
  }

  override set_ranges(): void {
    for (const name of ['x', 'y']) {
      const scale = this.scales?.[name];
      scale?.setRange(this.parent.padded_range(name, scale.model));
    }
  }

  override relayout(): void {
    this.life.guard(() => {
      const picture = this.model.picture;
      if (picture) {
        this.shape.fit(picture, this.model.room);
      }
      this.place();
    })();
  }

  override draw(): void {
    this.relayout();
    this.schedule();
  }

  /** Box of the canvas in the plot area, CSS pixels. The last cell of a pooled picture may stand for fewer columns. */
  box(picture = this.model.picture): Box | null {
    const { x, y } = this.scales ?? {};
    if (!picture || !x || !y) {
      return null;
    }
    const rows = picture.rows * picture.pool_rows;
    const cols = picture.cols * picture.pool_cols;
    return pictureBox((value) => x.scale(value), (value) => y.scale(value), rows, cols);
  }

  private place(): void {
    if (!this.holder) {
      return;
    }
    this.set_ranges();
    const figure = this.parent;
    const [left, top] = figure.autoLayout ? [figure.offsetX, figure.offsetY] : [figure.margin.left, figure.margin.top];
    const visible = this.model.get('visible') as boolean;
    moveTo(this.holder, left, top, figure.plotareaWidth, figure.plotareaHeight);
    this.holder.style.display = visible ? '' : 'none';
    this.model.fitLabels(figure.plotareaWidth, figure.plotareaHeight);
    const { picture } = this.model;
    const box = this.box();
    if (box) {
      place(this.canvas, box);
    }
    if (picture && this.whole.isOtherwise(picture, box)) {
      this.schedule();
    }
    this.placeDetail();
    this.reader?.reread();
    this.markCells();
  }

  private placeDetail(): void {
    const { x, y } = this.scales ?? {};
    const { plotareaWidth: width, plotareaHeight: height } = this.parent;
    if (!x || !y) {
      return;
    }
    const ratio = window.devicePixelRatio || 1;
    const pixels = { width: width * ratio, height: height * ratio };
    this.detail.follow(this.shown, { x: x.model.domain as number[], y: y.model.domain as number[], pixels });
    const box = this.detailBox;
    if (box) {
      place(this.detailCanvas.el, box);
    }
  }

  private get detailBox(): Box | null {
    const { x, y } = this.scales;
    const { current } = this.detail;
    return current && this.detailCanvas.boxOf(current, (v) => x.scale(v), (v) => y.scale(v));
  }

  /** Another detail has come, or it is gone: its cells are others than those that were read. */
  private detailChanged(): void {
    this.noteGrain();
    this.placeDetail();
    this.reader.reread();
    this.schedule();
  }

  private noteGrain(): void {
    const { current } = this.detail;
    this.model.showGrain({ detail: current?.pools ?? null, crowded: !current && this.whole.crowded });
  }

  override update_visibility(model: WidgetModel, visible: boolean): void {
    super.update_visibility(model, visible);
    this.place();
  }

  // ------------------------------------------------------------------------------------------------------ painting

  private paint(): void {
    const { shown } = this;
    const [place, picture] = [shown.place(), shown.picture()];
    this.figure.classList.toggle('memviz-no-picture', !picture);
    this.placeDetail();
    if (!place || !picture) {
      const message = shown.absence();
      this.show('message', message);
      this.holder.setAttribute('aria-label', message); // else that of the picture that is gone
      return;
    }
    const frame = shown.frame();
    this.canvas.dataset.record = String(place.index);
    this.canvas.dataset.frame = String(shown.flat());
    this.canvas.dataset.kind = shown.pageKind;
    this.canvas.dataset.empty = String(emptyZeros(shown)); // framed: empty cells at its edge look like the page
    if (frame) {
      this.paintFrame(place, frame);
      this.paintDetail(place, frame);
      this.noteGrain();
      this.show('ready', '');
      this.reader.refresh();
    } else {
      const refusal = shown.refusal();
      this.show(refusal ? 'message' : 'loading', refusal);
    }
    this.markCells();
    this.describePicture(place);
  }

  private paintFrame(place: Place, frame: Frame): void {
    const { shown } = this;
    const [vmin, vmax] = this.colors.range(place, frame);
    const empty = emptyZeros(shown);
    this.whole.paint(frame, this.box(), {
      key: [place.index, vmin, vmax, this.colors.mapName(vmin, vmax), shown.pageKind].join(' '),
      loudness: shown.pageKind === 'log' ? 'value' : 'magnitude',
      emptyZeros: empty,
      table: () => this.colors.table(frame, vmin, vmax, empty),
    });
  }

  /** In the colours of the whole picture. */
  private paintDetail(place: Place, whole: Frame): void {
    const [vmin, vmax] = this.colors.range(place, whole);
    const colors = [vmin, vmax, this.colors.mapName(vmin, vmax)].join(' ');
    const table = (frame: Frame) => this.colors.table(frame, vmin, vmax, emptyZeros(this.shown));
    this.detailCanvas.paint(this.detail.current, colors, table);
  }

  /** 'loading' leaves the old picture, dimmed by the style sheet; 'message' clears it. */
  private show(state: State, notice: string): void {
    if (state === 'message') {
      this.whole.clear();
      this.reader.hide();
    }
    this.canvas.dataset.state = state;
    this.detailCanvas.el.hidden ||= state !== 'ready';
    setText(this.notice, notice);
  }

  /** Frames around the selected row and column, where the picture shows an axis of the selection, and the cell read; lit times. */
  markCells(): void {
    const picture = this.model.picture;
    const { x, y } = this.scales;
    const current = this.detail?.current;
    const [toX, toY] = [x, y].map((scale) => (value: number) => scale.scale(value));
    const bands = picture ? selectedBands(this.shown, picture, toX, toY) : [];
    const cell = this.reader?.keyboardCell;
    const box = this.box();
    const read = this.reader?.cell ?? null;
    this.model.point(read && current && picture ? inWhole(read, current, picture) : read);
    const readIn = current ? this.read.picture() : picture;
    const readBox = this.box(readIn);
    if (readIn && readBox && cell) {
      bands.push(['cell', boxOfCell(readBox, cell.row, cell.col, readIn.rows, readIn.cols)]);
    }
    const drawn = JSON.stringify(bands);
    if (drawn !== this.drawnBands) {
      this.drawnBands = drawn;
      drawBands(this.el, bands);
    }
    const { plotareaWidth: width, plotareaHeight: height } = this.parent;
    const textsOf = (dim: string) => textsAlong(this.shown, dim);
    this.strip?.draw(this.selection.trait('lit') ?? [], picture && box && { picture, box, width, height, toX, toY, textsOf });
  }

  private describePicture(place: Place): void {
    const picture = this.shown.picture();
    if (!picture || this.life.pending('describe')) {
      return;
    }
    const where = this.shown.words(' of ').join(', ');
    const { stats } = place.record;
    const range = stats?.min != null && stats.max != null
      ? `; values of the layer from ${approximately(stats.min)} to ${approximately(stats.max)}` : '';
    const dims = [picture.row_dim, picture.col_dim].filter(Boolean).join(' by ') || 'values';
    const text = `heatmap of ${place.layer.label}: ${dims}${where && `, ${where}`}${range}. Arrow keys read the cells.`;
    if (this.holder.getAttribute('aria-label') !== text) {
      this.holder.setAttribute('aria-label', text);
      this.life.after('describe', DESCRIBE_EVERY_MS, () => this.schedule());
    }
  }

  override remove(): void {
    this.life?.end();
    super.remove();
    Object.values(this.scales ?? {}).forEach((scale) => scale.remove()); // bqplot leaves them listening
  }

  override compute_view_padding(): void {}
  override clear_style(): void {}
  override set_default_style(): void {}
  override set_style_on_elements(): void {}
}

function place(canvas: HTMLCanvasElement, { left, top, width, height, flipX, flipY }: Box): void {
  moveTo(canvas, left, top, width, height);
  canvas.style.transform = `scale(${flipX ? -1 : 1}, ${flipY ? -1 : 1})`;
}

function moveTo(target: HTMLElement, left: number, top: number, width: number, height: number): void {
  Object.assign(target.style, {
    left: `${left}px`,
    top: `${top}px`,
    width: `${Math.max(0, width)}px`,
    height: `${Math.max(0, height)}px`,
  });
}
