/**
 * LayerList: the options of a LayerPicker, of any number of layers. Only the rows in sight are in the page, and the
 * active one; the scroll bar and a screen reader know of all of them. Text is never HTML.
 */

import type { LayerEntry } from './catalog';
import { element } from './drawn_view';
import type { Lifetime } from './lifetime';

/** Height of an option, as in the style sheet. */
export const ROW_PX = 24;
/** Height of the list, as in the style sheet. */
export const LIST_PX = 300;
/** Options above and below those in sight, so that a fast wheel meets no gap. */
const SPARE_ROWS = 6;
/** End of a path that stays readable in a narrow column. */
const TAIL_CHARACTERS = 18;

export class LayerList {
  readonly el = element('ul', 'memviz-picker-list');
  private readonly space = element('li', 'memviz-picker-space');
  private layers: readonly LayerEntry[] = [];
  private found: readonly number[] = [];
  private active = 0;

  /** `choose`: an option was pressed; `layer` is its position in the catalog. */
  constructor(id: string, life: Lifetime, choose: (layer: number) => void) {
    this.el.id = id;
    this.el.hidden = true;
    this.el.setAttribute('role', 'listbox');
    this.el.setAttribute('aria-label', 'layers found');
    this.space.setAttribute('role', 'presentation');
    life.on(this.el, 'scroll', () => this.draw());
    // mousedown: by the time of a click the blur of the field would have closed the list
    life.on(this.el, 'mousedown', (event) => {
      const option = (event.target as Element).closest<HTMLElement>('[role=option]');
      event.preventDefault();
      if (option?.dataset.layer) {
        choose(Number(option.dataset.layer));
      }
    });
  }

  get opened(): boolean {
    return !this.el.hidden;
  }

  /** Id of the active option; '' where there is none. */
  get activeId(): string {
    return this.found.length > 0 ? this.idOf(this.found[this.active]) : '';
  }

  /** Opens with the layers `found`, positions in `layers`; `active` is a place in `found`, scrolled into sight. */
  open(layers: readonly LayerEntry[], found: readonly number[], active: number): void {
    [this.layers, this.found, this.active] = [layers, found, active];
    this.el.hidden = false;
    this.space.style.height = `${found.length * ROW_PX}px`;
    this.el.replaceChildren(this.space);
    this.showActive();
    this.draw();
  }

  close(): void {
    this.el.hidden = true;
    this.found = [];
    this.el.replaceChildren();
  }

  private get heightPx(): number {
    return this.el.clientHeight || LIST_PX;
  }

  /** Scrolls the list alone, never the page. */
  private showActive(): void {
    const top = this.active * ROW_PX;
    if (top < this.el.scrollTop || top + ROW_PX > this.el.scrollTop + this.heightPx) {
      this.el.scrollTop = Math.max(0, top - this.heightPx / 2);
    }
  }

  private draw(): void {
    if (!this.opened) {
      return;
    }
    if (this.found.length === 0) {
      const remark = element('li', 'memviz-picker-remark', 'no layer of that name');
      remark.setAttribute('role', 'presentation');
      this.el.replaceChildren(remark);
      return;
    }
    const first = Math.max(0, Math.floor(this.el.scrollTop / ROW_PX) - SPARE_ROWS);
    const last = Math.min(this.found.length, Math.ceil((this.el.scrollTop + this.heightPx) / ROW_PX) + SPARE_ROWS);
    const places = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
    if (this.active < first) {
      places.unshift(this.active); // the field refers to it wherever the wheel has gone
    } else if (this.active >= last) {
      places.push(this.active);
    }
    this.el.replaceChildren(this.space, ...places.map((place) => this.option(place)));
  }

  private option(place: number): HTMLElement {
    const layer = this.found[place];
    const { label, kind, module_type } = this.layers[layer];
    const option = element('li', 'memviz-picker-option');
    option.id = this.idOf(layer);
    option.dataset.layer = String(layer);
    option.style.top = `${place * ROW_PX}px`;
    option.setAttribute('role', 'option');
    option.setAttribute('aria-selected', String(place === this.active));
    option.setAttribute('aria-setsize', String(this.found.length));
    option.setAttribute('aria-posinset', String(place + 1));
    const path = element('span', 'memviz-picker-path');
    path.append(...headAndTail(label, kind));
    option.append(path, element('span', 'memviz-picker-facts', ` · ${module_type}`));
    option.title = label;
    return option;
  }

  private idOf(layer: number): string {
    return `${this.el.id}-${layer}`;
  }
}

/**
 * A label in two parts: where there is little room the head is cut, for the tail tells one layer from the next. What
 * kind of record it is (" attention") comes after the path and is never cut.
 */
export function headAndTail(label: string, kind = 'output'): HTMLElement[] {
  const path = label.endsWith(` ${kind}`) ? label.length - kind.length - 1 : label.length;
  const cut = Math.max(Math.ceil(path / 2), path - TAIL_CHARACTERS);
  return [element('span', 'memviz-picker-head', label.slice(0, cut)), element('span', 'memviz-picker-tail', label.slice(cut))];
}
