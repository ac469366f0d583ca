/** The widget manager of a frozen page: models from saved state, views, no kernel, no Output widget. */

import type { DOMWidgetModel, DOMWidgetView, IClassicComm, WidgetModel, WidgetView } from '@jupyter-widgets/base';
import { ManagerBase } from '@jupyter-widgets/base-manager';
import { MessageLoop } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import type { FrozenModules } from './frozen_modules';

export class FrozenManager extends ManagerBase {
  private readonly shown = new Set<Widget>();

  constructor(private readonly modules: FrozenModules) {
    super();
    window.addEventListener('resize', () => this.resized());
  }

  /** Puts a view of a model into an element of the document. */
  async display(model: WidgetModel, host: HTMLElement): Promise<void> {
    const view = (await this.create_view(model as DOMWidgetModel)) as DOMWidgetView;
    Widget.attach(view.luminoWidget, host);
    this.shown.add(view.luminoWidget);
  }

  /** Views measure themselves again: the window, or what holds them, has another size. */
  resized(): void {
    this.shown.forEach((widget) => MessageLoop.postMessage(widget, Widget.ResizeMessage.UnknownSize));
  }

  /** The versions were those of one environment when the page was written. */
  protected override async loadClass(name: string, module: string): Promise<typeof WidgetModel | typeof WidgetView> {
    const found = (this.modules.load(module) as Record<string, unknown>)[name];
    if (!found) {
      throw new Error(`The module '${module}' in this page has no '${name}'.`);
    }
    return found as typeof WidgetModel;
  }

  protected override _create_comm(): Promise<IClassicComm> {
    return Promise.reject(new Error('A frozen page has no kernel.'));
  }

  protected override _get_comm_info(): Promise<object> {
    return Promise.resolve({});
  }

  /** Descriptions are text, also where a notebook would take them for HTML. */
  override inline_sanitize(source: string): string {
    const text = document.createElement('span');
    text.textContent = source;
    return text.innerHTML;
  }
}
