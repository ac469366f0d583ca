/**
 * CacheEntries: the entries of a KV cache as bars: how large they are, or how much attention they received.
 *
 * In: Selection, the store's "entries" pages. Out: the timestep of the Selection, or the key where attention is
 * selected, set by click or arrow keys. Entries that a sliding window let go are grey.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { cacheHead, entryBars, evictedOf, rowsOf, UP } from './cache_entries_bars';
import { captionText, entryWords, growthWords, topText } from './cache_entries_words';
import type { Entries, MeasureName } from './cache_entries_words';
import type { Measure, PageKind } from './catalog';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { cacheEntriesDefaults } from './generated/traits';
import type { CacheEntriesState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';
import { partWith, partWords, selectIn, shownPart, shownSample } from './shown_unit';
import type { ShownPart } from './shown_unit';
import { tokenTicks } from './token_axis';
import { positionWords, tokenText } from './token_texts';

const SVG = 'http://www.w3.org/2000/svg';
const NO_CACHE = 'No KV cache here: no attention in this recording keeps its keys and values from step to step.';
const SOME_WIDTH_PX = 400; // before the view has a size
const PAGE_ENTRIES = 10; // that PageUp and PageDown go past
export class CacheEntriesModel extends DrawnModel<CacheEntriesState> {
  static override serializers = { ...DrawnModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...cacheEntriesDefaults() };
  }
}

export class CacheEntriesView extends DrawnView<CacheEntriesState> {
  private caption!: HTMLDivElement;
  private plot!: HTMLDivElement;
  private top!: HTMLSpanElement;
  private stage!: HTMLDivElement;
  private picture!: SVGSVGElement;
  private paths!: Record<'held' | 'evicted' | 'baseline', SVGPathElement>;
  private cursor!: HTMLDivElement;
  private ticks!: HTMLDivElement;
  private readout!: HTMLDivElement;
  private growth!: HTMLDivElement;
  private hovered: number | null = null;

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  protected build(): void {
    this.el.classList.add('memviz-entries');
    this.caption = element('div', 'memviz-entries-caption memviz-note');
    this.plot = element('div', 'memviz-entries-plot');
    const scale = element('div', 'memviz-entries-scale memviz-note');
    this.top = element('span', 'memviz-entries-top');
    scale.append(this.top, element('span', 'memviz-entries-zero', '0'));
    this.ticks = element('div', 'memviz-entries-ticks memviz-note');
    this.plot.append(scale, this.buildStage(), this.ticks);
    this.readout = element('div', 'memviz-entries-readout');
    this.growth = element('div', 'memviz-entries-growth memviz-note');
    this.el.append(this.caption, this.plot, this.readout, this.growth);
    keepKeys(this.el, this.life);
    this.life.resized(this.stage, () => this.schedule());
    this.listenTo(this.model, 'change:measure', () => this.schedule());
  }

  private buildStage(): HTMLElement {
    this.stage = element('div', 'memviz-entries-stage');
    this.stage.tabIndex = 0;
    this.stage.setAttribute('role', 'slider');
    this.stage.setAttribute('aria-label', 'entry of the cache');
    this.picture = document.createElementNS(SVG, 'svg');
    this.picture.setAttribute('preserveAspectRatio', 'none');
    const path = (name: string) => {
      const made = document.createElementNS(SVG, 'path');
      made.setAttribute('class', `memviz-entries-${name}`);
      this.picture.append(made);
      return made;
    };
    this.paths = { evicted: path('evicted'), held: path('held'), baseline: path('baseline') };
    this.cursor = element('div', 'memviz-entries-cursor');
    this.stage.append(this.picture, this.cursor);
    this.life.on(this.stage, 'pointermove', (event) => this.hover(this.entryAt(event)));
    this.life.on(this.stage, 'pointerleave', () => this.hover(null));
    this.life.on(this.stage, 'click', (event) => this.select(this.entryAt(event)));
    this.life.on(this.stage, 'keydown', (event) => this.pressed(event));
    return this.stage;
  }

  protected follow(): void {
    const { selection } = this;
    this.life.follow(selection, 'change place', () => this.schedule());
    this.life.follow(selection?.store, 'change:catalog', () => this.schedule());
    this.life.follow(selection?.store, 'pages', (_record: number, kind: PageKind) => {
      if (kind === 'entries') {
        this.schedule();
      }
    });
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  protected draw(): void {
    const { selection } = this;
    const part = selection && cacheOf(selection);
    if (!selection || !part) {
      this.say(selection ? NO_CACHE : '');
      return;
    }
    const { index } = part.place;
    const measure = selection.store.memoryMeasure(index, 'entries', shownSample(selection, part));
    if (measure) {
      this.drawEntries(selection, entriesOf(selection, part, measure));
    } else {
      const refusal = selection.store.refusal(index, 'entries');
      this.say(refusal || 'The entries of the cache are on their way.', refusal ? 'message' : 'loading');
    }
  }

  private say(message: string, state = 'message'): void {
    this.el.dataset.state = state;
    this.plot.hidden = this.readout.hidden = this.growth.hidden = true;
    setText(this.caption, message);
  }

  private drawEntries(selection: SelectionModel, entries: Entries): void {
    const name = this.model.trait('measure');
    const { rows, count } = entries;
    const values = rows[name] ?? new Float32Array(count).fill(NaN);
    const baseline = name === 'attention received' ? (rows['uniform baseline'] ?? null) : null;
    const bars = entryBars(values, evictedOf(rows['held until'], count), baseline);
    this.el.dataset.state = 'ready';
    this.plot.hidden = this.readout.hidden = this.growth.hidden = false;
    this.picture.setAttribute('viewBox', `0 0 ${Math.max(1, bars.bars)} ${UP}`);
    for (const [key, path] of Object.entries(this.paths)) {
      path.setAttribute('d', bars[key as keyof typeof this.paths]);
    }
    setText(this.top, topText(name, bars.top));
    setText(this.caption, captionText(entries, name, bars, partWords(selection, entries.part)));
    setText(this.growth, growthWords(rows.bytes));
    this.drawTicks(selection, entries);
    this.drawCursor(selection, entries, name);
  }

  private drawTicks(selection: SelectionModel, { part, count }: Entries): void {
    const { catalog } = selection.store;
    const sample = shownSample(selection, part);
    const textAt = (index: number) => tokenText(catalog, part.frames.tokens, sample, index);
    const { values, labels, turned } = tokenTicks(textAt, 0, count - 1, this.stage.clientWidth || SOME_WIDTH_PX, false);
    const made = values.map((entry) => {
      const tick = element('span', 'memviz-entries-tick', labels[entry]);
      tick.style.left = `${share(entry, count)}%`;
      return tick;
    });
    this.ticks.replaceChildren(...made);
    this.ticks.classList.toggle('memviz-entries-turned', turned);
  }

  private drawCursor(selection: SelectionModel, entries: Entries, name: MeasureName): void {
    const { count } = entries;
    const at = cursorEntry(selection, count);
    this.cursor.style.left = `${share(at, count)}%`;
    setText(this.readout, this.entryText(selection, entries, name, this.hovered ?? at));
    this.stage.setAttribute('aria-valuemin', '0');
    this.stage.setAttribute('aria-valuemax', String(count - 1));
    this.stage.setAttribute('aria-valuenow', String(at));
    this.stage.setAttribute('aria-valuetext', this.entryText(selection, entries, name, at));
  }

  /** 'entry 3 “the”: key norm 1.234; evicted after step 7' */
  private entryText(selection: SelectionModel, { part, rows }: Entries, name: MeasureName, entry: number): string {
    const text = tokenText(selection.store.catalog, part.frames.tokens, shownSample(selection, part), entry);
    return `${positionWords('entry', entry, text)}: ${entryWords(rows, name, entry)}`;
  }

  // -------------------------------------------------------------------------------------------------------- events

  private hover(entry: number | null): void {
    if (entry !== this.hovered) {
      this.hovered = entry;
      this.schedule();
    }
  }

  private entryAt(event: MouseEvent): number | null {
    const { left, width } = this.stage.getBoundingClientRect();
    const count = this.count();
    const entry = Math.floor(((event.clientX - left) / width) * count);
    return entry >= 0 && entry < count ? entry : null;
  }

  private count(): number {
    const part = this.selection && cacheOf(this.selection);
    const measure = part && this.selection?.store.memoryMeasure(part.place.index, 'entries', shownSample(this.selection, part));
    return measure?.cols ?? 0;
  }

  private select(entry: number | null): void {
    const { selection } = this;
    const part = selection && cacheOf(selection);
    if (!selection || !part || entry === null) {
      return;
    }
    if (selection.place()?.record.attention) {
      selection.move('key', entry); // there the timestep is the query
    } else {
      selectIn(selection, part, { time: entry });
    }
  }

  private pressed(event: KeyboardEvent): void {
    const count = this.count();
    if (!this.selection || count === 0 || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const target = entryAfter(event.key, cursorEntry(this.selection, count), count);
    if (target !== null) {
      this.select(target);
      event.preventDefault();
      event.stopPropagation();
    }
  }
}

