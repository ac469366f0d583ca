/**
 * Explorer: the box that holds the parts of an explorer. Its view names the controls for screen readers and adds the
 * layer keys `[`, `]` and `/`. What the parts show is their own business.
 */

import { unpack_models } from '@jupyter-widgets/base';
import { VBoxModel, VBoxView } from '@jupyter-widgets/controls';

import { stepCount } from './catalog';
import { explorerDefaults } from './generated/traits';
import type { ExplorerState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { Lifetime } from './lifetime';
import { countText } from './number_text';
import type { SelectionModel } from './selection';
import { injectStyle } from './style';

const ROW = 'memviz-axis-'; // class of the row of an axis: memviz-axis-layer, memviz-axis-channel, ...
const TEXT_FIELDS = 'input, textarea, select, [contenteditable=true]';
const PLAY_WORDS = ['play or pause', 'stop', 'repeat'];

export class ExplorerModel extends VBoxModel {
  static override serializers = { ...VBoxModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...explorerDefaults() };
  }

  trait<K extends keyof ExplorerState>(name: K): ExplorerState[K] {
    return this.get(name) as ExplorerState[K];
  }
}

/** `label` is what a screen reader calls the box. */
export abstract class ExplorerView extends VBoxView {
  declare model: ExplorerModel;
  protected life!: Lifetime;
  protected abstract readonly label: string;

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  override render(): void {
    injectStyle(document);
    this.life = new Lifetime(this, (error) => this.selection?.store.report(error));
    super.render();
    this.el.classList.add('memviz-explorer');
    this.el.setAttribute('role', 'group');
    this.el.setAttribute('aria-label', this.label);
    keepKeys(this.el, this.life);
    this.life.on(this.el, 'keydown', (event) => this.pressed(event));
    this.life.on(this.el, 'keydown', (event) => this.goToEnd(event), { capture: true });
    this.observe();
    this.listenTo(this.model, 'change:selection', () => {
      this.life.unfollow();
      this.follow();
    });
    this.follow();
  }

  /** Listens to the models that decide which controls there are. */
  protected follow(): void {
    this.life.follow(this.selection, 'place', () => this.life.nextFrame(() => this.arrange()));
    this.life.nextFrame(() => this.arrange());
  }

  /** The controls are rendered later than we are, and a slider rewrites the text of its handle at every move. */
  private observe(): void {
    const observer = new MutationObserver(
      this.life.guard((changes: MutationRecord[]) => {
        for (const { type, target } of changes) {
          const changed = target as Element;
          if (type === 'attributes') {
            this.sayValue(changed);
          } else if (!changed.closest('svg, .memviz-view')) {
            this.life.nextFrame(() => this.arrange());
          }
        }
      }),
    );
    observer.observe(this.el, { subtree: true, childList: true, attributes: true, attributeFilter: ['aria-valuetext'] });
    this.life.onEnd(() => observer.disconnect());
  }

  /** Brings the controls up to date after a move of the cursor. */
  protected arrange(): void {
    this.el.querySelectorAll('.memviz-axis').forEach((row) => this.nameControls(row));
  }

  private nameControls(row: Element): void {
    const name = row.querySelector('.widget-label')?.textContent ?? axisOf(row);
    row.querySelectorAll('.noUi-handle').forEach((handle) => {
      handle.setAttribute('aria-label', name);
      this.sayValue(handle);
    });
    row.querySelectorAll('.widget-readout').forEach((readout) => {
      readout.setAttribute('role', 'textbox');
      readout.setAttribute('aria-label', `${name} number`);
    });
    row.querySelectorAll('.widget-play').forEach((play) => {
      play.querySelectorAll('button').forEach((button, i) => {
        button.setAttribute('aria-label', `${PLAY_WORDS[i] ?? ''} ${name}`.trim());
        button.title = button.getAttribute('aria-label') ?? '';
      });
    });
  }

  /** "conv2, Conv2d, 3 of 43" for a layer; "17 of 64" otherwise. */
  private sayValue(handle: Element): void {
    const row = handle.closest('.memviz-axis');
    const text = row && this.valueText(axisOf(row));
    if (text && handle.getAttribute('aria-valuetext') !== text) {
      handle.setAttribute('aria-valuetext', text);
    }
  }

  private valueText(axis: string): string {
    const selection = this.selection;
    const extent = selection?.extent(axis) ?? 0;
    if (!selection || extent === 0) {
      return `this layer has no ${axis} axis`;
    }
    const index = Number(selection.get(axis) ?? 0);
    if (axis === 'step' && selection.store.catalog.step_labels?.length) {
      return stepCount(selection.store.catalog, index);
    }
    if (axis !== 'layer') {
      return `${countText(index)} of ${countText(extent)}`;
    }
    const layer = selection.layer();
    return `${layer?.label ?? ''}, ${layer?.module_type ?? ''}, ${countText(index + 1)} of ${countText(extent)}`;
  }

  /** The layer that the keys `[` (step -1) and `]` (step 1) lead to. */
  protected nextLayer(selection: SelectionModel, step: number): number {
    return selection.trait('layer') + step;
  }

  private pressed(event: KeyboardEvent): void {
    const step = event.key === '[' ? -1 : event.key === ']' ? 1 : 0;
    const target = event.target as Element;
    const typed = event.getModifierState('AltGraph') || !(event.ctrlKey || event.metaKey || event.altKey);
    if (!typed || target.closest(TEXT_FIELDS)) {
      return;
    }
    if (step && this.selection) {
      this.selection.move('layer', this.nextLayer(this.selection, step));
    } else if (event.key !== '/' || !this.search()) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** Leads to the field that finds a layer; false: there is none. */
  private search(): boolean {
    const field = this.el.querySelector<HTMLInputElement>('.memviz-picker-input');
    field?.focus();
    field?.select();
    return field !== null;
  }

  /** noUiSlider 15 keeps the range it started with for Home and End; the slider's range follows the layer. */
  private goToEnd(event: KeyboardEvent): void {
    const row = (event.target as Element).closest('.noUi-handle')?.closest('.memviz-axis');
    if (row && this.selection && (event.key === 'Home' || event.key === 'End')) {
      const axis = axisOf(row);
      this.selection.move(axis, event.key === 'Home' ? 0 : this.selection.extent(axis) - 1);
      event.preventDefault();
      event.stopPropagation();
    }
  }

  override remove(): void {
    this.life?.end();
    super.remove();
  }
}

/** The axis whose controls `row` holds: "channel" for a row of class memviz-axis-channel. */
function axisOf(row: Element): string {
  return [...row.classList].find((name) => name.startsWith(ROW))?.slice(ROW.length) ?? '';
}
