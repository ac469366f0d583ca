/**
 * ComparisonReadout: one line with the numbers of the same cell in all pictures of a comparison. Text is never HTML.
 *
 * In: the cell that is read in any of the images. Out: "≈" numbers from their codes at once, the exact ones of the kernel
 * when they have come.
 */

import { unpack_models } from '@jupyter-widgets/base';

import { ASK_AFTER_MS } from './cell_readout';
import type { Cell } from './cell_readout';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { comparisonReadoutDefaults } from './generated/traits';
import type { ComparisonReadoutState } from './generated/traits';
import { approximately } from './number_text';
import { CODE_NEGATIVE_INFINITY, LARGEST_VALUE_CODE, valueOfCode } from './paint';
import type { SelectionModel } from './selection';
import { emptyZeros, poolingWords } from './shown_picture';
import type { TensorImageModel } from './tensor_image_model';

const NOTHING = 'Point at a cell, or focus a picture and use the arrow keys: its numbers in all three stand here.';

export class ComparisonReadoutModel extends DrawnModel<ComparisonReadoutState> {
  static override serializers = {
    ...DrawnModel.serializers,
    selection: { deserialize: unpack_models },
    images: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...comparisonReadoutDefaults() };
  }
}

export class ComparisonReadoutView extends DrawnView<ComparisonReadoutState> {
  private line!: HTMLDivElement;
  private cell: Cell | null = null;
  private exact: (string | null)[] = [];
  private question = 0;

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  private get images(): TensorImageModel[] {
    return this.model.trait('images');
  }

  protected build(): void {
    this.el.classList.add('memviz-comparison-readout');
    this.line = element('div', 'memviz-comparison-numbers');
    this.el.append(this.line);
  }

  protected follow(): void {
    for (const image of this.images) {
      this.life.follow(image, 'pointed', () => this.read(image.pointed));
      this.life.follow(image.trait('selection'), 'change place', () => this.read(this.cell));
      this.life.follow(image.trait('selection').store, 'pages', () => this.schedule());
    }
  }

  protected draw(): void {
    const { cell } = this;
    const texts = cell ? this.images.map((image, i) => this.exact[i] ?? approximateText(image, cell)) : [];
    if (!cell || texts.some((text) => text === '')) {
      setText(this.line, NOTHING);
      this.line.classList.add('memviz-note');
      return;
    }
    this.line.classList.remove('memviz-note');
    const names = this.model.trait('names');
    const numbers = texts.map((text, i) => element('span', 'memviz-comparison-number', `${names[i] ?? ''}: ${text}`));
    this.line.replaceChildren(element('span', 'memviz-comparison-where', whereText(this.images[0], cell)), ...numbers);
  }

  /** Says the approximate numbers now, and asks for the exact ones when the pointer rests. */
  private read(cell: Cell | null): void {
    this.cell = cell;
    this.exact = [];
    const question = ++this.question;
    this.life.cancel('ask');
    if (cell) {
      this.life.after('ask', ASK_AFTER_MS, () => this.images.forEach((image, i) => this.ask(image, i, cell, question)));
    }
    this.schedule();
  }

  private ask(image: TensorImageModel, i: number, cell: Cell, question: number): void {
    image.shown.ask(cell.row, cell.col).then(
      (answer) => {
        if (answer && question === this.question && !this.life.ended) {
          this.exact[i] = answer.text;
          this.schedule();
        }
      },
      (error) => this.selection?.store.report(error),
    );
  }
}

/** "≈ 0.82", "NaN"; "" where the page has not come or the picture has no such cell. */
function approximateText(image: TensorImageModel, cell: Cell): string {
  const frame = image.picture && image.shown.frame();
  if (!frame || cell.row >= frame.rows || cell.col >= frame.cols) {
    return '';
  }
  const code = frame.codes[cell.row * frame.cols + cell.col];
  if (code === CODE_NEGATIVE_INFINITY && emptyZeros(image.shown)) {
    return '0'; // a weight that was masked
  }
  const value = valueOfCode(code, frame.lo, frame.hi);
  return code > LARGEST_VALUE_CODE ? approximately(value) : `≈ ${approximately(value)}`;
}

/** "channel 3, height 2, width 5"; of a pooled picture the elements of which the largest are said. */
function whereText(image: TensorImageModel, cell: Cell): string {
  const { picture, shown } = image;
  if (!picture) {
    return '';
  }
  const row = along(picture.row_dim, cell.row, picture.pool_rows, picture.full_rows);
  const col = along(picture.col_dim, cell.col, picture.pool_cols, picture.full_cols);
  const pooled = picture.pool_rows * picture.pool_cols > 1 ? `${poolingWords(shown)} of each at ` : '';
  return pooled + [...shown.words(), row, col].filter(Boolean).join(', ');
}

function along(dim: string, cell: number, pool: number, size: number): string {
  const first = cell * pool;
  const last = Math.min(first + pool, size) - 1;
  return dim && `${dim} ${first}${last > first ? `–${last}` : ''}`;
}
