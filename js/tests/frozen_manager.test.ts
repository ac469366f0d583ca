import * as base from '@jupyter-widgets/base';
import * as controls from '@jupyter-widgets/controls';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { FrozenManager } from '../src/frozen_manager';
import { FrozenModules } from '../src/frozen_modules';
import { managerState } from '../src/frozen_state';

const BASE = '@jupyter-widgets/base';
const CONTROLS = '@jupyter-widgets/controls';

function model(model_name: string, model_module: string, state: Record<string, unknown>) {
  return { model_name, model_module, model_module_version: '2.0.0', state };
}

/** A label that is linked to a text field, as a page has them. */
function linked() {
  const look = { layout: 'IPY_MODEL_layout', style: 'IPY_MODEL_style' };
  return {
    views: ['text'],
    models: {
      layout: model('LayoutModel', BASE, {}),
      style: model('DescriptionStyleModel', CONTROLS, {}),
      text: model('TextModel', CONTROLS, { value: 'a', description: '<b>name</b>', ...look }),
      other: model('TextModel', CONTROLS, { value: 'a', ...look }),
      link: model('LinkModel', CONTROLS, { source: ['IPY_MODEL_text', 'value'], target: ['IPY_MODEL_other', 'value'] }),
    },
  };
}

function manager(): FrozenManager {
  return new FrozenManager(new FrozenModules({ [BASE]: base, [CONTROLS]: controls }));
}

afterEach(() => document.body.replaceChildren());

describe('FrozenManager', () => {
  it('restores models whose links work, without a kernel', async () => {
    const made = manager();
    const models = await made.set_state(managerState(linked(), {}));
    const [text, other] = ['text', 'other'].map((id) => models.find(({ model_id }) => model_id === id)!);
    expect(text.comm_live).toBe(false);
    text.set('value', 'b');
    text.save_changes();
    expect(other.get('value')).toBe('b');
  });

  it('shows a view in an element of the document, its description as text', async () => {
    const made = manager();
    const models = await made.set_state(managerState(linked(), {}));
    const host = document.body.appendChild(document.createElement('div'));
    await made.display(models.find(({ model_id }) => model_id === 'text')!, host);
    expect(host.querySelector('input')?.value).toBe('a');
    expect(host.querySelector('b')).toBeNull();
    expect(host.querySelector('label')?.textContent).toBe('<b>name</b>');
    expect(made.inline_sanitize('<i>x</i>&')).toBe('&lt;i&gt;x&lt;/i&gt;&amp;');
  });

  it('says which class or module the page lacks', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const made = manager() as unknown as { loadClass(name: string, module: string): Promise<unknown> };
    await expect(made.loadClass('NoModel', CONTROLS)).rejects.toThrow(
      "The module '@jupyter-widgets/controls' in this page has no 'NoModel'.",
    );
    await expect(made.loadClass('A', 'b')).rejects.toThrow("This page has no module 'b'.");
  });
});
