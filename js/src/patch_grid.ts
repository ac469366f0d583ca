/**
 * Which positions of an attention are patches of a picture, and where they lie in it. Pure: sizes in, a grid out.
 *
 * Positions = extra + rows * cols, row by row; the extra ones (class token, registers) come first.
 */

/** Most tokens that are taken to stand before the patches when nobody says how many. */
export const MOST_EXTRA = 8;
/** A patch whose sides differ by more than this factor is no patch: the picture was resized at most a little. */
const MOST_STRETCH = 1.6;
/** Fewer are no picture. */
const LEAST_PATCHES = 4;
/** What an extra token costs, in stretch (its logarithm): of two grids that fit alike, the one with fewer. */
const EXTRA_COST = 0.02;

export interface PatchGrid {
  rows: number;
  cols: number;
  extra: number;
}

/** The grid of `count` positions over a picture of width x height pixels; a sentence where there is none. */
export function patchGrid(count: number, width: number, height: number, wished: PatchGrid): PatchGrid | string {
  const candidates = wished.rows && wished.cols ? given(count, wished) : inferred(count, wished);
  const allowed = candidates.filter((grid) => isWished(grid, wished));
  if (allowed.length === 0) {
    return impossible(count, wished);
  }
  const cost = (grid: PatchGrid): number => stretch(grid, width, height) + EXTRA_COST * grid.extra;
  const best = allowed.reduce((a, b) => (cost(b) < cost(a) ? b : a));
  const asked = wished.rows > 0 || wished.cols > 0;
  return asked || stretch(best, width, height) <= Math.log(MOST_STRETCH) ? best : unlikely(count, width, height, best);
}

/** The patch at a place of the picture, 0..1 across and down; null beside it. */
export function patchAt({ rows, cols }: PatchGrid, across: number, down: number): number | null {
  const [row, col] = [Math.floor(down * rows), Math.floor(across * cols)];
  return row >= 0 && row < rows && col >= 0 && col < cols ? row * cols + col : null;
}

/** "14 x 14 patches, 1 token apart". */
export function gridWords({ rows, cols, extra }: PatchGrid): string {
  const apart = extra ? `, ${extra} token${extra === 1 ? '' : 's'} apart` : '';
  return `${rows} x ${cols} patches${apart}`;
}

function given(count: number, { rows, cols }: PatchGrid): PatchGrid[] {
  const extra = count - rows * cols;
  return extra >= 0 ? [{ rows, cols, extra }] : [];
}

/** Every way to lay the positions out, with up to MOST_EXTRA (or as many as were wished) before them. */
function inferred(count: number, wished: PatchGrid): PatchGrid[] {
  const extras = wished.extra ? [wished.extra] : Array.from({ length: MOST_EXTRA + 1 }, (_, extra) => extra);
  return extras.filter((extra) => count - extra >= LEAST_PATCHES).flatMap((extra) => {
    const patches = count - extra;
    const sides = Array.from({ length: Math.floor(Math.sqrt(patches)) }, (_, i) => i + 1);
    return sides
      .filter((side) => patches % side === 0)
      .flatMap((side) => [
        { rows: side, cols: patches / side, extra },
        { rows: patches / side, cols: side, extra },
      ]);
  });
}

function isWished(grid: PatchGrid, wished: PatchGrid): boolean {
  return (['rows', 'cols', 'extra'] as const).every((name) => !wished[name] || wished[name] === grid[name]);
}

/** How far from square a patch is: the logarithm of its sides' ratio, 0 = square. */
function stretch({ rows, cols }: PatchGrid, width: number, height: number): number {
  return Math.abs(Math.log(width / cols / (height / rows)));
}

function impossible(count: number, { rows, cols, extra }: PatchGrid): string {
  const wishes = Object.entries({ rows, cols, extra }).filter(([, value]) => value > 0);
  const set = wishes.map(([name, value]) => `${name} = ${value}`).join(', ');
  return `${count} positions do not make a grid${set ? ` with ${set}` : ''}. They must be extra + rows x cols.`;
}

function unlikely(count: number, width: number, height: number, { rows, cols }: PatchGrid): string {
  return (
    `${count} positions are no grid of patches over a picture of ${width} x ${height} pixels: the nearest would be ` +
    `${rows} x ${cols}. If they are patches, set rows and cols of the ImageOverlay.`
  );
}
