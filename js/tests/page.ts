/** A page for views in jsdom: a 2-d context that keeps the pixels, views in the document, frames that have passed. */

import type { WidgetModel } from '@jupyter-widgets/base';
import { vi } from 'vitest';

import { ColorMappingModel } from '../src/color_mapping';
import type { SelectionModel } from '../src/selection';
import { make } from './models';

/** What was last put on each canvas, as 32-bit pixels. */
export const pixelsOf = new WeakMap<HTMLCanvasElement, Uint32Array>();

/** jsdom draws nothing: this context remembers putImageData and takes every other call. */
export function fakeCanvas(): void {
  vi.spyOn(HTMLCanvasElement.prototype, 'getContext').mockImplementation(function (this: HTMLCanvasElement) {
    const canvas = this;
    return {
      createImageData: (width: number, height: number) => ({ width, height, data: new Uint8ClampedArray(4 * width * height) }),
      putImageData: (image: { data: Uint8ClampedArray }) => pixelsOf.set(canvas, new Uint32Array(image.data.slice().buffer)),
      clearRect: () => pixelsOf.delete(canvas),
      fillRect: () => undefined,
    } as unknown as CanvasRenderingContext2D;
  } as never);
}

type ViewClass<V> = new (options: never) => V;

/** A view in the document, rendered. */
export function shown<V extends { el: HTMLElement; render(): unknown }>(cls: ViewClass<V>, model: WidgetModel): V {
  const view = new cls({ model, options: {} } as never);
  document.body.append(view.el);
  view.render();
  return view;
}

export function colorsOf(selection: SelectionModel, state: object = {}): ColorMappingModel {
  return make(ColorMappingModel, { selection, ...state });
}

export const nextFrame = (): Promise<unknown> => new Promise((done) => requestAnimationFrame(done));

export function press(target: EventTarget, key: string, more: KeyboardEventInit = {}): KeyboardEvent {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more });
  target.dispatchEvent(event);
  return event;
}

export function all(root: ParentNode, selector: string): HTMLElement[] {
  return [...root.querySelectorAll<HTMLElement>(selector)];
}

/** Text of all elements that match. */
export function texts(root: ParentNode, selector: string): (string | null)[] {
  return all(root, selector).map((found) => found.textContent);
}
