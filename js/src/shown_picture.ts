/**
 * What a picture shows: the frame of the selected record, or the map of an attention that a PictureChoice names.
 *
 * In: a selection, and a choice where there is one. Out: record, geometry, frame and the words for them, in one shape,
 * so that the heatmap, its reader and the colour bar need not know which of the two it is.
 */

import type { WidgetModel } from '@jupyter-widgets/base';

import type { CellValue, Frame, PictureEntry, Place } from './catalog';
import { indexAlong } from './picture_axes';
import { countText } from './number_text';
import type { PictureKind } from './prefetch';
import type { SelectionModel } from './selection';
import type { TextAt } from './token_axis';
import { tokenText } from './token_texts';

/** Kinds of pages that are drawn as heatmaps. */
export type FrameKind = Exclude<PictureKind, 'series'>;

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
}

/** The choice where there is one, else the frame of the selected record. */
export function shownBy(selection: SelectionModel, choice: ShownPicture | null): ShownPicture {
  return choice ?? new SelectedFrame(selection);
}

/** The texts that stand along a dim of what is shown; null: the recording has none for it. */
export function textsAlong(shown: ShownPicture, dim: string): TextAt | null {
  const { attention, frame } = shown.place()?.record ?? {};
  const entry = dim === 'query' ? attention?.query_tokens : dim === 'key' ? attention?.key_tokens : undefined;
  const { catalog } = shown.selection.store;
  if (!entry || !frame || !catalog.tokens[entry.sequence]) {
    return null;
  }
  const samples = frame.axes.find((axis) => axis.trait === 'sample')?.size ?? 1;
  const sample = indexAlong(shown.selection, 'sample', samples);
  return (index) => tokenText(catalog, entry, sample, index);
}

/** The query whose row alone the picture shows; null: it shows all queries, or none. */
export function onlyQuery(picture: PictureEntry, selection: SelectionModel): number | null {
  const axis = picture.row_dim ? undefined : picture.axes.find(({ trait }) => trait === 'query');
  return axis ? indexAlong(selection, axis.trait, axis.size) : null;
}

/** Whether code 253 of the picture stands for weights that are exactly 0: masked, or never given. */
export function emptyZeros(shown: ShownPicture): boolean {
  return shown.pageKind !== 'difference' && Boolean(shown.place()?.record.attention);
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
