/** What a row or column of weights shows, as one sentence. Pure: numbers and names in, text out. */

import type { AttentionMap, ReadMap, Side, WeightLine } from './attention_rows';
import { approximately, countText } from './number_text';

const MAP_WORDS: Record<AttentionMap, string> = {
  weights: 'weight',
  row: 'share of its row',
  log: 'weight',
  mean: 'mean weight of the heads',
  max: 'largest weight of the heads',
  difference: '|difference| of two heads',
  rollout: 'rollout',
  flow: 'flow',
};

/**
 * `name`: how a position of a side is called. `drawn`: what stands for a weight, "background" say. `of`: what the
 * largest was looked for in; the row or column where nothing is said. `signs`: how a difference tells above from below.
 */
export interface LineNames {
  side: Side;
  index: number;
  name(side: Side, index: number): string;
  drawn: string;
  of?: string;
  signs: string;
}

/** What a number of this map is called. */
export function mapWords(kind: AttentionMap): string {
  return MAP_WORDS[kind];
}

/** 'From query 5 “play”: background = weight ÷ largest of the row, ≈ 0.41 (key 3 “the”)'. */
export function lineWords({ picture, kind, mean }: ReadMap, line: WeightLine, names: LineNames): string {
  const { side, index, name, drawn, of, signs } = names;
  const [start, across, other]: [string, string, Side] =
    side === 'query' ? ['From', 'row', 'key'] : ['To', 'column', 'query'];
  const together = side === 'query' ? picture.pool_rows : picture.pool_cols;
  const what = `${start} ${name(side, index)}${together > 1 ? `, with its neighbours (${together} together)` : ''}`;
  if (line.peak < 0) {
    const nothing = line.empty.every(Boolean) ? 'every weight is exactly 0' : 'no weight is above 0';
    return `${what}: ${nothing}, masked or never attended`;
  }
  const largest = `≈ ${approximately(line.largest)} (${name(other, line.peak)})`;
  const pooled = line.pool > 1 ? `; 1 of ${countText(line.pool)} weights shown: the ${mean ? 'mean' : 'largest'}` : '';
  const above = kind === 'difference' ? `; ${signs}` : '';
  return `${what}: ${drawn} = ${mapWords(kind)} ÷ largest of the ${of ?? across}, ${largest}${pooled}${above}`;
}
