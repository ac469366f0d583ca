/** TensorImage's model: which picture is shown, its extent on the scales, and what its axes say. */

import { unpack_models } from '@jupyter-widgets/base';
import type { ISerializers, WidgetModel } from '@jupyter-widgets/base';
import { MarkModel } from 'bqplot';

import type { PictureEntry } from './catalog';
import type { Cell } from './cell_readout';
import type { Room } from './figure_shape';
import { tensorImageDefaults } from './generated/traits';
import type { TensorImageState } from './generated/traits';
import { axisLabel, isUpright, labelAxis, labelTokens } from './picture_axes';
import { indexOfRow, onlyQuery, shownBy, textsAlong } from './shown_picture';
import type { ShownPicture } from './shown_picture';
import { tokenRoom } from './token_axis';
import type { TextAt } from './token_axis';

const UNKNOWN_PX = 300; // length of an axis before a view has said how long it is

/** x and y arrive as a binary array or a list, and leave as a list of two numbers. */
const edges = {
  deserialize: (wire: unknown): unknown => {
    const array = wire as { value?: DataView; dtype?: string } | null;
    if (!array?.value || !array.dtype) {
      return wire;
    }
    const { buffer, byteOffset, byteLength } = array.value;
    const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
    return Array.from(array.dtype === 'float32' ? new Float32Array(bytes) : new Float64Array(bytes));
  },
  serialize: (value: unknown): unknown => (value === null ? null : Array.from(value as ArrayLike<number>)),
};

/**
 * `detail`: elements that a cell stands for in the detail that is drawn; null: the whole picture is. `crowded`: several
 * cells fall on a pixel of the screen. Of several views the last one counts.
 */
export interface Grain {
  detail: readonly [number, number] | null;
  crowded: boolean;
}

export class TensorImageModel extends MarkModel {
  static override serializers: ISerializers = {
    ...MarkModel.serializers,
    selection: { deserialize: unpack_models },
    colors: { deserialize: unpack_models },
    choice: { deserialize: unpack_models },
    x_axis: { deserialize: unpack_models },
    y_axis: { deserialize: unpack_models },
    x: edges,
    y: edges,
  };

  // declared, not initialised: the constructor of the base class calls initialize() before fields are set
  private declare followed: WidgetModel[];
  private declare plot: { width: number; height: number };
  private declare rooms: Map<string, number>; // by dim, sample and length of the axis: zooming asks again and again
  private declare labelled: ArrayLike<number> | null; // the order of the rows that the axis says
  /** Pixels that the tokens on the axes need beside the plot. */
  declare room: Room;

  override defaults() {
    return { ...super.defaults(), ...tensorImageDefaults() };
  }

  trait<K extends keyof TensorImageState>(name: K): TensorImageState[K] {
    return this.get(name) as TensorImageState[K];
  }

  /** The cell that is read in a view; null: none. Says 'pointed' when it is another one. */
  declare pointed: Cell | null;

  point(cell: Cell | null): void {
    const before = this.pointed;
    this.pointed = cell;
    if (before?.row !== cell?.row || before?.col !== cell?.col) {
      this.trigger('pointed');
    }
  }

  /** What is drawn, for the axes and the record line. Says 'grain' when it is another one. */
  declare grain: Grain;

  showGrain(grain: Grain): void {
    const { detail, crowded } = this.grain;
    const same = grain.detail?.[0] === detail?.[0] && grain.detail?.[1] === detail?.[1];
    if (!same || grain.crowded !== crowded) {
      this.grain = grain;
      this.trigger('grain');
      if (!same) {
        this.labelAxes();
      }
    }
  }

  /** The frame of the selected record, or the map that the choice names. */
  get shown(): ShownPicture {
    return shownBy(this.trait('selection'), this.trait('choice'));
  }

  get picture(): PictureEntry | null {
    return this.trait('selection') ? this.shown.picture() : null;
  }

  override initialize(...args: Parameters<MarkModel['initialize']>): void {
    super.initialize(...args);
    this.followed = [];
    this.pointed = null;
    this.grain = { detail: null, crowded: false };
    this.plot = { width: UNKNOWN_PX, height: UNKNOWN_PX };
    this.room = {};
    this.rooms = new Map();
    this.labelled = null;
    this.listenTo(this, 'change:selection change:choice change:scales change:x_axis change:y_axis', this.followAll);
    this.followAll();
  }

  /** Listens to the selection and to the scales of the moment, and fits both to the selected record. */
  private followAll(): void {
    this.followed.forEach((subject) => this.stopListening(subject));
    const { x, y } = this.getScales();
    const [selection, choice] = [this.trait('selection'), this.trait('choice')];
    this.followed = [selection, choice, x, y].filter((subject) => subject !== null && subject !== undefined);
    this.listenTo(choice ?? selection, 'place', this.fit);
    this.listenTo(selection, 'change:sample', this.labelAxes); // each has texts of its own
    this.listenTo(selection, 'change:query', this.labelQuery);
    if (choice) {
      this.listenTo(choice, 'chosen', this.labelOrder);
    }
    for (const scale of [x, y]) {
      if (scale) {
        this.listenTo(scale, 'domain_changed', this.labelAxes);
      }
    }
    this.fit();
  }

  /** Takes the extent of the selected record: data, domain, axes. A zoom of another picture's cells is given up. */
  private fit(): void {
    try {
      const picture = this.picture;
      this.rooms.clear(); // another record, with texts of its own
      const x = [-0.5, Math.max(1, picture?.full_cols ?? 1) - 0.5];
      const y = [-0.5, Math.max(1, picture?.full_rows ?? 1) - 0.5];
      const before = this.mark_data as { x: number[]; y: number[] } | undefined;
      if (before?.x[1] !== x[1] || before.y[1] !== y[1]) {
        this.mark_data = { x, y };
        if (before) {
          this.resetZoom();
          this.set({ x, y });
          this.save_changes();
        }
        this.update_domains();
      }
      this.labelAxes();
      this.trigger('data_updated');
    } catch (error) {
      this.trait('selection')?.store.report(error);
    }
  }

