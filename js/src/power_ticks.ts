/** Ticks of a colour bar over powers of ten, written as the weights that they are. Numbers in, positions and texts out. */

import { tenTo } from './color_range';
import { approximately } from './number_text';
import type { BarTick } from './paint';

/** Both ends of low..high, and the whole decades between them that do not touch each other. `width` in CSS pixels. */
export function powerTicks(low: number, high: number, width: number, character = 7): BarTick[] {
  const text = (power: number): string => approximately(tenTo(power), 2);
  const first = { position: 0, text: text(low) };
  if (!(high > low)) {
    return [first];
  }
  const last = { position: 1, text: text(high) };
  let free = (first.text.length + 2) * character;
  const end = width - (last.text.length + 2) * character;
  const between: BarTick[] = [];
  for (let power = Math.floor(low) + 1; power < high; power++) {
    const tick = { position: (power - low) / (high - low), text: text(power) };
    const half = (tick.text.length * character) / 2;
    if (tick.position * width - half >= free && tick.position * width + half <= end) {
      between.push(tick);
      free = tick.position * width + half + 2 * character;
    }
  }
  return [first, ...between, last];
}
