/** What CacheEntries says: what the bars are, of an entry, how the cache grows. Numbers in, text out. */

import { evictedOf } from './cache_entries_bars';
import type { EntryBars, EntryRows } from './cache_entries_bars';
import type { CacheEntriesState } from './generated/traits';
import { approximately, byteText, countText } from './number_text';
import type { ShownPart } from './shown_unit';

export type MeasureName = CacheEntriesState['measure'];

/** What is shown of the cache: the rows of one head. */
export interface Entries {
  part: ShownPart;
  rows: EntryRows;
  head: number;
  heads: number;
  count: number;
}

const WHAT: Record<MeasureName, string> = {
  'key norm': 'Length |k| of the key of each entry',
  'value norm': 'Length |v| of the value of each entry',
  'attention received': 'Attention that each entry received: sum of its weights over all queries, mean of the heads that share it',
  'uniform baseline': 'Attention that each entry would receive if every query attended evenly to all it could see',
  'held until': 'Last step at which each entry is in the cache',
  bytes: 'Bytes that this layer holds when each entry has been added, keys and values of all heads and samples',
};

/** What the bars are, of which head and layer (`where`), and what the line and the grey bars mean. */
export function captionText(entries: Entries, name: MeasureName, bars: EntryBars, where: string): string {
  const { rows, head, heads, count } = entries;
  const place = `KV head ${head} of ${countText(heads)}, ${where}`;
  if (rows[name]?.every(Number.isNaN) ?? true) {
    return `No ${name} here: ${unknownWords(entries, name)}. ${place}`;
  }
  const pooled = bars.pool > 1 ? `; 1 of ${countText(bars.pool)} entries shown: the largest` : '';
  const gone = evictedOf(rows['held until'], count).reduce((sum, one) => sum + one, 0);
  const grey = gone > 0 ? `; grey: ${countText(gone)} of ${countText(count)} entries evicted before the last step` : '';
  const line = bars.baseline ? '; line: the same for uniform attention over what each query could see' : '';
  return `${WHAT[name]}, ${place}${line}${grey}${pooled}`;
}

/** Why a measure is of no entry a number. */
function unknownWords({ part }: Entries, name: MeasureName): string {
  if (name !== 'attention received' && name !== 'uniform baseline') {
    return 'it is not known of this cache';
  }
  return part.entry.attention < 0
    ? 'no attention of this recording was found that reads this cache'
    : 'the weights on this cache are too many to be summed while you wait, or their heads do not share its heads evenly';
}

/** The number at the top of the scale. */
export function topText(name: MeasureName, top: number): string {
  return name === 'bytes' ? byteText(top) : approximately(top, 3);
}

/** "adds 2 KiB per step; 48 KiB after 24 steps"; `bytes`: those held after that many entries. */
export function growthWords(bytes: Float32Array | undefined): string {
  const steps = bytes?.length ?? 0;
  const total = bytes?.[steps - 1] ?? NaN;
  if (!bytes || !Number.isFinite(total)) {
    return '';
  }
  const grows = (step: number) => bytes[step] > bytes[step - 1];
  let last = steps - 1;
  while (last > 0 && !grows(last)) {
    last -= 1;
  }
  if (last === 0 && steps > 1) {
    return `${byteText(total)} from the first step on, however much of it is used`;
  }
  const added = steps > 1 ? bytes[1] - bytes[0] : bytes[0];
  const full = last < steps - 1 ? 'from then on, as old entries make room' : '';
  return `adds ${byteText(added)} per step; ${byteText(total)} after ${countText(last + 1)} step${last === 0 ? '' : 's'}${full && `, and ${full}`}`;
}

/** "key norm 1.234; evicted after step 7". */
export function entryWords(rows: EntryRows, measure: string, entry: number): string {
  const value = rows[measure]?.[entry] ?? NaN;
  const shown = measure === 'bytes' ? byteText(value) : approximately(value);
  const known = Number.isNaN(value) ? 'not known' : shown;
  const uniform = rows['uniform baseline']?.[entry] ?? NaN;
  const ratio = measure === 'attention received' && uniform > 0 && !Number.isNaN(value);
  const until = rows['held until']?.[entry] ?? NaN;
  const last = (rows[measure]?.length ?? 0) - 1;
  return [
    `${measure} ${known}${ratio ? ` = ${approximately(value / uniform, 3)} × uniform attention` : ''}`,
    ...(until < last ? [`evicted after step ${until}`] : []),
  ].join('; ');
}
