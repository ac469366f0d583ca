/**
 * FrameStore: the pages of frames that a notebook page holds. A model without a view.
 *
 * In: pages from the kernel or from saved widget state. Out: frames, series and measures as views into them.
 * Events: 'pages' (record, kind) when a page has come or was refused, 'waiting' when the wait for the kernel has
 * become long or is over, 'change:problem'. Works without a kernel: what is held is shown, nothing is asked for.
 */

import type { WidgetModel } from '@jupyter-widgets/base';

import { EMPTY_CATALOG } from './catalog';
import type { Catalog, CellValue, Ends, Frame, Histogram, Measure, MemoryMeasure, PageKind } from './catalog';
import { CellValues } from './cell_values';
import type { DetailAnswer, DetailPart, ValueAnswer } from './cell_values';
import { frameStoreDefaults } from './generated/traits';
import type { FrameStoreState } from './generated/traits';
import { MissedPages } from './missed_pages';
import { packedCatalog, unpackCatalog } from './packed_catalog';
import { PageCache } from './page_cache';
import { PageRequests } from './page_requests';
import type { PageAnswer } from './page_requests';
import { isAbsent, pageFromState, pageId, pageToState } from './pages';
import type { Page, PageName, PageState, WireBuffer } from './pages';
import { pictureOf, planMap, planPages, requestCost } from './prefetch';
import type { MapCursor, PictureKind } from './prefetch';
import { SeenRanges } from './seen_ranges';
import type { SelectionModel } from './selection';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

/** Pages written into saved widget state (Lab's "Save Widget State", HTML export), newest first. */
export const SAVED_PAGES_BYTES = 2_000_000;
const NO_KERNEL = 'This picture is not in the page, and there is no kernel to ask for it.';

type KernelMessage = PageAnswer | ValueAnswer | DetailAnswer;

export class FrameStoreModel extends StateModel<FrameStoreState> {
  static override serializers = {
    ...StateModel.serializers,
    catalog: { deserialize: unpackCatalog, serialize: packedCatalog },
    // Called when widget state is saved; what goes out is what is held then, not what once came in.
    pages: { serialize: (_pages: unknown, store?: unknown) => (store as FrameStoreModel).savedPages() },
  };

  private declare held: PageCache;
  private declare requests: PageRequests;
  private declare cellValues: CellValues;
  private declare cursors: Set<SelectionModel>;
  private declare missed: MissedPages;
  private declare planned: ReadonlySet<string>;
  private declare choices: Set<MapCursor & WidgetModel>;
  private declare seen: SeenRanges;
  private declare readCatalog: FrameStoreState['catalog'];
  private declare lastId: number;
  private declare pooledAs: FrameStoreState['pooled_by']; // what is held

  override defaults() {
    return { ...super.defaults(), ...frameStoreDefaults() };
  }

  override initialize(attributes: Partial<FrameStoreState>, options: ModelOptions): void {
    this.held = new PageCache();
    this.cursors = new Set();
    this.missed = new MissedPages();
    this.planned = new Set();
    this.choices = new Set();
    this.seen = new SeenRanges();
    this.readCatalog = this.trait('catalog');
    this.lastId = 0;
    this.pooledAs = attributes.pooled_by ?? this.trait('pooled_by');
    this.cellValues = new CellValues((question) => this.post({ ...question, pooled_by: this.trait('pooled_by') }));
    this.requests = this.makeRequests();
    super.initialize(attributes, options);
    this.takeInPages();
    this.listenTo(this, 'msg:custom', this.handleMessage);
    this.listenTo(this, 'change:catalog change:pages', this.stateArrived);
    this.listenTo(this, 'change:pooled_by', this.poolingChanged);
    this.listenTo(this, 'comm_live_update', this.kernelChanged);
  }

  get catalog(): Catalog {
    const catalog = this.trait('catalog');
    return catalog?.layers && catalog.records ? (catalog as Catalog) : EMPTY_CATALOG;
  }

  /** Bytes of all pages held now. */
  get heldBytes(): number {
    return this.held.bytes;
  }

