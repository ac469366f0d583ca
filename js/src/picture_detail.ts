/**
 * PictureDetail: of a pooled picture that is zoomed, the visible part at the finest grain that the screen can show.
 *
 * In: the picture, the visible part of its axes, the pixels of the plot. Out: a frame of that part, from the kernel.
 * The pooled picture stays beneath: without a kernel, and until the detail comes, that is what is seen.
 */

import type { CellValue, Frame, PageKind, PictureEntry } from './catalog';
import type { Cell } from './cell_readout';
import type { DetailPart } from './cell_values';
import type { Lifetime } from './lifetime';
import { pooledBy } from './shown_picture';
import type { ShownPicture } from './shown_picture';

/** Rest of the cursor before the kernel is asked for a part of another frame: a scrub needs its pages first. */
export const DETAIL_AFTER_MS = 40;
/** Most whole cells on a side; the kernel gives 1,024, and the part may begin and end within a cell. */
const MOST_CELLS = 1022;
/** As DETAIL_KINDS of the kernel. */
const KINDS: readonly PageKind[] = [
  'frame', 'row', 'log', 'mean', 'max', 'difference', 'rollout', 'flow',
  'time', 'timescale', 'similarity', 'wrote', 'wrote_unit', 'reads',
];

type Ends = ArrayLike<number>;

/** What of a picture is visible. `pixels`: of the plot, those of the screen. */
export interface Visible {
  x: Ends;
  y: Ends;
  pixels: { width: number; height: number };
}

export interface Detail extends DetailPart {
  frame: Frame;
}

/** The part to ask for; null where the pooled picture has as much as the screen can show. */
export function detailPart(picture: PictureEntry, { x, y, pixels }: Visible): DetailPart | null {
  const down = cellsAlong(y, picture.full_rows, picture.pool_rows, pixels.height);
  const across = cellsAlong(x, picture.full_cols, picture.pool_cols, pixels.width);
  if (!down || !across || (down.pool === picture.pool_rows && across.pool === picture.pool_cols)) {
    return null;
  }
  return { pools: [down.pool, across.pool], rows: down.cells, cols: across.cells };
}

function cellsAlong(domain: Ends, full: number, most: number, pixels: number): { pool: number; cells: [number, number] } | null {
  const ends = [Number(domain[0]), Number(domain[domain.length - 1])];
  const first = Math.max(0, Math.floor(Math.min(...ends) + 0.5));
  const last = Math.min(full - 1, Math.ceil(Math.max(...ends) - 0.5));
  if (!(last >= first) || !(pixels >= 1)) {
    return null;
  }
  const pool = Math.min(most, Math.ceil((last - first + 1) / Math.min(MOST_CELLS, pixels)));
  return { pool, cells: [Math.floor(first / pool), Math.floor(last / pool) + 1] };
}

/** The same picture in the cells of a detail: as it is read. */
export function inDetail(shown: ShownPicture, detail: Detail): ShownPicture {
  const whole = shown.picture();
  if (!whole) {
    return shown;
  }
  const [pool_rows, pool_cols] = detail.pools;
  const [rows, cols] = [Math.ceil(whole.full_rows / pool_rows), Math.ceil(whole.full_cols / pool_cols)];
  const ask = (row: number, col: number): Promise<CellValue | null> => {
    const place = shown.place();
    const { store } = shown.selection;
    return place ? store.askValue(place.index, shown.flat(), row, col, shown.pageKind, detail.pools) : Promise.resolve(null);
  };
  const picture = { ...whole, rows, cols, pool_rows, pool_cols };
  return Object.assign(Object.create(shown) as ShownPicture, { picture: () => picture, frame: () => detail.frame, ask });
}

/** The cell of the pooled picture in which a cell of the detail lies. */
export function inWhole(cell: Cell, detail: Detail, whole: PictureEntry): Cell {
  return {
    row: Math.floor((cell.row * detail.pools[0]) / whole.pool_rows),
    col: Math.floor((cell.col * detail.pools[1]) / whole.pool_cols),
  };
}

export class PictureDetail {
  /** What is drawn over the pooled picture; it stays where it is while another part is on its way. */
  current: Detail | null = null;
  private frameOf = ''; // which picture `current` is a part of
  private wanted = '';
  private question: (() => Promise<unknown>) | null = null; // the newest, that has not been asked yet
  private asking = false;

  /** `changed`: another detail has come, or it is gone. */
  constructor(
    private readonly life: Lifetime,
    private readonly changed: () => void,
    private readonly report: (error: unknown) => void,
  ) {}

  /** The picture, or what of it is visible, may be another one. */
  follow(shown: ShownPicture, visible: Visible): void {
    const [place, picture] = [shown.place(), shown.picture()];
    const part = place && picture && KINDS.includes(shown.pageKind) ? detailPart(picture, visible) : null;
    const frameOf = place && part ? `${place.index}/${shown.pageKind}/${shown.flat()}/${pooledBy(shown)}` : '';
    const wanted = part ? `${frameOf} ${JSON.stringify(part)}` : '';
    if (wanted === this.wanted) {
      return;
    }
    const scrubbed = frameOf !== this.frameOf && this.frameOf !== '';
    this.wanted = wanted;
    this.frameOf = frameOf;
    if (scrubbed && this.current) {
      this.current = null;
      this.changed();
    }
    const [flat, kind] = [shown.flat(), shown.pageKind];
    this.question = place && part ? () => this.ask(shown, place.index, kind, flat, part, frameOf) : null;
    if (scrubbed) {
      this.life.after('detail', DETAIL_AFTER_MS, () => this.askNewest());
    } else { // not before the event is over, which changes one axis after the other, but before the page is drawn
      queueMicrotask(() => this.askNewest());
    }
  }

  /** One question at a time: the first is asked at once, and of those that come while it is open only the last. */
  private askNewest(): void {
    const { question } = this;
    if (question && !this.asking && !this.life.ended) {
      this.question = null;
      this.asking = true;
      question().catch(this.report).finally(() => {
        this.asking = false;
        this.askNewest();
      });
    }
  }

  private ask(
    shown: ShownPicture, record: number, kind: PageKind, flat: number, part: DetailPart, frameOf: string,
  ): Promise<void> {
    return shown.selection.store.askDetail(record, kind, flat, part).then((page) => {
      if (page && frameOf === this.frameOf && !this.life.ended) { // also of where the zoom was a moment ago
        const [, rows, cols] = page.shape;
        const frame = { codes: page.data as Uint8Array, rows, cols, lo: page.lo[0], hi: page.hi[0] };
        this.current = { ...part, frame: { ...frame, top: part.rows[0], left: part.cols[0] } };
        this.changed();
      }
    });
  }
}
