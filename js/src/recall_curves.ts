/**
 * RecallCurves: feeds bqplot marks with curves of recall, in the browser; every point of them is a number in a grid.
 *
 * In: what was measured, the setting that is shown, clicks in the figure and the grid. Out: x and y of the marks; the
 * wish to open a run that failed ("open"). Without a kernel it shows what was measured. Text is never HTML.
 */

import { unpack_models } from '@jupyter-widgets/base';
import type { WidgetModel } from '@jupyter-widgets/base';

import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import type { RecallCurve } from './generated/catalog';
import { recallCurvesDefaults } from './generated/traits';
import type { RecallCurvesState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { setChanged } from './mark_feeder';
import { RecallFailureNote } from './recall_failure_note';
import { RecallGrid } from './recall_grid';
import { barPoints, canOpen, chancePoints, domainOf, dotAt, dotPoints, dotText, drawnDots, halfPoints, linePoints, ticksOf } from './recall_points';
import type { Place } from './recall_points';
import { RecallTable } from './recall_table';
import type { SelectionModel } from './selection';
import type { ModelOptions } from './state_model';

const LEGEND = 'dashed: chance; dotted: half-way to chance (d50); upright: 95 % interval';
const MARKS = ['lines', 'bars', 'chance', 'halves', 'dots', 'ring', 'x_axis'] as const;
const UNPACKED = Object.fromEntries(MARKS.map((name) => [name, { deserialize: unpack_models }]));

export class RecallCurvesModel extends DrawnModel<RecallCurvesState> {
  static override serializers = { ...DrawnModel.serializers, ...UNPACKED };

  declare cursor: Place; // where the keys are
  declare private pointed: Place | null; // what the pointer is over
  declare private frame: number;

  override defaults() {
    return { ...super.defaults(), ...recallCurvesDefaults() };
  }

  override initialize(attributes: Partial<RecallCurvesState>, options: ModelOptions): void {
    super.initialize(attributes, options);
    this.cursor = { model: 0, place: 0 };
    this.pointed = null;
    this.frame = 0;
    this.listenTo(this, 'change:curves change:over', () => this.feedSoon());
    this.listenTo(this, 'change:failure', () => this.goToFailure());
    this.listenTo(this, 'change:dots', () => this.listenToDots());
    this.goToFailure();
    this.listenToDots();
    this.feedSoon();
  }

  override close(comm_closed = false): Promise<void> {
    cancelAnimationFrame(this.frame);
    return super.close(comm_closed);
  }

  /** The curves of the setting that is shown. */
  get curve(): RecallCurve | null {
    const { curves, over } = this.attributes as RecallCurvesState;
    return curves.find((each) => each.over === over) ?? curves[0] ?? null;
  }

  /** The point that is read out: under the pointer, else at the cursor. */
  get shown(): Place {
    return this.pointed ?? this.cursor;
  }

  /** The pointer is over a point, or over none. */
  point(place: Place | null): void {
    this.pointed = place;
    this.moved();
  }

  moveTo(place: Place): void {
    this.cursor = place;
    this.pointed = null;
    this.moved();
  }

  /** Asks the kernel to record the first run of a point in which an answer was wrong; false: there is none, or no kernel. */
  open(place: Place): boolean {
    this.moveTo(place);
    const { curve } = this;
    const dot = curve ? dotAt(curve, place) : undefined;
    if (!curve || !canOpen(dot) || !this.comm_live || this.trait('opening')) {
      return false;
    }
    this.send({ type: 'open', model: place.model, over: curve.over, value: dot.value }, {});
    return true;
  }

  /** The run that is shown is one of this point. */
  private goToFailure(): void {
    const { model, over, value } = this.trait('failure');
    const place = over === this.curve?.over ? (this.curve?.values.indexOf(value ?? NaN) ?? -1) : -1;
    if (model !== undefined && place >= 0) {
      this.moveTo({ model, place });
    }
  }

  private moved(): void {
    this.trigger('place');
    this.feedSoon();
  }

  /** bqplot writes there which point is clicked and which is under the pointer. */
  private listenToDots(): void {
    (this.trait('dots') ?? []).forEach((dots: WidgetModel, model) => {
      this.stopListening(dots);
      this.listenTo(dots, 'change:hovered_point', () => this.point(this.placeOf(model, dots.get('hovered_point') as number | null)));
      this.listenTo(dots, 'change:selected', () => {
        const chosen = Array.from((dots.get('selected') as ArrayLike<number> | null) ?? []);
        const place = this.placeOf(model, chosen[0] ?? null);
        if (place) {
          this.open(place);
          dots.set('selected', null); // so that a second click on it is one, too
        }
      });
    });
  }

  private placeOf(model: number, index: number | null): Place | null {
    const { curve } = this;
    const dot = curve && index !== null ? drawnDots(curve, model)[index] : undefined;
    return curve && dot ? { model, place: curve.values.indexOf(dot.value) } : null;
  }

  private feedSoon(): void {
    if (this.frame === 0) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.feed();
      });
    }
  }

  private feed(): void {
    const { curve } = this;
    if (!curve || !this.trait('lines')) {
      return;
    }
    const colors = this.trait('colors');
    const [min, max] = domainOf(curve.values);
    const axis = this.trait('x_axis');
    setChanged((axis?.get('scale') ?? null) as WidgetModel | null, { min, max });
    setChanged(axis, { label: curve.text, tick_values: ticksOf(curve.values) });
    setChanged(this.trait('chance'), { ...chancePoints(curve) });
    setChanged(this.trait('halves'), { ...halfPoints(curve, colors) });
    setChanged(this.trait('bars'), { ...barPoints(curve, colors) });
    setChanged(this.trait('lines'), { ...linePoints(curve, colors) });
    this.trait('dots').forEach((mark: WidgetModel, model) => setChanged(mark, { ...dotPoints(drawnDots(curve, model)) }));
    const at = dotAt(curve, this.shown);
    setChanged(this.trait('ring'), { ...dotPoints(at && at.error === '' ? [at] : []) });
  }
}