/** The keys of the shown cache; null: what is shown is no cache. */
function cacheOf(selection: SelectionModel): ShownPart | null {
  return shownPart(selection) && partWith(selection, ({ entries }) => entries > 0);
}

function entriesOf(selection: SelectionModel, part: ShownPart, measure: Measure): Entries {
  const heads = measure.rows;
  const head = cacheHead(Number(selection.get('head') ?? 0), selection.extent('head') || heads, heads);
  return { part, rows: rowsOf(measure, selection.store.catalog.entry_measures, head), head, heads, count: measure.cols };
}

/** The entry at the cursor: the selected key of an attention, else the timestep. */
function cursorEntry(selection: SelectionModel, count: number): number {
  return indexAlong(selection, selection.place()?.record.attention ? 'key' : 'time', count);
}

/** Where a key leads from an entry; null: it is no key of ours. */
function entryAfter(key: string, at: number, count: number): number | null {
  const targets: Record<string, number | undefined> = {
    ArrowLeft: at - 1,
    ArrowDown: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at + 1,
    PageDown: at - PAGE_ENTRIES,
    PageUp: at + PAGE_ENTRIES,
    Home: 0,
    End: count - 1,
  };
  const target = targets[key];
  return target === undefined ? null : Math.max(0, Math.min(count - 1, target));
}

/** Per cent from the left edge to the middle of an entry. */
function share(entry: number, count: number): number {
  return count > 0 ? ((entry + 0.5) / count) * 100 : 0;
}
