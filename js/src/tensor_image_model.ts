/** TensorImage's model: which picture is shown, its extent on the scales, and what its axes say. */

import { unpack_models } from '@jupyter-widgets/base';
import type { ISerializers, WidgetModel } from '@jupyter-widgets/base';
import { MarkModel } from 'bqplot';

import type { PictureEntry } from './catalog';
import { tensorImageDefaults } from './generated/traits';
import type { TensorImageState } from './generated/traits';
import { axisLabel, labelAxis } from './picture_axes';

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

export class TensorImageModel extends MarkModel {
  static override serializers: ISerializers = {
    ...MarkModel.serializers,
    selection: { deserialize: unpack_models },
    colors: { deserialize: unpack_models },
    x_axis: { deserialize: unpack_models },
    y_axis: { deserialize: unpack_models },
    x: edges,
    y: edges,
  };

  // declared, not initialised: the constructor of the base class calls initialize() before fields are set
  private declare followed: WidgetModel[];

  override defaults() {
    return { ...super.defaults(), ...tensorImageDefaults() };
  }

  trait<K extends keyof TensorImageState>(name: K): TensorImageState[K] {
    return this.get(name) as TensorImageState[K];
  }

  get picture(): PictureEntry | null {
    return this.trait('selection')?.place()?.record.frame ?? null;
  }

  override initialize(...args: Parameters<MarkModel['initialize']>): void {
    super.initialize(...args);
    this.followed = [];
    this.listenTo(this, 'change:selection change:scales change:x_axis change:y_axis', this.followAll);
    this.followAll();
  }

  /** Listens to the selection and to the scales of the moment, and fits both to the selected record. */
  private followAll(): void {
    this.followed.forEach((subject) => this.stopListening(subject));
    const { x, y } = this.getScales();
    this.followed = [this.trait('selection'), x, y].filter((subject) => subject as WidgetModel | undefined);
    this.listenTo(this.trait('selection'), 'place', this.fit);
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

  private labelAxes(): void {
    const picture = this.picture;
    const { x, y } = this.getScales();
    const [cols, rows] = [picture?.full_cols ?? 1, picture?.full_rows ?? 1];
    labelAxis(this.trait('x_axis'), axisLabel(picture?.col_dim ?? '', picture?.pool_cols ?? 1), x?.domain ?? [], cols);
    labelAxis(this.trait('y_axis'), axisLabel(picture?.row_dim ?? '', picture?.pool_rows ?? 1), y?.domain ?? [], rows);
  }
}