export class RecallCurvesView extends DrawnView<RecallCurvesState> {
  declare model: RecallCurvesModel;
  private grid!: RecallGrid;
  private readout!: HTMLDivElement;
  private hint!: HTMLDivElement;
  private table!: RecallTable;
  private note!: RecallFailureNote;

  protected get selection(): SelectionModel | null {
    return null;
  }

  protected build(): void {
    this.el.classList.add('memviz-recall');
    this.grid = new RecallGrid(this.life, {
      open: (place) => this.model.open(place),
      move: (place) => this.model.moveTo(place),
      point: (place) => this.model.point(place),
    });
    this.readout = element('div', 'memviz-recall-readout');
    this.readout.setAttribute('aria-live', 'polite');
    this.hint = element('div', 'memviz-note memviz-recall-hint');
    this.table = new RecallTable();
    this.note = new RecallFailureNote();
    this.el.append(element('div', 'memviz-note memviz-recall-legend', LEGEND), this.grid.el, this.readout, this.hint, this.table.el, this.note.el);
    keepKeys(this.el, this.life);
    this.listenTo(this.model, 'change place comm_live_update', () => this.schedule());
  }

  protected follow(): void {}

  protected draw(): void {
    const { curve } = this.model;
    if (!curve) {
      return;
    }
    const { names, colors, markers, failure, opening } = this.model.attributes as RecallCurvesState;
    const models = names.map((name, i) => ({ name, color: colors[i] ?? '', marker: markers[i] ?? '' }));
    this.grid.draw(curve, models, this.model.cursor, this.model.shown);
    setText(this.readout, dotText(curve, names, this.model.shown));
    setText(this.hint, this.hintText(curve, opening));
    this.table.draw(curve, models);
    this.note.draw(failure, names);
  }

  protected override report(error: unknown): void {
    setText(this.hint, String(error));
  }

  private hintText(curve: RecallCurve, opening: boolean): string {
    if (opening) {
      return 'Recording a run that failed ...';
    }
    if (!curve.dots.some(canOpen)) {
      return '';
    }
    return this.model.comm_live
      ? 'A click or Enter on a point with wrong answers records and shows the first run that failed.'
      : 'There is no kernel: runs that failed cannot be recorded.';
  }
}
