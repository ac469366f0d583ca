/** LayerPicker: names the selected layer, and finds one by a part of its path or type. Text is never HTML. */

import { unpack_models } from '@jupyter-widgets/base';

import type { LayerEntry } from './catalog';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { layerPickerDefaults } from './generated/traits';
import type { LayerPickerState } from './generated/traits';
import { countText } from './number_text';
import type { SelectionModel } from './selection';

/** Options shown at once; the rest is counted: a list of thousands is slow and not read by anybody. */
export const MOST_OPTIONS = 50;

/** End of a path that stays readable in a narrow column. */
const TAIL_CHARACTERS = 18;

export class LayerPickerModel extends DrawnModel<LayerPickerState> {
  static override serializers = { ...DrawnModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...layerPickerDefaults() };
  }
}

/** Positions of the layers whose label, path or type contains `query`, whatever its case; all of them for "". */
export function findLayers(layers: readonly LayerEntry[], query: string): number[] {
  const wanted = query.trim().toLowerCase();
  const found: number[] = [];
  layers.forEach(({ path, label, module_type }, position) => {
    if (`${path}\n${label}\n${module_type}`.toLowerCase().includes(wanted)) {
      found.push(position);
    }
  });
  return found;
}

export class LayerPickerView extends DrawnView<LayerPickerState> {
  private path!: HTMLSpanElement;
  private facts!: HTMLSpanElement;
  private input!: HTMLInputElement;
  private list!: HTMLUListElement;
  private found: number[] = [];
  private active = 0; // position in `found`

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  private get layers(): readonly LayerEntry[] {
    return this.selection?.store.catalog.layers ?? [];
  }

  protected build(): void {
    this.el.classList.add('memviz-picker');
    const readout = element('div', 'memviz-picker-readout');
    this.path = element('span', 'memviz-picker-path');
    this.facts = element('span', 'memviz-picker-facts');
    readout.append(this.path, this.facts);
    this.input = element('input', 'memviz-picker-input');
    this.list = element('ul', 'memviz-picker-list');
    this.list.id = `memviz-layers-${this.cid}`;
    this.list.setAttribute('role', 'listbox');
    this.list.setAttribute('aria-label', 'layers found');
    const attributes = {
      type: 'search',
      placeholder: 'find a layer',
      autocomplete: 'off',
      spellcheck: 'false',
      role: 'combobox',
      'aria-label': 'find a layer by name or type',
      'aria-autocomplete': 'list',
      'aria-controls': this.list.id,
    };
    Object.entries(attributes).forEach(([name, value]) => this.input.setAttribute(name, value));
    const search = element('div', 'memviz-picker-search');
    search.append(this.input, this.list);
    this.el.append(readout, search);
    this.close();
    this.listen();
  }

  private listen(): void {
    this.life.on(this.input, 'input', () => this.open());
    this.life.on(this.input, 'click', () => this.open());
    this.life.on(this.input, 'blur', () => this.close());
    this.life.on(this.input, 'keydown', (event) => this.pressed(event));
    // mousedown: by the time of a click the blur would have closed the list
    this.life.on(this.list, 'mousedown', (event) => {
      event.preventDefault();
      const option = (event.target as Element).closest<HTMLElement>('[role=option]');
      if (option?.dataset.layer) {
        this.choose(Number(option.dataset.layer));
      }
    });
  }

  protected follow(): void {
    this.life.follow(this.selection, 'change:layer place', () => this.schedule());
    this.life.follow(this.selection?.store, 'change:catalog', () => this.schedule());
  }

  protected draw(): void {
    const position = this.selection?.trait('layer') ?? 0;
    const layer = this.layers[position];
    const label = layer ? layer.label : 'no layers';
    if (this.path.textContent !== label) {
      this.path.replaceChildren(...headAndTail(label, layer?.kind));
    }
    this.path.title = layer?.label ?? '';
    const count = `${countText(position + 1)} of ${countText(this.layers.length)}`;
    setText(this.facts, layer ? ` · ${layer.module_type} · ${count}` : '');
  }

  private get opened(): boolean {
    return !this.list.hidden;
  }

  private open(): void {
    this.found = findLayers(this.layers, this.input.value);
    const selected = this.input.value.trim() ? -1 : this.found.indexOf(this.selection?.trait('layer') ?? 0);
    this.active = Math.max(0, selected);
    this.list.hidden = false;
    this.input.setAttribute('aria-expanded', 'true');
    this.fillList();
  }

  private close(): void {
    this.list.hidden = true;
    this.list.replaceChildren();
    this.input.setAttribute('aria-expanded', 'false');
    this.input.removeAttribute('aria-activedescendant');
  }

  /** The options around the active one: all of them are reached by the arrow keys, MOST_OPTIONS are in the page. */
  private fillList(): void {
    const first = Math.max(0, Math.min(this.active - MOST_OPTIONS / 2, this.found.length - MOST_OPTIONS));
    const shown = this.found.slice(first, first + MOST_OPTIONS);
    const options = shown.map((layer, i) => this.option(layer, first + i));
    if (first > 0) {
      options.unshift(this.remark(`… ${countText(first)} before`));
    }
    const after = this.found.length - first - shown.length;
    if (after > 0) {
      options.push(this.remark(`… ${countText(after)} more`));
    }
    this.list.replaceChildren(...(options.length ? options : [this.remark('no layer of that name')]));
    const active = this.list.querySelector('[aria-selected=true]');
    this.input.toggleAttribute('aria-activedescendant', active !== null);
    if (active) {
      this.input.setAttribute('aria-activedescendant', active.id);
      keepInView(this.list, active as HTMLElement);
    }
  }

  private option(layer: number, place: number): HTMLElement {
    const { label, kind, module_type } = this.layers[layer];
    const option = element('li', 'memviz-picker-option');
    option.id = `${this.list.id}-${layer}`;
    option.dataset.layer = String(layer);
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

  private remark(text: string): HTMLElement {
    const remark = element('li', 'memviz-picker-remark', text);
    remark.setAttribute('role', 'presentation');
    return remark;
  }

  private choose(layer: number): void {
    this.input.value = '';
    this.close();
    this.selection?.move('layer', layer);
  }

  private pressed(event: KeyboardEvent): void {
    const last = this.found.length - 1;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      if (this.opened) {
        const step = event.key === 'ArrowDown' ? 1 : -1;
        this.active = Math.max(0, Math.min(last, this.active + step));
        this.fillList();
      } else {
        this.open();
      }
    } else if (event.key === 'Enter' && this.opened) {
      if (this.found.length) {
        this.choose(this.found[this.active]);
      }
    } else if (event.key === 'Escape') {
      this.input.value = '';
      this.close();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

/** Scrolls the list alone, never the page. */
function keepInView(list: HTMLElement, option: HTMLElement): void {
  const { offsetTop, offsetHeight } = option;
  if (offsetTop < list.scrollTop || offsetTop + offsetHeight > list.scrollTop + list.clientHeight) {
    list.scrollTop = offsetTop - list.clientHeight / 2;
  }
}

/**
 * A label in two parts: where there is little room the head is cut, for the tail tells one layer from the next. What
 * kind of record it is (" attention") comes after the path and is never cut.
 */
function headAndTail(label: string, kind = 'output'): HTMLElement[] {
  const path = label.endsWith(` ${kind}`) ? label.length - kind.length - 1 : label.length;
  const cut = Math.max(Math.ceil(path / 2), path - TAIL_CHARACTERS);
  return [element('span', 'memviz-picker-head', label.slice(0, cut)), element('span', 'memviz-picker-tail', label.slice(cut))];
}
