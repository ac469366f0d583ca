/**
 * MarkFeeder: a model without a view that writes points to bqplot marks, in the browser.
 *
 * In: the cursor, and pages as they come. Out: calls of `update`, at most one per frame of the display, after which the
 * marks must be right. Nothing is sent to the kernel.
 */

import type { WidgetModel } from '@jupyter-widgets/base';

import type { PageKind } from './catalog';
import type { SelectionModel } from './selection';
import { StateModel } from './state_model';
import type { ModelOptions } from './state_model';

interface Fed {
  selection: SelectionModel;
}

export abstract class MarkFeeder<S extends Fed> extends StateModel<S> {
  private declare frameRequest: number;
  private declare afterFrame: number;

  /** Kinds of pages that the points are made of. */
  protected abstract readonly pageKinds: readonly PageKind[];
  /** Brings the marks up to date. */
  protected abstract update(): void;

  override initialize(attributes: Partial<S>, options: ModelOptions): void {
    super.initialize(attributes, options);
    this.frameRequest = 0;
    this.afterFrame = 0;
    const selection = this.trait('selection') as SelectionModel | null;
    if (selection) {
      this.listenTo(selection, 'change place', this.schedule);
      this.listenTo(selection.store, 'change:catalog', this.schedule);
      this.listenTo(selection.store, 'pages', (record: number, kind: PageKind) => {
        if (this.concerns(record, kind)) {
          this.schedule();
        }
      });
      this.schedule();
    }
  }

  override close(comm_closed = false): Promise<void> {
    cancelAnimationFrame(this.frameRequest);
    window.clearTimeout(this.afterFrame);
    return super.close(comm_closed);
  }

  /** Whether a page that has come may change the points. */
  protected concerns(_record: number, kind: PageKind): boolean {
    return this.pageKinds.includes(kind);
  }

  /** bqplot redraws its SVG on every `set`: once per frame of the display, after that frame, as the heatmap comes first. */
  protected schedule(): void {
    if (this.frameRequest === 0) {
      this.frameRequest = requestAnimationFrame(() => {
        this.afterFrame = window.setTimeout(() => {
          this.frameRequest = 0;
          this.guardedUpdate();
        });
      });
    }
  }

  private guardedUpdate(): void {
    try {
      this.update();
    } catch (error) {
      this.trait('selection').store.report(error);
    }
  }
}

/** Writes what differs from what a mark or an axis has, in one go: bqplot zips x and y, and draws after every change. */
export function setChanged(target: WidgetModel | null, values: Record<string, unknown>): void {
  const changed = Object.entries(values).filter(([name, value]) => !isSame(target?.get(name), value));
  if (target && changed.length > 0) {
    target.set(Object.fromEntries(changed));
  }
}

function isSame(now: unknown, value: unknown): boolean {
  if (!isList(now) || !isList(value)) {
    return Object.is(now, value);
  }
  return now.length === value.length && Array.from(now).every((entry, i) => isSame(entry, value[i]));
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}
