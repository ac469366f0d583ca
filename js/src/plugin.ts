/** The JupyterLab and Notebook 7 entry: registers our module with the widget manager. */

import { IJupyterWidgetRegistry } from '@jupyter-widgets/base';
import type { ExportMap } from '@jupyter-widgets/base';

import { MODULE_NAME, MODULE_VERSION } from './version';

export default {
  id: `${MODULE_NAME}:plugin`,
  description: 'Views of what a PyTorch model holds while it computes.',
  autoStart: true,
  requires: [IJupyterWidgetRegistry],
  activate: (_app: unknown, registry: IJupyterWidgetRegistry): void => {
    registry.registerWidget({
      name: MODULE_NAME,
      version: MODULE_VERSION,
      // Loaded with the first widget of ours: a page without one pays nothing.
      // The widget manager looks up classes by name and does not mind what else is exported.
      exports: async () => (await import('./index')) as unknown as ExportMap,
    });
  },
};
