/**
 * SaveMenu: a button with a menu of files that the view can be saved as. The kernel writes them beside the notebook.
 *
 * In: a click. Out: a message to the kernel; its answer as text. Without a kernel the button says so. Text is never HTML.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { saveMenuDefaults } from './generated/traits';
import type { SaveMenuState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import type { SelectionModel } from './selection';

const SAVE = 'save';
const FORMS: Record<string, string> = { html: 'Page (.html)', png: 'Picture (.png)' };
const NO_KERNEL = 'saving needs a running kernel: run the notebook';
const WAITING = 'saving \u2026';

export class SaveMenuModel extends DrawnModel<SaveMenuState> {
  static override serializers = { ...DrawnModel.serializers, selection: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...saveMenuDefaults() };
  }
}

export class SaveMenuView extends DrawnView<SaveMenuState> {
  private button!: HTMLButtonElement;
  private menu!: HTMLDivElement;
  private said!: HTMLSpanElement;
  private items: HTMLButtonElement[] = [];
  private drawnForms: readonly string[] | null = null;
  private waiting = false;

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  private get open(): boolean {
    return !this.menu.hidden;
  }

  protected build(): void {
    this.el.classList.add('memviz-save');
    this.button = element('button', 'memviz-button memviz-save-button');
    this.button.type = 'button';
    this.button.setAttribute('aria-haspopup', 'menu');
    const icon = element('span', '', '\u2913');
    icon.setAttribute('aria-hidden', 'true');
    this.button.append(icon, element('span', '', ' Save'));
    this.menu = element('div', 'memviz-save-menu');
    this.menu.setAttribute('role', 'menu');
    this.menu.setAttribute('aria-label', 'save this view as');
    this.said = element('span', 'memviz-save-said');
    this.said.setAttribute('role', 'status');
    this.el.append(this.said, this.button, this.menu);
    this.show(false);
    keepKeys(this.el, this.life);
    this.life.on(this.button, 'click', () => this.show(!this.open, true));
    this.life.on(this.menu, 'click', (event) => this.chosen(event.target as Element));
    this.life.on(this.el, 'keydown', (event) => this.pressed(event));
    this.life.on(this.el, 'focusout', (event) => {
      if (this.open && !this.el.contains(event.relatedTarget as Node | null)) {
        this.show(false);
      }
    });
    this.listenTo(this.model, 'change:forms change:said change:failed comm_live_update', () => this.schedule());
    this.listenTo(this.model, 'change:answers', () => {
      this.waiting = false;
      this.schedule();
    });
  }

  protected follow(): void {
    // it shows nothing of the selection
  }

  protected draw(): void {
    const forms = this.model.trait('forms');
    if (forms !== this.drawnForms) {
      this.drawnForms = forms;
      this.items = forms.map(menuItem);
      this.menu.replaceChildren(...this.items);
    }
    const live = this.model.comm_live;
    this.waiting &&= live; // who is gone does not answer
    this.button.disabled = !live || this.waiting || forms.length === 0;
    this.button.title = live ? 'save this view beside the notebook' : NO_KERNEL;
    setText(this.said, this.waiting ? WAITING : this.model.trait('said'));
    this.said.classList.toggle('memviz-save-failed', !this.waiting && this.model.trait('failed'));
    if (!live) {
      this.show(false);
    }
  }

  /** Opens or closes the menu; `focus`: the focus goes along. */
  private show(open: boolean, focus = false): void {
    this.menu.hidden = !open;
    this.button.setAttribute('aria-expanded', String(open));
    if (focus) {
      (open ? this.items[0] : this.button)?.focus();
    }
  }

  private chosen(target: Element): void {
    const form = target.closest<HTMLElement>('[data-form]')?.dataset.form;
    if (form && this.model.comm_live && !this.waiting) {
      this.waiting = true;
      this.show(false, true);
      this.model.send({ type: SAVE, form }, {});
      this.draw();
    }
  }

  private pressed(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const at = this.items.indexOf(document.activeElement as HTMLButtonElement);
    const last = this.items.length - 1;
    if (event.key === 'Escape' && this.open) {
      this.show(false, true);
    } else if (event.key === 'ArrowDown' && this.open) {
      this.items[at < last ? at + 1 : 0].focus();
    } else if (event.key === 'ArrowDown' && !this.button.disabled) {
      this.show(true, true);
    } else if (event.key === 'ArrowUp' && this.open) {
      this.items[at > 0 ? at - 1 : last].focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

function menuItem(form: string): HTMLButtonElement {
  const item = element('button', 'memviz-save-item', FORMS[form] ?? form);
  item.type = 'button';
  item.tabIndex = -1;
  item.dataset.form = form;
  item.setAttribute('role', 'menuitem');
  return item;
}
