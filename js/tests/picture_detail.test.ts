import { WidgetView } from '@jupyter-widgets/base';
import { describe, expect, it, vi } from 'vitest';

import type { PictureEntry } from '../src/catalog';
import type { DetailPart } from '../src/cell_values';
import { Lifetime } from '../src/lifetime';
import type { Page } from '../src/pages';
import { codeAt } from '../src/paint';
import { DETAIL_AFTER_MS, PictureDetail, detailPart, inWhole } from '../src/picture_detail';
import type { ShownPicture } from '../src/shown_picture';
import { foreign, picture } from './models';

/** 8,192 x 8,192 elements in cells of 8 x 8. */
const large = (): PictureEntry => ({
  ...picture([], 1024, 1024, 1), full_rows: 8192, full_cols: 8192, pool_rows: 8, pool_cols: 8,
});
const pixels = { width: 500, height: 500 };
const zoom = (x: number[], y: number[]) => ({ x, y, pixels });

describe('the part to ask for', () => {
  it('is none where the pooled picture has as much as the screen can show', () => {
    expect(detailPart(large(), zoom([-0.5, 8191.5], [-0.5, 8191.5]))).toBeNull();
    expect(detailPart(large(), zoom([0, 4500], [0, 4500]))).toBeNull();
    expect(detailPart(picture([], 100, 100, 1), zoom([0, 10], [0, 10]))).toBeNull();
  });

  it('has single elements where the pixels are enough for them', () => {
    const part = detailPart(large(), zoom([999.5, 1399.5], [7999.5, 8191.5]));
    expect(part).toEqual({ pools: [1, 1], rows: [8000, 8192], cols: [1000, 1400] });
  });

  it('has cells of as many elements as there are to a pixel, and covers what is seen', () => {
    const part = detailPart(large(), zoom([1000.5, 2000.5], [-0.5, 1499.5]));
    expect(part).toEqual({ pools: [3, 2], rows: [0, 500], cols: [500, 1001] });
  });

  it('goes no further than the picture, in whichever direction its axes run', () => {
    const part = detailPart(large(), zoom([-50, 99.5], [99.5, -50]));
    expect(part).toEqual({ pools: [1, 1], rows: [0, 100], cols: [0, 100] });
    expect(detailPart(large(), zoom([9000, 9100], [0, 100]))).toBeNull();
  });

  it('never has more cells than the kernel gives', () => {
    const huge = { width: 4000, height: 4000 };
    const part = detailPart(large(), { x: [101, 2143.9], y: [101, 2143.9], pixels: huge });
    expect(part && part.cols[1] - part.cols[0]).toBeLessThanOrEqual(1024);
    expect(part?.pools).toEqual([2, 2]);
  });
});

describe('a cell of a detail', () => {
  const frame = { codes: Uint8Array.from([1, 2, 3, 4]), rows: 2, cols: 2, lo: 0, hi: 1, top: 10, left: 20 };

  it('has the code at its place in the whole picture, and none outside of the part', () => {
    expect(codeAt(frame, { row: 11, col: 20 })).toBe(3);
    expect([codeAt(frame, { row: 9, col: 20 }), codeAt(frame, { row: 10, col: 22 })]).toEqual([null, null]);
  });

  it('lies in a cell of the pooled picture', () => {
    const detail = { pools: [2, 1] as [number, number], rows: [0, 9] as [number, number], cols: [0, 9] as [number, number], frame };
    expect(inWhole({ row: 7, col: 17 }, detail, large())).toEqual({ row: 1, col: 2 });
  });
});

describe('the questions to the kernel', () => {
  const world = () => {
    const asked: { part: DetailPart; flat: number; answer: (page: Page | null) => void }[] = [];
    const askDetail = (_record: number, _kind: string, flat: number, part: DetailPart) =>
      new Promise<Page | null>((answer) => asked.push({ part, flat, answer }));
    let flat = 0;
    const shown = {
      selection: { store: { askDetail } }, pageKind: 'frame', place: () => ({ index: 0 }), picture: large, flat: () => flat,
    } as unknown as ShownPicture;
    const view = new WidgetView({ model: foreign({}), options: {} } as never);
    const life = new Lifetime(view, (error) => { throw error; });
    const changed = vi.fn();
    const detail = new PictureDetail(life, changed, (error) => { throw error; });
    const at = (left: number) => detail.follow(shown, zoom([left, left + 100], [0, 100]));
    const page = { shape: [1, 101, 101], data: new Uint8Array(101 * 101), lo: [0], hi: [1] } as unknown as Page;
    return { asked, detail, at, changed, page, scrub: () => (flat += 1) };
  };
  const moment = (ms = 1) => new Promise((done) => setTimeout(done, ms));

  it('are one at a time, the first at once and then the newest', async () => {
    const { asked, at, page } = world();
    at(10);
    at(20);
    await moment();
    expect(asked.map(({ part }) => part.cols[0])).toEqual([20]); // both changes were of one event
    at(30);
    await moment();
    at(40);
    await moment();
    expect(asked.length).toBe(1);
    asked[0].answer(page);
    await moment();
    expect(asked.map(({ part }) => part.cols[0])).toEqual([20, 40]);
  });

  it('have answers that are drawn while a newer part is on its way', async () => {
    const { asked, at, page, detail, changed } = world();
    at(10);
    await moment();
    at(20);
    asked[0].answer(page);
    await moment();
    expect([detail.current?.cols[0], changed.mock.calls.length]).toEqual([10, 1]);
  });

  it('rest while the cursor moves, and what came of another frame is dropped', async () => {
    const { asked, at, page, detail, scrub } = world();
    at(10);
    await moment();
    asked[0].answer(page);
    await moment();
    scrub();
    at(10);
    await moment();
    expect([detail.current, asked.length]).toEqual([null, 1]);
    await moment(DETAIL_AFTER_MS + 10);
    scrub();
    at(10);
    asked[1].answer(page);
    await moment(DETAIL_AFTER_MS + 10);
    expect([detail.current, asked.map(({ flat }) => flat)]).toEqual([null, [0, 1, 2]]);
  });
});
