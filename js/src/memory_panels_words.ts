/** What MemoryPanels says: names of the parts of a memory, ranges, the line below. Values in, text out. */

import type { MemoryEntry, PictureEntry } from './catalog';
import type { MemoryPanelsState } from './generated/traits';
import type { StripColors } from './memory_panels_paint';
import { approximately, countText } from './number_text';
import { positionWords } from './token_texts';

export type UnitOrder = MemoryPanelsState['order'];

const PARTS: Record<string, string> = {
  hidden: 'hidden state',
  cell: 'cell state',
  'gate.i': 'input gate i',
  'gate.f': 'forget gate f',
  'gate.g': 'candidate g',
  'gate.o': 'output gate o',
  'gate.r': 'reset gate r',
  'gate.z': 'update gate z',
  'gate.n': 'candidate n',
  'gate.free': 'free gate',
  'gate.allocation': 'allocation gate',
  'gate.write': 'write gate',
  memory: 'content',
  read_weights: 'read weights',
  write_weights: 'write weights',
  read_modes: 'read modes',
  read: 'read vectors',
  erase: 'erase vectors',
  add: 'add vectors',
};
const PHASES: Record<string, string> = {
  after_write: 'A read sees the content after the write.',
  before_write: 'A read sees the content before the write.',
};
const ORDERS: Record<UnitOrder, string> = {
  index: 'Units by index, 0 on top.',
  timescale: 'Units by timescale, the slowest on top.',
  similarity: 'Units in an order in which neighbours are alike.',
};
/** As in memviz_widgets/analysis/memory.py. */
const TRUSTED_RESIDUAL = 1e-4;
const DIGITS = 3; // of a range beside a strip

/** "forget gate f" for "gate.f"; the kind itself where it has no other name. */
export function partName(kind: string): string {
  return PARTS[kind] ?? kind.replace(/_/g, ' ');
}

/** The range of a strip's colours: "0 to 1", "−2.1 to 2.1", "no finite value". */
export function rangeText(colors: StripColors | null): string {
  return colors ? `${approximately(colors.lo, DIGITS)} to ${approximately(colors.hi, DIGITS)}` : 'no finite value';
}

/** That recovered values differ too much from what the module returned; "" where they do not. */
export function distrust(residual: number | null): string {
  const doubtful = residual !== null && !(residual <= TRUSTED_RESIDUAL);
  return doubtful ? `not trusted: off by up to ${approximately(residual, 2)}` : '';
}

/** "64 units", "16 slots", "1 of 4 units": what the rows of a strip are. */
export function unitsText({ row_dim: dim, full_rows: units, pool_rows: pool }: PictureEntry): string {
  const name = dim === 'channel' || !dim ? 'unit' : dim;
  const many = `${countText(units)} ${name}${units === 1 ? '' : 's'}`;
  return pool > 1 ? `${many}, 1 row for ${countText(pool)}` : many;
}

/** "time 12 “the”", or "time 8–15" under a cell that stands for several timesteps. */
export function timeWords(first: number, last: number, text: string | null): string {
  return last > first ? `time ${first}–${last}` : positionWords('time', first, text);
}

/** What the caption is made of. `pinned`, `free`: parts with, and without, a fixed range. `crowded`: see `isCrowded`. */
export interface Caption {
  memory: MemoryEntry;
  sample: string;
  order: UnitOrder;
  pinned: boolean;
  free: boolean;
  crowded: boolean;
}

/** The line below the strips: which memory, what the colours mean, its law. */
export function captionText({ memory, sample, order, pinned, free, crowded }: Caption): string {
  return [
    `Memory ${[memory.label, sample].filter(Boolean).join(', ')}.`,
    pinned ? 'Gates and weights: dark 0, bright 1.' : '',
    free ? 'Other parts: up to their own largest |x|; signed ones white at 0, blue below, orange above.' : '',
    ORDERS[order],
    crowded ? 'Where a pixel stands for several values: the largest |x|.' : '',
    memory.law ? `${memory.law}.` : '',
    PHASES[memory.phase] ?? '',
    memory.note,
  ]
    .filter(Boolean)
    .join(' ');
}
