/** Which pairs of tokens get a line. Pure: a map of weights in, lines out. */

import { isEmptyAt, weightAt } from './attention_rows';
import type { ReadMap } from './attention_rows';

export interface Line {
  query: number;
  key: number;
  weight: number;
}

/** Every pair whose |weight| is `threshold` or more; a weight of exactly 0, or no number, never has a line. */
export function linesAbove(map: ReadMap, queries: number, keys: number, threshold: number): Line[] {
  const lines: Line[] = [];
  for (let query = 0; query < queries; query++) {
    for (let key = 0; key < keys; key++) {
      const weight = weightAt(map, query, key);
      if (Math.abs(weight) >= threshold && weight !== 0 && !isEmptyAt(map, query, key)) {
        lines.push({ query, key, weight });
      }
    }
  }
  return lines;
}

/** The strongest `most` of them, strongest first. */
export function strongest(lines: readonly Line[], most: number): Line[] {
  return [...lines].sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, most);
}
