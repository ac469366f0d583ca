/** Stands in for bqplot in tests: classes to extend, nothing that draws. */

import { WidgetModel, WidgetView } from '@jupyter-widgets/base';

export class MarkModel extends WidgetModel {
  dirty = false;
  mark_data: unknown;
  getScales(): Record<string, unknown> {
    return (this.get('scales') as Record<string, unknown>) ?? {};
  }
  update_data(): void {}
  update_domains(): void {}
}

export abstract class Mark extends WidgetView {
  override render(): Promise<void> {
    return Promise.resolve();
  }
  create_listeners(): void {}
}
