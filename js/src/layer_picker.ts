/** LayerPicker: names the selected layer, and finds one by a part of its path or type. Text is never HTML. */

import { unpack_models } from '@jupyter-widgets/base';

import type { LayerEntry } from './catalog';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { layerPickerDefaults } from './generated/traits';
import type { LayerPickerState } from './generated/traits';
import { LayerList, headAndTail } from './layer_list';
import { countText } from './number_text';
import type { SelectionModel } from './selection';

/** Rows that PageUp and PageDown go past. */
const PAGE_ROWS = 10;

export class LayerPickerModel extends DrawnModel<LayerPickerState> {
  static override serializers = { ...DrawnModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...layerPickerDefaults() };
  }
}

/** What is searched, by layer: a catalog never changes. */
const searched = new WeakMap<readonly LayerEntry[], string[]>();

/** Positions of the layers whose label, path or type contains `query`, whatever its case; all of them for "". */
export function findLayers(layers: readonly LayerEntry[], query: string): number[] {
  const wanted = query.trim().toLowerCase();
  let known = searched.get(layers);
  if (!known) {
    known = layers.map(({ path, label, module_type }) => `${path}\n${label}\n${module_type}`.toLowerCase());
    searched.set(layers, known);
  }
  return known.flatMap((text, position) => (text.includes(wanted) ? [position] : []));
}

export class LayerPickerView extends DrawnView<LayerPickerState> {
  private path!: HTMLSpanElement;
  private facts!: HTMLSpanElement;
  private input!: HTMLInputElement;
  private count!: HTMLSpanElement;
  private list!: LayerList;
  private found: number[] = []; // while the list is open
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
    this.count = element('span', 'memviz-picker-count');
    this.count.setAttribute('role', 'status');
    this.list = new LayerList(`memviz-layers-${this.cid}`, this.life, (layer) => this.choose(layer));
    const attributes = {
      type: 'search',
      placeholder: 'find a layer ( / )',
      autocomplete: 'off',
      spellcheck: 'false',
      role: 'combobox',
      'aria-label': 'find a layer by name or type',
      'aria-keyshortcuts': '/',
      'aria-autocomplete': 'list',
      'aria-controls': this.list.el.id,
    };
    Object.entries(attributes).forEach(([name, value]) => this.input.setAttribute(name, value));
    const search = element('div', 'memviz-picker-search');
    search.append(this.input, this.count, this.list.el);
    this.el.append(readout, search);
    this.close();
    this.life.on(this.input, 'input', () => this.open());
    this.life.on(this.input, 'click', () => this.open());
    this.life.on(this.input, 'blur', () => this.close());
    this.life.on(this.input, 'keydown', (event) => this.pressed(event));
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
    this.sayCount();
  }

  private get searching(): boolean {
    return this.input.value.trim() !== '';
  }

  /** Lists what is found; the active option is the selected layer, or the first found after it. */
  private open(): void {
    this.found = findLayers(this.layers, this.input.value);
    this.active = firstFrom(this.found, this.selected);
    this.input.setAttribute('aria-expanded', 'true');
    this.showList();
    this.sayCount();
  }

  private close(): void {
    this.list.close();
    this.found = [];
    this.input.setAttribute('aria-expanded', 'false');
    this.input.removeAttribute('aria-activedescendant');
  }

  private showList(): void {
    this.list.open(this.layers, this.found, this.active);
    const { activeId } = this.list;
    if (activeId) {
      this.input.setAttribute('aria-activedescendant', activeId);
    } else {
      this.input.removeAttribute('aria-activedescendant');
    }
  }

  private get selected(): number {
    return this.selection?.trait('layer') ?? 0;
  }

  /** What was searched for stays: Enter goes on to the next. */
  private choose(layer: number): void {
    this.close();
    this.selection?.move('layer', layer);
    this.sayCount();
  }

  /** "128 found", "2 of 128" where the selected layer is one of them; nothing while nothing is searched for. */
  private sayCount(): void {
    const found = this.searching ? findLayers(this.layers, this.input.value) : [];
    const place = this.list.opened ? -1 : found.indexOf(this.selected);
    const count = countText(found.length);
    setText(this.count, !this.searching ? '' : place < 0 ? `${count} found` : `${countText(place + 1)} of ${count}`);
  }

  private chooseNext(): void {
    const found = findLayers(this.layers, this.input.value);
    if (found.length > 0) {
      this.choose(found[firstFrom(found, this.selected + 1)]);
    }
  }

  private forget(): void {
    this.input.value = '';
    this.close();
    this.sayCount();
  }

  private pressed(event: KeyboardEvent): void {
    const { opened } = this.list;
    const place = opened ? this.placeAfter(event.key) : null;
    if (place !== null) {
      this.active = Math.max(0, Math.min(this.found.length - 1, place));
      this.showList();
    } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      this.open();
    } else if (event.key === 'Enter' && opened && this.found.length > 0) {
      this.choose(this.found[this.active]);
    } else if (event.key === 'Enter' && !opened && this.searching) {
      this.chooseNext();
    } else if (event.key === 'Escape') {
      this.forget();
    } else if (event.key !== 'Enter') {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** The place in the open list that a key leads to; null: none. Home and End are of the text, where there is one. */
  private placeAfter(key: string): number | null {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE_ROWS, PageUp: -PAGE_ROWS };
    if (key in steps) {
      return this.active + steps[key];
    }
    const ends: Record<string, number> = { Home: 0, End: this.found.length - 1 };
    return key in ends && this.input.value === '' ? ends[key] : null;
  }
}

/** Place of the first of the positions `found` that is `layer` or after it; else 0: round to the beginning. */
function firstFrom(found: readonly number[], layer: number): number {
  return Math.max(0, found.findIndex((position) => position >= layer));
}
