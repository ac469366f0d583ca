/**
 * Keeps the keys of a focused control for that control.
 *
 * In Notebook 7 the command-mode shortcuts take arrow keys before a slider sees them, unless the focused element itself
 * carries `data-lm-suppress-shortcuts` (an ancestor does not count). Keys held with Ctrl, Meta or Alt, and Shift+Enter,
 * stay with the host: saving and running a cell must work from anywhere.
 */

import type { Lifetime } from './lifetime';

const ATTRIBUTE = 'data-lm-suppress-shortcuts';

function belongsToHost(event: KeyboardEvent): boolean {
  const typed = event.getModifierState('AltGraph'); // "[" is AltGr+8 on many keyboards
  return (!typed && (event.ctrlKey || event.metaKey || event.altKey)) || (event.shiftKey && event.key === 'Enter');
}

/** Applies to whatever has the focus inside `root`, for as long as `life` lasts. */
export function keepKeys(root: HTMLElement, life: Lifetime): void {
  life.on(root, 'focusin', (event) => (event.target as Element).setAttribute(ATTRIBUTE, 'true'));
  life.on(root, 'focusout', (event) => (event.target as Element).removeAttribute(ATTRIBUTE));
  // on the window, in the capture phase: before the shortcuts of the host, which listen on the document
  life.on(
    window,
    'keydown',
    (event) => {
      const target = event.target;
      if (!(target instanceof Element) || !root.contains(target)) {
        return;
      }
      if (belongsToHost(event)) {
        target.removeAttribute(ATTRIBUTE);
      } else {
        target.setAttribute(ATTRIBUTE, 'true');
      }
    },
    { capture: true },
  );
}
