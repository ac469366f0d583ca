/**
 * The entry of the standalone bundle: shows widgets in a page that has no kernel and no network.
 *
 * In: `window.memvizFrozen`, called by the loader in the page (export/loader.js). Out: the views, in the elements that
 * wait for them.
 */

import '@lumino/widgets/style/index.css';
import '@jupyter-widgets/controls/css/labvariables.css';
import '@jupyter-widgets/controls/css/widgets-base.css';
import '../frozen.css';

import * as base from '@jupyter-widgets/base';
import * as controls from '@jupyter-widgets/controls';

import { FrozenManager } from './frozen_manager';
import { FrozenModules } from './frozen_modules';
import { managerState } from './frozen_state';
import type { FrozenState } from './frozen_state';

const modules = new FrozenModules({ '@jupyter-widgets/base': base, '@jupyter-widgets/controls': controls });

/** Makes all models, then a view in each element of `hosts`, which are as many as the views. */
async function show(frozen: FrozenState, blobs: Record<string, Uint8Array>, hosts: HTMLElement[]): Promise<void> {
  const manager = new FrozenManager(modules);
  const models = await manager.set_state(managerState(frozen, blobs));
  const byId = new Map(models.map((model) => [model.model_id, model]));
  for (const [place, id] of frozen.views.entries()) {
    const model = byId.get(id);
    if (!model) {
      throw new Error(`This page is damaged: the widget '${id}' is missing.`);
    }
    await manager.display(model, hosts[place]);
  }
}

declare global {
  interface Window {
    define: FrozenModules['define'];
    memvizFrozen: { announce(name: string): void; show: typeof show };
  }
}

window.define = modules.define;
window.memvizFrozen = { announce: (name) => modules.announce(name), show };
