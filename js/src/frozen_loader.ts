/**
 * The script of a frozen page: unpacks what is inlined, starts the widgets, and switches between light and dark.
 *
 * In: elements `script[data-kind]` with deflated bytes as base64. Out: style sheets, scripts, and the views; whatever
 * goes wrong stands in the page. It is built into a script of its own, which imports nothing.
 */

import type { FrozenState } from './frozen_state';

const NO_INFLATE =
  'This page needs a browser that can unpack it: Chrome or Edge 103, Firefox 113, Safari 16.4, or newer.';

function inflate(base64: string): Promise<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    bytes[i] = text.charCodeAt(i);
  }
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Response(inflated).arrayBuffer();
}

function byId(id: string): HTMLElement {
  return document.getElementById(id) as HTMLElement;
}

function append(tag: 'style' | 'script', text: string): void {
  const made = document.createElement(tag);
  made.textContent = text;
  document.head.append(made);
}

/** Light or dark as the system says, until the button says otherwise. */
function followTheme(): void {
  const root = document.documentElement;
  const button = byId('memviz-theme');
  const system = window.matchMedia('(prefers-color-scheme: dark)');
  let chosen: boolean | null = null;
  const paint = (): void => {
    const dark = chosen ?? system.matches;
    root.dataset.jpThemeLight = String(!dark);
    button.textContent = dark ? 'Light' : 'Dark';
    button.title = dark ? 'Show the page in light colours' : 'Show the page in dark colours';
  };
  button.addEventListener('click', () => {
    chosen = !(chosen ?? system.matches);
    paint();
  });
  system.addEventListener('change', paint);
  button.hidden = false;
  paint();
}

async function open(): Promise<void> {
  if (typeof DecompressionStream === 'undefined') {
    throw new Error(NO_INFLATE);
  }
  const elements = [...document.querySelectorAll<HTMLElement>('script[data-kind]')];
  const unpacked = await Promise.all(elements.map((each) => inflate(each.textContent ?? '')));
  const blobs: Record<string, Uint8Array> = {};
  const decoder = new TextDecoder();
  let state: FrozenState | null = null;
  elements.forEach((each, place) => {
    const { kind, name = '' } = each.dataset;
    if (kind === 'bytes') {
      blobs[name] = new Uint8Array(unpacked[place]);
    } else if (kind === 'state') {
      state = JSON.parse(decoder.decode(unpacked[place])) as FrozenState;
    } else {
      append(kind as 'style' | 'script', decoder.decode(unpacked[place]));
    }
    each.remove(); // the text is needed no more
  });
  if (state === null) {
    throw new Error('This page is damaged: it has no state.');
  }
  await window.memvizFrozen.show(state, blobs, [...document.querySelectorAll<HTMLElement>('.memviz-frozen-view')]);
}

const status = byId('memviz-status');
followTheme();
open().then(
  () => {
    status.hidden = true;
    document.documentElement.dataset.state = 'ready';
  },
  (error: unknown) => {
    status.textContent = error instanceof Error ? error.message : String(error);
    status.className = 'memviz-frozen-error';
    document.documentElement.dataset.state = 'failed';
  },
);
