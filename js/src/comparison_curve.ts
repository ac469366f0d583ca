/**
 * ComparisonCurve: the distance of two recordings by layer, where they part, and what of them is not compared.
 *
 * In: distances by record from the kernel, the cursor. Out: the layer that is chosen by click or key. Without a kernel it
 * shows what was measured before. Text is never HTML.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { stepName } from './catalog';
import { CurvePlot } from './comparison_curve_plot';
import { curvePoints, distanceText, firstApart, valueOf } from './comparison_curve_points';
import type { CurvePoint, MeasureName } from './comparison_curve_points';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import type { DistanceEntry } from './generated/catalog';
import { comparisonCurveDefaults } from './generated/traits';
import type { ComparisonCurveState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { approximately, countText } from './number_text';
import type { SelectionModel } from './selection';

const MEASURE_WORDS: Record<MeasureName, string> = {
  relative_l2: 'relative L2',
  cosine: '1 − cosine',
  cka: '1 − CKA',
};

export class ComparisonCurveModel extends DrawnModel<ComparisonCurveState> {
  static override serializers = { ...DrawnModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...comparisonCurveDefaults() };
  }
}

export class ComparisonCurveView extends DrawnView<ComparisonCurveState> {
  private verdict!: HTMLSpanElement;
  private way!: HTMLButtonElement; // to where they part
  private distance!: HTMLSpanElement;
  private apart: DistanceEntry | null = null;
  private plot!: CurvePlot;
  private reading!: HTMLDivElement;
  private more!: HTMLButtonElement;
  private unaligned!: HTMLDetailsElement;
  private pointed: number | null = null;
  private points: CurvePoint[] = [];
  private asked = ''; // what was measured when the kernel was last asked for more
  private wantsAll = false; // also what is not held

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  protected build(): void {
    this.el.classList.add('memviz-curve');
    const head = element('div', 'memviz-curve-verdict');
    this.verdict = element('span', '');
    this.verdict.setAttribute('role', 'status');
    this.way = element('button', 'memviz-button');
    this.way.type = 'button';
    this.way.title = 'go there';
    this.distance = element('span', 'memviz-note');
    head.append(this.verdict, this.way, this.distance);
    this.plot = new CurvePlot();
    this.reading = element('div', 'memviz-curve-reading');
    this.more = element('button', 'memviz-button');
    this.more.type = 'button';
    this.unaligned = element('details', 'memviz-curve-unaligned');
    const plot = this.plot.el;
    this.el.append(head, plot, this.reading, this.more, this.unaligned);
    this.life.on(this.way, 'click', () => this.apart && this.goToRecord(this.apart.record));
    this.life.on(this.more, 'click', () => this.askForAll());
    this.life.on(plot, 'click', (event) => this.go(this.plot.layerAt(event.clientX)));
    this.life.on(plot, 'pointermove', (event) => this.point(this.plot.layerAt(event.clientX)));
    this.life.on(plot, 'pointerleave', () => this.point(null));
    this.life.on(plot, 'keydown', (event) => this.pressed(event));
    keepKeys(plot, this.life);
    this.life.resized(this.el, () => this.schedule());
  }

  protected follow(): void {
    this.life.follow(this.selection, 'change place', () => this.schedule());
    this.life.follow(this.model, 'change:distances change:measure change:bound change:pending change:unheld', () =>
      this.schedule(),
    );
    this.life.follow(this.model, 'change:unaligned', () => this.schedule());
  }

  protected draw(): void {
    const { selection } = this;
    if (!selection) {
      return;
    }
    const distances = this.model.trait('distances');
    const byRecord = new Map(distances.map((entry) => [entry.record, entry]));
    const { catalog } = selection.store;
    this.points = curvePoints(catalog, byRecord, this.measure, selection.stepIndex(), selection.callIndex());
    this.drawVerdict(distances);
    const { bound, pointed } = this;
    this.plot.draw(this.points, { selected: selection.layerIndex(), pointed, bound }, Math.round(this.el.clientWidth));
    this.drawReading();
    this.drawRest();
    this.askForMore();
  }

  private get measure(): MeasureName {
    return this.model.trait('measure');
  }

  private get bound(): number {
    return this.model.trait('bound');
  }

  // --------------------------------------------------------------------------------------------------------- words

  private drawVerdict(distances: readonly DistanceEntry[]): void {
    const apart = firstApart(distances, this.measure, this.bound);
    const [a, b] = this.model.trait('names');
    const measure = MEASURE_WORDS[this.measure];
    const above = this.bound > 0 ? `${measure} above ${approximately(this.bound)}` : '';
    this.apart = apart;
    this.way.hidden = this.distance.hidden = apart === null;
    if (apart === null) {
      const all = `${countText(distances.length)} records that were measured.`;
      setText(this.verdict, above ? `No ${above} in the ${all}` : `${a} and ${b} are the same in the ${all}`);
      return;
    }
    setText(this.verdict, `${a} and ${b} part${above && ` (${above})`} at`);
    setText(this.way, this.labelOf(apart.record));
    setText(this.distance, `${measure} ${distanceText(valueOf(apart, this.measure))}`);
  }

  /** The layer, with step and call where there are several. */
  private labelOf(record: number): string {
    const place = this.placeOf(record);
    const layer = place && this.selection?.store.catalog.layers[place.layer];
    if (!place || !layer) {
      return '';
    }
    const step = layer.records.length > 1 ? `, ${stepName(this.selection!.store.catalog, place.step)}` : '';
    const call = layer.records[place.step].length > 1 ? `, call ${place.call}` : '';
    return `${layer.label}${step}${call}`;
  }

  private drawReading(): void {
    const layer = this.pointed ?? this.selection?.layerIndex() ?? 0;
    const point = this.points[layer];
    const text = point ? this.pointText(point) : '';
    setText(this.reading, text);
    const selected = this.points[this.selection?.layerIndex() ?? 0];
    this.plot.say(this.selection?.layerIndex() ?? 0, this.points.length, selected ? this.pointText(selected) : '');
  }

  /** "conv2 (3 of 43): relative L2 0.0038, 1 − cosine 5.3e−6, 1 − CKA 1.7e−5 over 48 examples; what is missing and why". */
  private pointText(point: CurvePoint): string {
    const layers = this.selection?.store.catalog.layers ?? [];
    const name = `${layers[point.layer]?.label ?? ''} (${countText(point.layer + 1)} of ${countText(layers.length)})`;
    const { entry } = point;
    if (point.record === null || entry === null) {
      return `${name}: ${point.record === null ? 'did not run in this step' : 'not measured yet'}`;
    }
    const numbers = (Object.keys(MEASURE_WORDS) as MeasureName[])
      .map((measure) => [MEASURE_WORDS[measure], valueOf(entry, measure)] as const)
      .filter(([, value]) => value !== null)
      .map(([words, value]) => `${words} ${distanceText(value)}`);
    const rows = entry.cka === null ? '' : ` over ${countText(entry.rows)} examples`;
    return [`${name}: ${numbers.join(', ')}${rows}`, entry.note].filter(Boolean).join('; ');
  }

  private drawRest(): void {
    const unheld = this.model.trait('unheld');
    this.more.hidden = unheld === 0;
    this.more.disabled = this.wantsAll || !this.model.comm_live;
    setText(this.more, `measure ${countText(unheld)} more that are not held: runs the model again or reads the disk`);
    const entries = this.model.trait('unaligned');
    const count = entries.reduce((sum, entry) => sum + entry.count, 0);
    this.unaligned.hidden = count === 0;
    if (this.unaligned.childElementCount === 0 && count > 0) {
      const list = element('ul', '');
      list.append(...entries.map(({ label, count: times, reason }) =>
        element('li', '', `${label}${times > 1 ? ` (${countText(times)} times)` : ''}: ${reason}`)));
      this.unaligned.append(element('summary', '', `${countText(count)} records are not compared`), list);
    }
  }

  // -------------------------------------------------------------------------------------------------------- events

  private point(layer: number | null): void {
    if (layer !== this.pointed) {
      this.pointed = layer;
      this.schedule();
    }
  }

  private go(layer: number): void {
    this.selection?.move('layer', layer);
  }

  private goToRecord(record: number): void {
    const place = this.placeOf(record);
    if (place && this.selection) {
      this.selection.set(place);
      this.selection.save_changes();
    }
  }

  /** Layer, step and call of a record. */
  private placeOf(record: number): { layer: number; step: number; call: number } | null {
    const layers = this.selection?.store.catalog.layers ?? [];
    for (const [layer, { records }] of layers.entries()) {
      const step = records.findIndex((calls) => calls.includes(record));
      if (step >= 0) {
        return { layer, step, call: records[step].indexOf(record) };
      }
    }
    return null;
  }

  private pressed(event: KeyboardEvent): void {
    const now = this.selection?.layerIndex() ?? 0;
    const last = this.points.length - 1;
    const targets: Record<string, number> = {
      ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, Home: 0, End: last,
    };
    if (event.key in targets && !(event.ctrlKey || event.metaKey || event.altKey)) {
      this.go(Math.max(0, Math.min(last, targets[event.key])));
      event.preventDefault();
      event.stopPropagation();
    }
  }

  private askForAll(): void {
    this.wantsAll = true;
    this.askForMore();
  }

  /** Asks the kernel to measure some more: once for every answer. */
  private askForMore(): void {
    const { pending, unheld, distances } = this.model.attributes as ComparisonCurveState;
    const asked = `${this.wantsAll} ${distances.length}`;
    if ((pending > 0 || (this.wantsAll && unheld > 0)) && this.model.comm_live && asked !== this.asked) {
      this.asked = asked;
      this.model.send({ type: 'measure', on_demand: this.wantsAll }, {});
    }
  }
}