  /** One frame or tile; null when its page is not here (it is asked for) or does not exist (`refusal` says why). */
  frame(record: number, kind: Exclude<PictureKind, 'series'>, flat: number): Frame | null {
    const found = this.locate(record, kind, flat);
    if (found === null) {
      return null;
    }
    const { page, offset } = found;
    const [, rows, cols] = page.shape;
    const size = rows * cols;
    const codes = (page.data as Uint8Array).subarray(offset * size, (offset + 1) * size);
    const frame = { codes, rows, cols, lo: page.lo[offset], hi: page.hi[offset] };
    return page.absent ? { ...frame, absent: (cell) => isAbsent(page, offset * size + cell) } : frame;
  }

  /** One channel over time, exact float32, one value per `pool_cols` timesteps; null as in `frame`. */
  series(record: number, flat: number): Float32Array | null {
    const found = this.locate(record, 'series', flat);
    if (found === null) {
      return null;
    }
    const size = found.page.shape[1] * found.page.shape[2];
    return (found.page.data as Float32Array).subarray(found.offset * size, (found.offset + 1) * size);
  }

  /** Mean |x|, variance and share of zeros of every channel of a record; null as in `frame`. */
  channelMeasures(record: number): [Float32Array, Float32Array, Float32Array] | null {
    const count = this.catalog.records[record]?.channels ?? 0;
    const page = count > 0 ? this.pageOrAsk({ record, kind: 'channels', page: 0 }) : null;
    if (page === null) {
      return null;
    }
    const data = page.data as Float32Array;
    return [data.subarray(0, count), data.subarray(count, 2 * count), data.subarray(2 * count, 3 * count)];
  }

  /** Measures of every head of a record's attention by name (see Catalog.head_measures); null as in `frame`. */
  headMeasures(record: number, sample: number): Record<string, Float32Array> | null {
    const heads = this.catalog.records[record]?.attention?.heads;
    const page = heads ? this.pageOrAsk({ record, kind: 'heads', page: sample }) : null;
    if (!page || !heads) {
      return null;
    }
    const data = page.data as Float32Array;
    return Object.fromEntries(this.catalog.head_measures.map((name, i) => [name, data.subarray(i * heads, (i + 1) * heads)]));
  }

  /** A measure of a part of a memory for one sample (see MemoryFrames); null as in `frame`, or where there is none. */
  memoryMeasure(record: number, kind: MemoryMeasure, sample: number): Measure | null {
    const known = this.catalog.records[record]?.memory;
    const page = known ? this.pageOrAsk({ record, kind, page: sample }) : null;
    return page && { rows: page.shape[1], cols: page.shape[2], data: page.data as Float32Array };
  }

  /** Largest error of a record's values, where they were recovered and some have come; null: they were read. */
  residual(record: number): number | null {
    return this.seen.residual(record);
  }

  /** Counts over the finite values of a record; null as in `frame`. */
  histogram(record: number): Histogram | null {
    const page = this.catalog.records[record]?.frame ? this.pageOrAsk({ record, kind: 'histogram', page: 0 }) : null;
    return page && { counts: page.data as Float64Array, lo: page.lo[0], hi: page.hi[0], sampled: page.sampled };
  }

  /** Finite range of what has come of a record's frames of one kind; it grows with the pages. */
  seenRange(record: number, kind: PageKind = 'frame'): Ends {
    return this.seen.of(record, kind);
  }

  /** Whether every frame of a record is here: it can then be scrubbed without the kernel. */
  complete(record: number, kind: PictureKind = 'frame'): boolean {
    const entry = this.catalog.records[record];
    const picture = entry && pictureOf(entry, kind);
    const pages = picture ? Math.ceil(picture.frames / picture.frames_per_page) : 0;
    for (let page = 0; page < pages; page++) {
      if (!this.held.has({ record, kind, page })) {
        return false;
      }
    }
    return pages > 0;
  }

  /** Why a page of this kind will not come: '' (it may), the kernel's sentence, or that there is no kernel. */
  refusal(record: number, kind: PageKind): string {
    return this.requests.refusal(record, kind) || (this.comm_live ? '' : NO_KERNEL);
  }

