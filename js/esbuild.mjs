// What needs no JupyterLab: the AMD build (nbclassic, VS Code, frozen pages) and the stand-alone bundle of frozen pages.
import { copyFile, mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';

import { build } from 'esbuild';

const CLASSIC = '../memviz_widgets/nbextension';
const FROZEN = '../memviz_widgets/static';
// Handed to us by the page, so that our Mark is a subclass of the one Mark that is there.
const EXTERNAL = ['@jupyter-widgets/base', '@jupyter-widgets/controls', 'bqplot'];
const COMMON = { bundle: true, minify: true, target: 'es2022', legalComments: 'none', logLevel: 'info' };

// esbuild has no AMD output: CommonJS inside a define() is the same thing.
const head = `define(${JSON.stringify(['require', 'exports', ...EXTERNAL])}, function (require, exports) { var module = { exports: exports };`;
const foot = 'return module.exports; });';

await mkdir(CLASSIC, { recursive: true });
await build({
  ...COMMON,
  entryPoints: ['lib/index.js'],
  outfile: `${CLASSIC}/index.js`,
  format: 'cjs',
  external: EXTERNAL,
  banner: { js: head },
  footer: { js: foot },
});
await copyFile('extension.js', `${CLASSIC}/extension.js`);

// Descriptions of widgets are shown as text there, so what cleans HTML stays out.
await build({
  ...COMMON,
  entryPoints: { frozen: 'lib/frozen_page.js', loader: 'lib/frozen_loader.js' },
  outdir: FROZEN,
  format: 'iife',
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  alias: { 'sanitize-html': resolve('lib/frozen_sanitize.js') },
  loader: { '.svg': 'dataurl' },
});
