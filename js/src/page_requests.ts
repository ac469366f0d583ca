/**
 * PageRequests: asks the kernel for pages, one request at a time, and sorts its answers.
 *
 * In: wants in the order of their urgency (asked for anew before every request), messages of the kernel.
 * Out: messages to the kernel, pages. It knows no widget; what is held and what is wanted is the store's business.
 */

import type { PageKind } from './catalog';
import { pageFromWire, pageId } from './pages';
import type { Page, PageHeader, PageName, WireBuffer } from './pages';

/** A request that is not answered in this time is forgotten; what comes later is dropped. */
export const REQUEST_WAIT_MS = 30_000;
/** From here on the views say that they are waiting for the kernel. */
export const WAITING_NOTICE_MS = 1_000;
/** Pages of one request, together; small enough that the cursor's next wish is not stuck behind it. */
export const MAX_REQUEST_BYTES = 2 ** 20;

const NOT_ANSWERED = 'The kernel sent nothing for this picture. Run the cell again.';

export interface RequestHost {
  /** Wants that are not held, most urgent first. */
  wants(): PageName[];
  bytes(name: PageName): number;
  /** Sends to the kernel; false when there is none. */
  send(content: { type: 'pages'; id: number; wants: PageName[] }): boolean;
  nextId(): number;
  received(page: Page): void;
  refused(name: PageName): void;
  /** Whether the wait has become long, or is over. */
  waitingChanged(): void;
}

/** Page messages of the kernel; each carries the id of the request. */
export type PageAnswer =
  | ({ type: 'page'; id: number } & PageHeader)
  | ({ type: 'refused'; id: number; message: string } & PageName)
  | { type: 'done'; id: number };

interface Pending {
  id: number;
  open: Map<string, PageName>; // not answered yet
  forget: ReturnType<typeof setTimeout>;
  notice: ReturnType<typeof setTimeout>;
}

export class PageRequests {
  private pending: Pending | null = null;
  private scheduled = false;
  private ended = false;
  private overdue = false;
  private readonly refusedPages = new Map<string, string>(); // page id -> the kernel's sentence
  private readonly refusedKinds = new Map<string, string>(); // record/kind -> the same, for the views

  constructor(private readonly host: RequestHost) {}

  /** True when a request has been unanswered for more than WAITING_NOTICE_MS. */
  get waiting(): boolean {
    return this.overdue;
  }

  /** The sentence with which the kernel refused a page of this kind; '' when it refused none. */
  refusal(record: number, kind: PageKind): string {
    return this.refusedKinds.get(`${record}/${kind}`) ?? '';
  }

  isRefused(name: PageName): boolean {
    return this.refusedPages.has(pageId(name));
  }

  /** Asks for what is wanted once the current event is over, so that one step of the cursor makes one request. */
  schedule(): void {
    if (this.scheduled || this.pending !== null || this.ended) {
      return; // after an answer the next wants are computed anyway
    }
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      this.request();
    });
  }

  /** Takes an answer of the kernel; one that belongs to no open request is dropped. */
  answer(message: PageAnswer, buffers: readonly WireBuffer[]): void {
    if (message.id !== this.pending?.id) {
      return;
    }
    if (message.type === 'done') {
      this.finish();
      return;
    }
    this.pending.open.delete(pageId(message));
    if (message.type === 'refused') {
      this.refuse(message, message.message);
    } else {
      this.host.received(pageFromWire(message, buffers));
    }
  }

  /** Forgets refusals and the open request: the catalog is another one, or the kernel is. */
  reset(): void {
    this.refusedPages.clear();
    this.refusedKinds.clear();
    this.drop();
  }

  end(): void {
    this.ended = true;
    this.drop();
  }

  private request(): void {
    if (this.pending !== null || this.ended) {
      return;
    }
    const wants = this.batch();
    if (wants.length === 0) {
      return;
    }
    const id = this.host.nextId();
    if (!this.host.send({ type: 'pages', id, wants })) {
      return;
    }
    this.pending = {
      id,
      open: new Map(wants.map((name) => [pageId(name), name])),
      forget: setTimeout(() => this.forget(), REQUEST_WAIT_MS),
      notice: setTimeout(() => this.notice(true), WAITING_NOTICE_MS),
    };
  }

  /** The most urgent wants that make about MAX_REQUEST_BYTES; at least one if there is any. */
  private batch(): PageName[] {
    const wants: PageName[] = [];
    let bytes = 0;
    for (const name of this.host.wants()) {
      bytes += this.host.bytes(name);
      if (wants.length > 0 && bytes > MAX_REQUEST_BYTES) {
        break;
      }
      wants.push({ record: name.record, kind: name.kind, page: name.page });
    }
    return wants;
  }

  private finish(): void {
    // Without this a page that the kernel silently leaves out would be asked for again and again.
    const silent = [...(this.pending?.open.values() ?? [])];
    this.drop();
    silent.forEach((name) => this.refuse(name, NOT_ANSWERED));
    this.schedule();
  }

  private forget(): void {
    this.drop();
    this.schedule();
  }

  private drop(): void {
    if (this.pending !== null) {
      clearTimeout(this.pending.forget);
      clearTimeout(this.pending.notice);
      this.pending = null;
    }
    this.notice(false);
  }

  private notice(overdue: boolean): void {
    if (overdue !== this.overdue) {
      this.overdue = overdue;
      this.host.waitingChanged();
    }
  }

  private refuse(name: PageName, message: string): void {
    this.refusedPages.set(pageId(name), message);
    this.refusedKinds.set(`${name.record}/${name.kind}`, message);
    this.host.refused(name);
  }
}