  /** The exact value of one cell; null: superseded, refused, no kernel, or none within VALUE_WAIT_MS. */
  askValue(
    record: number, frame: number, row: number, col: number, kind: PageKind = 'frame', pools?: [number, number],
  ): Promise<CellValue | null> {
    return this.cellValues.ask({ type: 'value', id: this.nextId(), record, frame, row, col, kind, ...(pools && { pools }) });
  }

  /** Codes of a part of a picture at a finer grain; null: refused, no kernel, or none in time. */
  askDetail(record: number, kind: PageKind, frame: number, part: DetailPart): Promise<Page | null> {
    return this.cellValues.askDetail({ type: 'detail', id: this.nextId(), record, kind, frame, ...part });
  }

  /** Keeps the pages around this cursor at hand until the selection is closed. */
  watch(selection: SelectionModel): void {
    if (this.cursors.has(selection)) {
      return;
    }
    this.cursors.add(selection);
    this.listenTo(selection, 'change place', () => this.requests.schedule());
    this.listenTo(selection, 'destroy', () => this.unwatch(selection));
    this.requests.schedule();
  }

  /** Keeps the map of an attention that is looked at at hand, until the choice is closed. */
  watchMap(choice: MapCursor & WidgetModel): void {
    if (!this.choices.has(choice)) {
      this.choices.add(choice);
      this.listenTo(choice, 'change', () => this.requests.schedule());
      this.listenTo(choice, 'destroy', () => this.unwatchMap(choice));
      this.requests.schedule();
    }
  }

  unwatchMap(choice: MapCursor & WidgetModel): void {
    this.choices.delete(choice);
    this.stopListening(choice);
  }

  /** Stops following a cursor. */
  unwatch(selection: SelectionModel): void {
    this.cursors.delete(selection);
    this.stopListening(selection);
  }

  /** A request has been unanswered for more than WAITING_NOTICE_MS. */
  get waiting(): boolean {
    return this.requests.waiting;
  }

  /** Shows an error under every view: sets `problem`. */
  report(error: unknown): void {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    this.assign({ problem: text });
    this.save_changes();
  }

  /** What saved widget state holds of the pages. */
  savedPages(): PageState[] {
    return this.held.newest(SAVED_PAGES_BYTES).map(pageToState);
  }

  /** State to be saved. With `drop_defaults` the pages stay although the attribute itself is empty. */
  override get_state(drop_defaults?: boolean) {
    return { ...super.get_state(drop_defaults), pages: [] };
  }

  /** As in every model, but pages never go back to the kernel: a message of its own size limit would break the comm. */
  override sync(method: string, model: WidgetModel, options: { attrs?: object } = {}): unknown {
    const whole: Partial<FrameStoreState> = (method === 'patch' ? options.attrs : super.get_state()) ?? {};
    const { pages: _pages, ...attrs } = whole;
    return super.sync('patch', model, { ...options, attrs });
  }

  override close(comm_closed = false): Promise<void> {
    this.requests.end();
    this.cellValues.end();
    this.held.clear();
    this.cursors.clear();
    this.choices.clear();
    this.missed.clear();
    return super.close(comm_closed);
  }

  private makeRequests(): PageRequests {
    return new PageRequests({
      wants: () => this.wants(),
      bytes: (name) => requestCost(this.catalog, name),
      send: (content) => this.post({ ...content, pooled_by: this.trait('pooled_by') } as never),
      nextId: () => this.nextId(),
      received: (page) => this.takeIn(page),
      refused: (name) => this.trigger('pages', name.record, name.kind),
      waitingChanged: () => this.trigger('waiting'),
    });
  }

  private nextId(): number {
    return ++this.lastId;
  }

  /** Sends a custom message; false when there is no kernel to send to. */
  private post(content: Parameters<StateModel<FrameStoreState>['send']>[0]): boolean {
    if (!this.comm_live || this.comm === undefined) {
      return false;
    }
    try {
      this.send(content);
    } catch {
      // The kernel died and the manager has not said so yet: the same as a kernel that does not answer.
    }
    return true;
  }

