/**
 * MemoryPanels: all parts of the shown memory as strips under each other, units down, on one time axis with one cursor.
 *
 * In: the selection, "time" pages of the strips in view (or those in another order of the units), and the steps that
 * wrote what was clicked. Out: layer, time, unit and head of the selection.
 */

import { unpack_models } from '@jupyter-widgets/base';

import type { MemoryEntry } from './catalog';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { memoryPanelsDefaults } from './generated/traits';
import type { MemoryPanelsState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { TimeAxis, WritingSteps } from './memory_panels_axis';
import { cellOf, isCrowded } from './memory_panels_layout';
import { StripList, rowOf } from './memory_panels_list';
import { StripReadout } from './memory_panels_readout';
import { ORDER_PAGES, panelRows, sampleWords } from './memory_panels_rows';
import type { PanelRow } from './memory_panels_rows';
import {
  panelMove,
  positionOf,
  selectedUnit,
  timeTexts,
  unitAlong,
  unitIn,
  unitIndex,
  unitPlaces,
} from './memory_panels_units';
import { captionText } from './memory_panels_words';
import type { UnitOrder } from './memory_panels_words';
import { memoryAbsence, shownMemory } from './memory_place';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';

const PAGES: string[] = [...Object.values(ORDER_PAGES), 'units'];

export class MemoryPanelsModel extends DrawnModel<MemoryPanelsState> {
  static override serializers = {
    ...DrawnModel.serializers,
    selection: { deserialize: unpack_models },
    choice: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...memoryPanelsDefaults() };
  }
}

export class MemoryPanelsView extends DrawnView<MemoryPanelsState> {
  private note!: HTMLDivElement;
  private body!: HTMLDivElement;
  private caption!: HTMLDivElement;
  private list!: StripList;
  private axis!: TimeAxis;
  private writing!: WritingSteps;
  private readout!: StripReadout;

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  private get order(): UnitOrder {
    return this.model.trait('order');
  }

  protected build(): void {
    this.el.classList.add('memviz-panels');
    this.note = element('div', 'memviz-note');
    this.body = element('div', 'memviz-panels-body');
    this.caption = element('div', 'memviz-panels-caption');
    this.list = new StripList();
    this.axis = new TimeAxis();
    this.writing = new WritingSteps();
    this.body.append(this.writing.el, this.list.el, this.axis.el);
    this.el.append(this.note, this.body, this.caption);
    this.readout = new StripReadout(this.body, this.life, (error) => this.selection?.store.report(error));
    keepKeys(this.list.el, this.life);
    this.listen(this.list.el);
  }

  private listen(strips: HTMLElement): void {
    this.life.on(strips, 'click', (event) => this.clicked(event));
    this.life.on(strips, 'pointermove', (event) => this.hovered(event));
    this.life.on(strips, 'pointerleave', () => this.readout.hide());
    this.life.on(strips, 'keydown', (event) => this.pressed(event));
    this.life.on(strips, 'focusin', (event) => this.focusAt(rowOf(event.target)));
    this.life.on(strips, 'focusout', () => this.blurred());
    this.life.on(strips, 'scroll', () => this.rolled());
    this.life.resized(strips, () => this.list.resized() && this.schedule());
  }

