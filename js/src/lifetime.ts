/**
 * Lifetime: everything a view started and has to stop: listeners on models and on the page, a frame, timers.
 *
 * Every callback is guarded: an error in it is reported (and shown under the views), never lost in a console.
 */

import type { WidgetModel, WidgetView } from '@jupyter-widgets/base';

type Work<A extends unknown[]> = (...args: A) => void;

export class Lifetime {
  private readonly abort = new AbortController();
  private readonly followed = new Set<WidgetModel>();
  private readonly timers = new Map<string, number>();
  private frame = 0;

  /** `view` listens to the models; `report` gets what a callback threw. */
  constructor(
    private readonly view: WidgetView,
    private readonly report: (error: unknown) => void,
  ) {}

  get ended(): boolean {
    return this.abort.signal.aborted;
  }

  /** `work` that reports its errors, and does nothing once the view is gone. */
  guard<A extends unknown[]>(work: Work<A>): Work<A> {
    return (...args: A) => {
      if (this.ended) {
        return;
      }
      try {
        work(...args);
      } catch (error) {
        this.report(error);
      }
    };
  }

  /** Listens to events of another model, until `unfollow` or `end`. */
  follow<A extends unknown[]>(subject: WidgetModel | null | undefined, events: string, work: Work<A>): void {
    if (subject) {
      this.followed.add(subject);
      this.view.listenTo(subject, events, this.guard(work));
    }
  }

  /** Stops listening to every followed model: the first step after a model was exchanged for another. */
  unfollow(): void {
    for (const subject of this.followed) {
      this.view.stopListening(subject);
    }
    this.followed.clear();
  }

  /** Listens to an event of the page. */
  on<K extends keyof HTMLElementEventMap>(
    target: EventTarget,
    type: K,
    work: (event: HTMLElementEventMap[K]) => void,
    options: AddEventListenerOptions = {},
  ): void {
    const listener = this.guard(work) as EventListener;
    target.addEventListener(type, listener, { ...options, signal: this.abort.signal });
  }

  /** Runs `work` in the next animation frame; more calls before it change nothing. */
  nextFrame(work: () => void): void {
    if (!this.frame && !this.ended) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.guard(work)();
      });
    }
  }

  /** Runs `work` after `wait_ms`; a pending one of the same name is replaced. */
  after(name: string, wait_ms: number, work: () => void): void {
    this.cancel(name);
    if (!this.ended) {
      const run = this.guard(work);
      this.timers.set(
        name,
        window.setTimeout(() => {
          this.timers.delete(name);
          run();
        }, wait_ms),
      );
    }
  }

  pending(name: string): boolean {
    return this.timers.has(name);
  }

  cancel(name: string): void {
    window.clearTimeout(this.timers.get(name));
    this.timers.delete(name);
  }

  /** Runs `work` when the size of `element` changes; nothing where the page has no ResizeObserver. */
  resized(element: Element, work: () => void): void {
    if (typeof ResizeObserver !== 'undefined') {
      const observer = new ResizeObserver(this.guard(work));
      observer.observe(element);
      this.onEnd(() => observer.disconnect());
    }
  }

  onEnd(work: () => void): void {
    this.abort.signal.addEventListener('abort', work, { once: true });
  }

  end(): void {
    this.abort.abort();
    this.unfollow();
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    for (const name of [...this.timers.keys()]) {
      this.cancel(name);
    }
  }
}
