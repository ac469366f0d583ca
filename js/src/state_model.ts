/** A widget model whose attributes are typed by the interface generated from its Python traits. */

import { WidgetModel } from '@jupyter-widgets/base';

/** What the widget manager hands to `initialize`. */
export type ModelOptions = Parameters<WidgetModel['initialize']>[1];

/** `S` is the state interface of `generated/traits.ts`; a trait that Python does not have does not compile. */
export class StateModel<S extends object> extends WidgetModel {
  trait<K extends keyof S & string>(name: K): S[K] {
    return this.get(name) as S[K];
  }

  /** Sets traits in one go, so that listeners see all of them; nothing is sent to the kernel. */
  assign(values: Partial<S>): void {
    this.set(values);
  }
}
