/** What our views in the page have in common: a typed model, one drawing per animation frame, clean removal. */

import { DOMWidgetModel, DOMWidgetView } from '@jupyter-widgets/base';

import { Lifetime } from './lifetime';
import type { SelectionModel } from './selection';
import { injectStyle } from './style';

/** A widget model with a view whose traits are typed by `S`, the state interface generated from Python. */
export class DrawnModel<S extends object> extends DOMWidgetModel {
  trait<K extends keyof S & string>(name: K): S[K] {
    return this.get(name) as S[K];
  }
}

/** A view that `build`s its elements once and `draw`s at most once per frame, after any change of what it `follow`s. */
export abstract class DrawnView<S extends object> extends DOMWidgetView {
  declare model: DrawnModel<S>;
  protected life!: Lifetime;

  protected abstract get selection(): SelectionModel | null;
  /** Creates the elements and their listeners. */
  protected abstract build(): void;
  /** Calls `life.follow` for every model that is shown; again when `selection` or `colors` is exchanged. */
  protected abstract follow(): void;
  /** Brings the elements up to date. */
  protected abstract draw(): void;

  override render(): void {
    injectStyle(document);
    this.life = new Lifetime(this, (error) => this.report(error));
    this.el.classList.add('jupyter-widgets', 'memviz-view');
    this.listenTo(this.model, 'change:selection change:colors', () => {
      this.life.unfollow();
      this.life.guard(() => this.follow())();
      this.schedule();
    });
    this.life.guard(() => {
      this.build();
      this.follow();
      this.draw();
    })();
  }

  /** Shows an error of our own, under the views. */
  protected report(error: unknown): void {
    this.selection?.store.report(error);
  }

  protected schedule(): void {
    this.life.nextFrame(() => this.draw());
  }

  override remove(): void {
    this.life?.end();
    super.remove();
  }
}

/** A new element with a class and, where given, a text. Text only: nothing is ever parsed as HTML. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  text = '',
): HTMLElementTagNameMap[K] {
  const created = document.createElement(tag);
  created.className = className;
  created.textContent = text;
  return created;
}

/** Sets the text only when it differs, so that a live region speaks only of changes. */
export function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) {
    target.textContent = text;
  }
}
