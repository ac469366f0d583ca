/**
 * Where the tiles of a contact sheet come from: the record's "sheet" frames, or, where every cell of the loaded main
 * frame belongs to one channel, that frame itself, so that moving along its other axis needs no page.
 */

import type { Frame, PictureEntry, Place } from './catalog';
import type { ColorMappingModel } from './color_mapping';
import { indexAlong } from './picture_axes';
import type { SelectionModel } from './selection';

export interface TileSource {
  /** The tile of a channel; null while its page is on its way. */
  tile(channel: number): Frame | null;
  /** Its colours, in the range of the heatmap. */
  table(tile: Frame): Uint32Array;
  /** Whether a tile is one value. */
  single: boolean;
  /** Height / width of the pictures on the tiles. */
  tall: number;
}

/** Null when the record has no channels. */
export function tileSource(place: Place, selection: SelectionModel, colors: ColorMappingModel): TileSource | null {
  const { frame: picture, sheet } = place.record;
  const { store } = selection;
  const main = picture && store.frame(place.index, 'frame', selection.flat(picture));
  const [vmin, vmax] = colors.range(place, main);
  if (picture && main && channelsAreCells(picture)) {
    const table = colors.table(main, vmin, vmax);
    return { tile: (channel) => cellTile(picture, main, channel, selection), table: () => table, single: true, tall: 1 };
  }
  return (
    sheet && {
      tile: (channel) => store.frame(place.index, 'sheet', selection.flat(sheet, { channel })),
      table: (tile) => colors.table(tile, vmin, vmax),
      single: sheet.rows * sheet.cols === 1,
      tall: sheet.full_rows / Math.max(1, sheet.full_cols),
    }
  );
}

/** Whether each cell of the picture belongs to one channel: then its tiles are in the main frame already. */
function channelsAreCells(picture: PictureEntry): boolean {
  const { row_trait, col_trait, pool_rows, pool_cols } = picture;
  return (row_trait === 'channel' || col_trait === 'channel') && pool_rows === 1 && pool_cols === 1;
}

/** The 1x1 tile of `channel`: its cell in the row (or column) of the other axis that the selection is at. */
function cellTile(picture: PictureEntry, main: Frame, channel: number, selection: SelectionModel): Frame | null {
  const across = picture.col_trait === 'channel';
  const other = across ? picture.row_trait : picture.col_trait;
  const along = other ? indexAlong(selection, other, across ? main.rows : main.cols) : 0;
  const cell = across ? along * main.cols + channel : channel * main.cols + along;
  return cell < main.codes.length
    ? { codes: main.codes.subarray(cell, cell + 1), rows: 1, cols: 1, lo: main.lo, hi: main.hi }
    : null;
}
