// The AMD build: ../memviz_widgets/nbextension/index.js (nbclassic, VS Code, exported pages) and its loader.
import { copyFile, mkdir } from 'node:fs/promises';

import { build } from 'esbuild';

const OUT = '../memviz_widgets/nbextension';
// Handed to us by the page, so that our Mark is a subclass of the one Mark that is there.
const EXTERNAL = ['@jupyter-widgets/base', '@jupyter-widgets/controls', 'bqplot'];

// esbuild has no AMD output: CommonJS inside a define() is the same thing.
const head = `define(${JSON.stringify(['require', 'exports', ...EXTERNAL])}, function (require, exports) { var module = { exports: exports };`;
const foot = 'return module.exports; });';

await mkdir(OUT, { recursive: true });
await build({
  entryPoints: ['lib/index.js'],
  outfile: `${OUT}/index.js`,
  bundle: true,
  minify: true,
  format: 'cjs',
  target: 'es2022',
  legalComments: 'none',
  external: EXTERNAL,
  banner: { js: head },
  footer: { js: foot },
  logLevel: 'info',
});
await copyFile('extension.js', `${OUT}/extension.js`);
