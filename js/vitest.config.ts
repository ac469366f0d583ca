import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: {
    // bqplot is no dependency: JupyterLab hands it to us at run time. Tests see the few members that we use.
    alias: { bqplot: fileURLToPath(new URL('./tests/bqplot_stub.ts', import.meta.url)) },
  },
  test: {
    environment: 'jsdom',
    include: ['tests/**/*.test.ts'],
    setupFiles: ['tests/setup.ts'],
    restoreMocks: true,
    // @jupyter-widgets packages are CommonJS that imports css and ES modules; vite must see inside.
    server: { deps: { inline: [/@jupyter-widgets/] } },
  },
});
