/** Where the keys lead in a HeadGrid. Pure: a key and a place in, a place out. */

/** A head by its place in the grid. */
export interface HeadPlace {
  row: number;
  position: number;
}

const PAGE_ROWS = 4; // layers that PageUp and PageDown go past

/** Where a key leads from a head; null: nowhere. `counts`: heads per row, each row in lines of `columns`. */
export function headAfter(key: string, at: HeadPlace, counts: readonly number[], columns: number): HeadPlace | null {
  const { row, position } = at;
  const last = counts[row] - 1;
  const column = position % columns;
  switch (key) {
    case 'ArrowLeft':
      return { row, position: Math.max(0, position - 1) };
    case 'ArrowRight':
      return { row, position: Math.min(last, position + 1) };
    case 'ArrowDown':
      return position < lineStart(last, columns)
        ? { row, position: Math.min(last, position + columns) }
        : nearestRow(counts, row + 1, 1, () => column);
    case 'ArrowUp':
      return position >= columns
        ? { row, position: position - columns }
        : nearestRow(counts, row - 1, -1, (end) => lineStart(end, columns) + column);
    case 'Home':
      return { row, position: 0 };
    case 'End':
      return { row, position: last };
    case 'PageUp':
      return nearestRow(counts, Math.max(0, row - PAGE_ROWS), 1, () => column);
    case 'PageDown':
      return nearestRow(counts, Math.min(counts.length - 1, row + PAGE_ROWS), -1, () => column);
    default:
      return null;
  }
}

/** A place in `row`, or in the next one in direction `step` that has heads; null past the ends. */
function nearestRow(
  counts: readonly number[],
  row: number,
  step: number,
  position: (last: number) => number,
): HeadPlace | null {
  for (let at = row; at >= 0 && at < counts.length; at += step) {
    const last = counts[at] - 1;
    if (last >= 0) {
      return { row: at, position: Math.min(position(last), last) };
    }
  }
  return null;
}

/** First position of the line that a position is in. */
function lineStart(position: number, columns: number): number {
  return position - (position % columns);
}
