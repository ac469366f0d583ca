import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { expect, it, vi } from 'vitest';

import * as generated from '../src/generated/traits';
import * as index from '../src/index';
import plugin from '../src/plugin';
import { MODULE_NAME, MODULE_VERSION } from '../src/version';

const FOLDER = resolve(__dirname, '..');
// A base class (Explorer) has defaults and no model of its own.
const defaults = Object.values(generated)
  .map((make) => make() as unknown as Record<string, unknown>)
  .filter((state) => state._model_name !== undefined);

it.each(defaults.map((state) => [state._model_name as string, state._view_name as string | undefined]))(
  'exports %s and its view',
  (model, view) => {
    expect(index).toHaveProperty(model);
    expect(view === undefined || view in index).toBe(true);
  },
);

it('registers the module under the version that Python asks for', async () => {
  const registerWidget = vi.fn();
  plugin.activate(null, { registerWidget });
  const [{ name, version, exports }] = registerWidget.mock.calls[0];
  expect([name, version]).toEqual([MODULE_NAME, MODULE_VERSION]);
  expect(await exports()).toHaveProperty('SelectionModel');
  expect(defaults.every((state) => state._model_module_version === `^${MODULE_VERSION}`)).toBe(true);
});

it('has one version number', () => {
  const read = (file: string) => JSON.parse(readFileSync(resolve(FOLDER, file), 'utf-8')) as { version: string };
  expect([read('package.json').version, read('package-lock.json').version]).toEqual([MODULE_VERSION, MODULE_VERSION]);
});

it('has a loader whose mapping can be read as text, as VS Code does', () => {
  const text = readFileSync(resolve(FOLDER, 'extension.js'), 'utf-8');
  const config = vi.fn();
  const define = vi.fn();
  new Function('define', 'window', text)(define, { requirejs: { config } });
  const loader = define.mock.calls[0][0]();
  loader.load_ipython_extension();
  expect(config).toHaveBeenCalledWith({ map: { '*': { [MODULE_NAME]: `nbextensions/${MODULE_NAME}/index` } } });
  expect(text).toMatch(/\['requirejs'\]\.config\(\{/);
});

it('locks packages without naming a registry host', () => {
  expect(readFileSync(resolve(FOLDER, 'package-lock.json'), 'utf-8')).not.toContain('"resolved"');
});