  protected follow(): void {
    this.life.follow(this.model, 'change:order', () => this.schedule());
    this.life.follow(this.selection, 'change place', () => this.schedule());
    this.life.follow(this.selection?.store, 'change:catalog', () => this.schedule());
    this.life.follow(this.selection?.store, 'pages', (_record: number, kind: string) => {
      if (PAGES.includes(kind)) {
        this.schedule();
      }
    });
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  protected draw(): void {
    const { selection } = this;
    const catalog = selection?.store?.catalog ?? null;
    const memory = selection && catalog ? shownMemory(catalog, selection) : null;
    const rows = selection && catalog && memory ? panelRows(catalog, memory, selection) : [];
    this.body.hidden = this.caption.hidden = rows.length === 0;
    setText(this.note, selection && catalog && rows.length === 0 ? memoryAbsence(catalog, selection) : '');
    if (selection && catalog && memory && rows.length > 0) {
      this.list.layOut(catalog, rows);
      this.list.el.setAttribute('aria-label', `parts of memory ${memory.label} over time`);
      this.list.fill(selection, this.order);
      this.keepReadout(selection);
      this.writing.show(selection.trait('lit') as number[], this.list.layout);
      this.drawAxis(rows, selection);
      setText(this.caption, this.captionOf(rows, memory, selection));
    }
  }

  /** What is said of a strip must be about what it shows now. */
  private keepReadout(selection: SelectionModel): void {
    const { about } = this.readout;
    if (about) {
      this.readout.keep(this.list.readStrip(rowOf(about), selection, this.order));
    }
  }

  /** The axis has the texts of the last strip, which it stands under. */
  private drawAxis(rows: PanelRow[], selection: SelectionModel): void {
    const last = [...rows].reverse().find(({ picture }) => picture);
    this.axis.el.hidden = !last;
    this.axis.show(last ? timeTexts(last, selection) : null, this.list.layout);
  }

  private captionOf(rows: PanelRow[], memory: MemoryEntry, selection: SelectionModel): string {
    const drawn = rows.filter(({ picture }) => picture);
    return captionText({
      memory,
      sample: sampleWords(rows, selection),
      order: this.order,
      pinned: drawn.some(({ pinned }) => pinned),
      free: drawn.some(({ pinned }) => !pinned),
      crowded: drawn.some(({ picture }) => picture && isCrowded(picture, this.list.layout)),
    });
  }

  // -------------------------------------------------------------------------------------------------------- events

  private rolled(): void {
    this.list.rolled();
    this.readout.hide();
    this.schedule();
  }

  private hovered(event: PointerEvent): void {
    const { selection } = this;
    const found = this.list.under(event);
    const strip = found && selection ? this.list.readStrip(found.position, selection, this.order) : null;
    if (found && strip) {
      this.readout.show(strip, found.point, event);
    } else if (!this.readout.speaks) {
      this.readout.hide();
    }
  }

  private clicked(event: MouseEvent): void {
    const { selection } = this;
    const found = this.list.under(event);
    if (found && selection) {
      this.list.focus(found.position, false);
      const row = this.list.rows[found.position];
      const unit = unitIn(unitPlaces(row, selection, this.order), found.point.unit);
      this.choose(row, { time: found.point.time, ...unitIndex(row, unit) });
    }
  }

  /** Selects the part and the indices in one step: the views draw once. With a choice, lights up who wrote it. */
  private choose({ layer, at }: PanelRow, indices: Record<string, number>): void {
    const place = { layer, ...at, ...indices };
    const choice = this.model.trait('choice');
    if (choice) {
      choice.select(place);
    } else {
      this.selection?.set(place);
    }
  }

  private focusAt(position: number): void {
    if (position >= 0 && position !== this.list.focused) {
      this.list.focused = position;
      this.schedule();
    }
  }

  private blurred(): void {
    this.list.focused = -1;
    this.readout.hide();
    this.schedule();
  }

  private pressed(event: KeyboardEvent): void {
    const position = rowOf(event.target);
    const { selection } = this;
    if (position < 0 || !selection || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
      return;
    }
    const { rows, layout } = this.list;
    const move = panelMove(event.key, indexAlong(selection, 'time', layout.steps), layout.steps, position, rows.length);
    if (move === null) {
      return;
    }
    if ('time' in move) {
      this.moveTime(position, move.time, selection);
    } else if ('row' in move) {
      this.list.focus(move.row, true);
      this.schedule();
    } else {
      this.choose(rows[position], selectedUnit(rows[position], selection));
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** Moves the cursor; where the selected layer has no such step, the focused part becomes the selected one. */
  private moveTime(position: number, time: number, selection: SelectionModel): void {
    const row = this.list.rows[position];
    if (time < selection.extent('time')) {
      selection.set({ time });
    } else {
      this.choose(row, { ...selectedUnit(row, selection), time });
    }
    const strip = this.list.readStrip(position, selection, this.order);
    if (strip && row.picture && time < row.picture.full_cols) {
      const unit = Math.max(0, positionOf(strip.places, unitAlong(row, selection)));
      this.readout.show(strip, { unit, time, ...cellOf(row.picture, unit, time) }, null);
    }
  }
}
