/**
 * What a picture shows: the frame of the selected record, or the map of an attention or a memory that a choice names.
 *
 * In: a selection, and a choice where there is one. Out: record, geometry, frame and the words for them, in one shape,
 * so that the heatmap, its reader and the colour bar need not know which of the two it is.
 */

import type { WidgetModel } from '@jupyter-widgets/base';

import { isProvenance } from './catalog';
import type { CellValue, Frame, PageKind, PictureEntry, Place, TokensEntry } from './catalog';
import type { FrameStoreState } from './generated/traits';
import { indexAlong } from './picture_axes';
import { countText } from './number_text';
import type { PictureKind } from './prefetch';
import type { SelectionModel } from './selection';
import type { TextAt } from './token_axis';
import { tokenText } from './token_texts';

/** Kinds of pages that are drawn as heatmaps. */
export type FrameKind = Exclude<PictureKind, 'series'>;

/** Dims whose positions are timesteps: the texts of a memory stand along them. */
const TIME_DIMS = ['time', 'read at', 'written at'];
/** Of a record of attention, pages whose code 253 is no exact 0. */
const SIGNED_KINDS: PageKind[] = ['difference', 'time', 'timescale', 'similarity'];

export interface ShownPicture {
  readonly selection: SelectionModel;
  /** Says `events` when anything below may have changed, and 'place' when it is another record or kind. */
  readonly subject: WidgetModel;
  readonly events: string;
  /** The page that the picture is in. */
  readonly pageKind: FrameKind;
  place(): Place | null;
  picture(): PictureEntry | null;
  /** Why there is no picture: a sentence. */
  absence(): string;
  flat(): number;
  frame(): Frame | null;
  refusal(): string;
  /** "sample 0", "channel 17": which of the record's frames it is; with " of " also how many there are, and its limits. */
  words(of?: string): string[];
  /** The exact value of a cell, from the kernel. */
  ask(row: number, col: number): Promise<CellValue | null>;
  /** Moves the selection to what the picture shows at these indices of its axes. */
  select(indices: Record<string, number>): void;
  /** Index that each row stands for; null: each for its own; empty: it has not come yet. */
  rowOrder?(): ArrayLike<number> | null;
  /** How the rows are ordered: "by time constant, longest first"; '' for their own order. */
  orderWords?(): string;
  /** Puts out what a click lit up. */
  release?(): void;
}

/** The index that a row of the picture stands for; null: it is not known yet. */
export function indexOfRow(shown: ShownPicture, row: number): number | null {
  const order = shown.rowOrder?.() ?? null;
  return order === null ? row : (order[row] ?? null);
}

/** The row of the picture that an index stands in; -1: in none, or it is not known yet. */
export function rowOfIndex(shown: ShownPicture, index: number): number {
  const order = shown.rowOrder?.() ?? null;
  return order === null ? index : Array.prototype.indexOf.call(order, index);
}

/** What a cell that stands for several elements shows of them. */
export function pooledBy({ selection }: ShownPicture): FrameStoreState['pooled_by'] {
  return selection.store.trait('pooled_by');
}

/** "largest |x|", or "mean": the same as people read it. */
export function poolingWords(shown: ShownPicture): string {
  return pooledBy(shown) === 'mean' ? 'mean' : 'largest |x|';
}

/** The choice where there is one, else the frame of the selected record. */
export function shownBy(selection: SelectionModel, choice: ShownPicture | null): ShownPicture {
  return choice ?? new SelectedFrame(selection);
}

/** The texts that stand along a dim of what is shown; null: the recording has none for it. */
export function textsAlong(shown: ShownPicture, dim: string): TextAt | null {
  const entry = tokensAlong(shown, dim);
  const picture = shown.picture();
  const { catalog } = shown.selection.store;
  if (!entry || !picture || !catalog.tokens[entry.sequence]) {
    return null;
  }
  const samples = picture.axes.find((axis) => axis.trait === 'sample')?.size ?? 1;
  const sample = indexAlong(shown.selection, 'sample', samples);
  return (index) => tokenText(catalog, entry, sample, index);
}

function tokensAlong(shown: ShownPicture, dim: string): TokensEntry | undefined {
  const { attention, memory } = shown.place()?.record ?? {};
  switch (dim) {
    case 'query':
      return attention?.query_tokens;
    case 'key':
      return attention?.key_tokens;
    default:
      return TIME_DIMS.includes(dim) ? memory?.tokens : undefined;
  }
}

/** The query whose row alone the picture shows; null: it shows all queries, or none. */
export function onlyQuery(picture: PictureEntry, selection: SelectionModel): number | null {
  const axis = picture.row_dim ? undefined : picture.axes.find(({ trait }) => trait === 'query');
  return axis ? indexAlong(selection, axis.trait, axis.size) : null;
}

/** Whether code 253 of the picture stands for what is exactly 0: weights that were masked or never given, no share. */
export function emptyZeros(shown: ShownPicture): boolean {
  const weights = Boolean(shown.place()?.record.attention) && !SIGNED_KINDS.includes(shown.pageKind);
  return weights || isProvenance(shown.pageKind);
}

/** Why a cell of such a picture is exactly 0. */
export function zeroReason(shown: ShownPicture): string {
  return isProvenance(shown.pageKind) ? 'nothing that was written then is in it' : 'masked or never attended';
}

/** The frame of the selected record. */
class SelectedFrame implements ShownPicture {
  readonly events = 'change place';
  readonly pageKind = 'frame';

  constructor(readonly subject: SelectionModel) {}

  get selection(): SelectionModel {
    return this.subject;
  }

  place(): Place | null {
    return this.subject?.place() ?? null;
  }

  picture(): PictureEntry | null {
    return this.place()?.record.frame ?? null;
  }

  absence(): string {
    const place = this.place();
    return place ? place.record.message || 'nothing to show' : this.subject.absence();
  }

  flat(): number {
    const picture = this.picture();
    return picture ? this.subject.flat(picture) : 0;
  }

  frame(): Frame | null {
    const place = this.place();
    return place && this.subject.store.frame(place.index, 'frame', this.flat());
  }

  refusal(): string {
    const place = this.place();
    return place ? this.subject.store.refusal(place.index, 'frame') : '';
  }

  words(of = ''): string[] {
    const picture = this.picture();
    return picture ? axisWords(picture, this.subject, of) : [];
  }

  ask(row: number, col: number): Promise<CellValue | null> {
    const place = this.place();
    return place ? this.subject.store.askValue(place.index, this.flat(), row, col) : Promise.resolve(null);
  }

  select(indices: Record<string, number>): void {
    Object.entries(indices).forEach(([axis, index]) => this.subject.move(axis, index));
  }
}

/** "channel 17", or with " of " as separator "channel 17 of 64", for each slider axis with more than one position. */
export function axisWords(picture: PictureEntry, selection: SelectionModel, of = ''): string[] {
  return picture.axes
    .filter((axis) => axis.size > 1)
    .map((axis) => {
      const index = indexAlong(selection, axis.trait, axis.size);
      return `${axis.dim} ${index}${of && of + countText(axis.size)}`;
    });
}