  private handleMessage(message: KernelMessage, buffers: readonly WireBuffer[] = []): void {
    try {
      if (message.type === 'detail' || message.type === 'no_detail') {
        this.cellValues.answerDetail(message, buffers);
      } else if (message.type === 'value' || (message.type === 'refused' && !('record' in message))) {
        this.cellValues.answer(message); // a refused page names its record; a refused value does not
      } else {
        this.requests.answer(message as PageAnswer, buffers);
      }
    } catch (error) {
      this.report(error);
    }
  }

  /** Pages that came with the widget, or that Python assigned later; the attribute lets go of them. */
  private takeInPages(): void {
    const pages = this.trait('pages') ?? [];
    (this.attributes as FrameStoreState).pages = [];
    for (const state of pages) {
      try {
        this.takeIn(pageFromState(state));
      } catch (error) {
        this.report(error);
      }
    }
  }

  private takeIn(page: Page): void {
    this.missed.delete(page);
    this.seen.note(page);
    this.held.add(page, this.trait('budget_bytes'), this.planned);
    this.trigger('pages', page.record, page.kind);
  }

  /** A new catalog makes every held page void; pages that came together with it are kept. */
  private stateArrived(): void {
    if (this.trait('catalog') !== this.readCatalog) {
      this.readCatalog = this.trait('catalog');
      this.forget();
    }
    this.takeInPages();
    this.requests.schedule();
  }

  private forget(): void {
    this.held.clear();
    this.missed.clear();
    this.seen.clear();
    this.requests.reset();
  }

  /** Other numbers in every pooled picture: only a kernel can make them. */
  private poolingChanged(): void {
    if (this.comm_live) {
      this.forget();
      this.requests.schedule();
      this.trigger('pooling');
    } else if (this.trait('pooled_by') !== this.pooledAs) {
      queueMicrotask(() => this.assign({ pooled_by: this.pooledAs })); // after its control, which then follows
      this.report(new Error('there is no kernel to pool the pictures in another way'));
      return;
    }
    this.pooledAs = this.trait('pooled_by');
  }

  private kernelChanged(): void {
    if (!this.comm_live) {
      this.requests.reset();
    }
    this.trigger('waiting');
    this.requests.schedule();
  }

  /** The page of a flat frame index and the frame's place in it. */
  private locate(record: number, kind: PictureKind, flat: number): { page: Page; offset: number } | null {
    const entry = this.catalog.records[record];
    const picture = entry && pictureOf(entry, kind);
    if (!picture || flat < 0 || flat >= picture.frames) {
      return null;
    }
    const number = Math.floor(flat / picture.frames_per_page);
    const page = this.pageOrAsk({ record, kind, page: number });
    return page && { page, offset: flat - number * picture.frames_per_page };
  }

  private pageOrAsk(name: PageName): Page | null {
    const page = this.held.use(name);
    if (page === null && this.comm_live && !this.requests.isRefused(name)) {
      this.missed.note(name);
      this.requests.schedule();
    }
    return page;
  }

  /** What is not here, most urgent first: under the cursors, then what views missed last, then around the cursors. */
  private wants(): PageName[] {
    const limit = this.trait('budget_bytes') / Math.max(1, this.cursors.size);
    const plans = [...this.choices].map((choice) => planMap(this.catalog, choice, limit / 4));
    plans.push(...[...this.cursors].map((cursor) => planPages(this.catalog, cursor, limit)));
    const [visible, near] = [plans.flatMap((plan) => plan.visible), plans.flatMap((plan) => plan.near)];
    this.planned = new Set([...visible, ...near].map(pageId));
    const wanted = new Map<string, PageName>();
    for (const name of [...visible, ...this.missed.still(this.catalog, this.cursors), ...near]) {
      if (!this.held.has(name) && !this.requests.isRefused(name)) {
        wanted.set(pageId(name), name);
      }
    }
    return [...wanted.values()];
  }
}