  private resetZoom(): void {
    const keep = (this.get('preserve_domain') ?? {}) as Record<string, boolean>;
    for (const [name, scale] of Object.entries(this.getScales())) {
      if (!keep[name] && (scale.get('min') !== null || scale.get('max') !== null)) {
        scale.set({ min: null, max: null });
        scale.save_changes();
      }
    }
  }

  override update_domains(): void {
    if (!this.mark_data) {
      return;
    }
    const keep = (this.get('preserve_domain') ?? {}) as Record<string, boolean>;
    for (const name of ['x', 'y'] as const) {
      const scale = this.getScales()[name];
      const owner = `${this.model_id}_${name}`;
      if (scale && keep[name]) {
        scale.delDomain([], owner);
      } else if (scale) {
        scale.computeAndSetDomain(this.mark_data[name] as number[], owner);
      }
    }
  }

  /** Thins the tokens on the axes to the plot there is, in CSS pixels; of several views the last one counts. */
  fitLabels(width: number, height: number): void {
    if (width > 0 && height > 0 && (width !== this.plot.width || height !== this.plot.height)) {
      this.plot = { width, height };
      this.labelAxes();
    }
  }

  /** Labels both axes; when the tokens need another margin the figure is laid out again. */
  private labelAxes(): void {
    const before = JSON.stringify(this.room);
    this.room = {};
    this.labelBoth();
    if (JSON.stringify(this.room) !== before) {
      this.trigger('data_updated');
    }
  }

  /** A picture that is one row of a query is named after it. */
  private labelQuery(): void {
    if (this.picture && onlyQuery(this.picture, this.trait('selection')) !== null) {
      this.labelAxes();
    }
  }

  /** The order of the rows may come after the picture. */
  private labelOrder(): void {
    const order = this.shown.rowOrder?.() ?? null;
    const same = order?.length === this.labelled?.length && Array.from(order ?? []).every((unit, row) => unit === this.labelled?.[row]);
    if (!same) {
      this.labelAxes();
    }
  }

  private labelBoth(): void {
    const picture = this.picture;
    this.labelled = picture && (this.shown.rowOrder?.() ?? null);
    const { x, y } = this.getScales();
    const [cols, rows] = [picture?.full_cols ?? 1, picture?.full_rows ?? 1];
    const [colDim, rowDim] = [picture?.col_dim ?? '', picture?.row_dim ?? ''];
    const { width, height } = this.plot;
    const [rowPool, colPool] = this.grain.detail ?? [picture?.pool_rows ?? 1, picture?.pool_cols ?? 1];
    this.labelOne(this.trait('x_axis'), colDim, colPool, x?.domain ?? [], cols, width);
    const query = picture && onlyQuery(picture, this.trait('selection'));
    if (picture && this.shown.orderWords?.()) {
      this.labelUnits(this.trait('y_axis'), rowDim, rowPool, y?.domain ?? [], rows, height);
    } else if (query === null) {
      this.labelOne(this.trait('y_axis'), rowDim, rowPool, y?.domain ?? [], rows, height);
    } else {
      this.labelRow(this.trait('y_axis'), query, y?.domain ?? [], height);
    }
  }

  /** Names the only row; as much room as the matrix takes, so that the figure stays as the query moves. */
  private labelRow(axis: WidgetModel | null, query: number, domain: ArrayLike<number>, px: number): void {
    const textAt = textsAlong(this.shown, 'query') ?? String;
    if (axis) {
      const room = this.roomOf(axis, 'query', this.shown.place()?.record.attention?.queries ?? 1, textAt, px);
      this.room[axis.get('side') as keyof Room] = room;
      labelTokens(axis, `query ${query}`, domain, 1, () => textAt(query) ?? String(query), px, room);
    }
  }

  /** Rows in another order: each has the index of its unit for a name. */
  private labelUnits(
    axis: WidgetModel | null, dim: string, pool: number, domain: ArrayLike<number>, size: number, px: number,
  ): void {
    if (axis) {
      const { shown } = this;
      const room = this.roomOf(axis, `${dim} in order`, size, () => String(size - 1), px);
      this.room[axis.get('side') as keyof Room] = room;
      const textAt = (row: number): string => String(indexOfRow(shown, row) ?? '…');
      labelTokens(axis, `${axisLabel(dim, pool)} ${shown.orderWords?.()}`, domain, size, textAt, px, room);
    }
  }

  private roomOf(axis: WidgetModel, dim: string, size: number, textAt: TextAt, px: number): number {
    const key = [dim, this.trait('selection').get('sample'), px, axis.get('side')].join(' ');
    const room = this.rooms.get(key) ?? tokenRoom(textAt, size, px, isUpright(axis));
    this.rooms.set(key, room);
    return room;
  }

  private labelOne(
    axis: WidgetModel | null, dim: string, pool: number, domain: ArrayLike<number>, size: number, px: number,
  ): void {
    const textAt = this.picture && textsAlong(this.shown, dim);
    const name = axisLabel(dim, pool);
    if (axis && textAt) {
      const room = this.roomOf(axis, dim, size, textAt, px);
      this.room[axis.get('side') as keyof Room] = room;
      labelTokens(axis, name, domain, size, textAt, px, room);
    } else {
      labelAxis(axis, name, domain, size);
    }
  }
}
