/**
 * PictureZoom: zoom and pan of a picture by keyboard, and back to all of it by a double click. The wheel and the drag of
 * the mouse are those of bqplot's pan and zoom.
 *
 * In: keys, a double click, the scales. Out: other ends of the scales, within those of the picture.
 */

import type { WidgetModel } from '@jupyter-widgets/base';

import type { Lifetime } from './lifetime';

type Ends = readonly [number, number];

/** By how much a key makes the visible part smaller or larger, and the share of it by which one pans. */
const FACTOR = 1.5;
const PAN = 0.25;
/** Least elements that are seen along an axis. */
const LEAST = 4;

/** What of an axis is seen after a key; null: it changes nothing there. `pan`: shares of it; `factor`: of its length. */
export function seenAfter(seen: Ends, whole: Ends, { factor = 1, pan = 0 }: { factor?: number; pan?: number }): Ends {
  const [first, last] = [Math.min(...seen), Math.max(...seen)];
  const [start, end] = [Math.min(...whole), Math.max(...whole)];
  const length = Math.min(end - start, Math.max(Math.min(LEAST, last - first), (last - first) * factor));
  const middle = (first + last) / 2 + pan * (last - first);
  const from = Math.max(start, Math.min(end - length, middle - length / 2));
  return [from, from + length];
}

export interface ZoomedPicture {
  readonly figure: HTMLElement;
  readonly area: HTMLElement;
  readonly model: {
    mark_data: unknown;
    getScales(): Record<string, WidgetModel & { domain: number[] }>;
    resetZoom(): void;
  };
  /** Whether the scales run against the screen: the first column at the right, the first row at the bottom. */
  readonly flipped: { x: boolean; y: boolean };
}

export class PictureZoom {
  constructor(
    private readonly host: ZoomedPicture,
    life: Lifetime,
  ) {
    // before the reader, whose arrow keys have no Shift
    life.on(host.area, 'keydown', (event) => this.pressed(event), { capture: true });
    life.on(host.figure, 'dblclick', (event) => {
      if (!(event.target instanceof Element && event.target.closest('.toolbar_div'))) {
        this.host.model.resetZoom();
      }
    });
  }

  private pressed(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const { flipped } = this.host;
    const [right, down] = [flipped.x ? -PAN : PAN, flipped.y ? -PAN : PAN];
    const pans: Record<string, [number, number] | undefined> = {
      ArrowLeft: [-right, 0],
      ArrowRight: [right, 0],
      ArrowUp: [0, -down],
      ArrowDown: [0, down],
    };
    const pan = event.shiftKey ? pans[event.key] : undefined;
    if (pan) {
      this.change({ pan: pan[0] }, { pan: pan[1] });
    } else if (event.key === '+' || event.key === '=') {
      this.change({ factor: 1 / FACTOR }, { factor: 1 / FACTOR });
    } else if (event.key === '-') {
      this.change({ factor: FACTOR }, { factor: FACTOR });
    } else if (event.key === '0') {
      this.host.model.resetZoom();
    } else {
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation(); // the reader listens to the same element
  }

  private change(x: Parameters<typeof seenAfter>[2], y: Parameters<typeof seenAfter>[2]): void {
    const { model } = this.host;
    const whole = model.mark_data as { x: Ends; y: Ends } | undefined;
    const scales = model.getScales();
    for (const [name, by] of [['x', x], ['y', y]] as const) {
      const scale = scales[name];
      if (whole && scale && (by.factor || by.pan)) {
        const [min, max] = seenAfter(scale.domain as unknown as Ends, whole[name], by);
        scale.set({ min, max });
        scale.save_changes();
      }
    }
  }
}
