/**
 * ImageOverlay: the weights of the selected query over the input picture, a patch for each key.
 *
 * In: Selection, the choice of a map, pictures. Out: query or key of the Selection, set by click or Enter on a patch.
 * Where only the queries are patches (a text is attended to), the weights that they give the selected key.
 */

import { unpack_models } from '@jupyter-widgets/base';

import type { Side } from './attention_rows';
import type { AttentionEntry } from './catalog';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { imageOverlayDefaults } from './generated/traits';
import type { ImageOverlayState } from './generated/traits';
import { keepKeys } from './host_shortcuts';
import { approximately } from './number_text';
import { paintLine } from './overlay_paint';
import { pictureUrl } from './overlay_picture';
import type { OverlayPicture } from './overlay_picture';
import { gridWords, patchAt } from './patch_grid';
import type { SelectionModel } from './selection';
import { followAttention, pin, pinnedIndex, queryOffset } from './shown_attention';
import { clickTarget, opposite, shownOverlay } from './shown_overlay';
import type { Overlay, OverlayWishes } from './shown_overlay';
import { TokenList } from './token_list';
import { positionWords, tokenText } from './token_texts';
import { lineWords } from './weight_words';

const FADED = 0.35; // of the opacity: the weights before, while others are on their way
const MOST_BOXES = 32; // tokens set apart; more are counted

export class ImageOverlayModel extends DrawnModel<ImageOverlayState> {
  static override serializers = {
    ...DrawnModel.serializers,
    selection: { deserialize: unpack_models },
    choice: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...imageOverlayDefaults() };
  }
}

export class ImageOverlayView extends DrawnView<ImageOverlayState> {
  private caption!: HTMLDivElement;
  private body!: HTMLDivElement;
  private stage!: HTMLDivElement;
  private image!: HTMLImageElement;
  private canvas!: HTMLCanvasElement;
  private ring!: HTMLDivElement;
  private option!: HTMLDivElement;
  private readout!: HTMLDivElement;
  private boxes!: TokenList;
  private boxed = ''; // what the boxes were made for
  private drawnPicture: OverlayPicture | null = null;
  private shown: Overlay | null = null;
  private looked: number | null = null; // patch under the pointer or the keyboard

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  protected build(): void {
    this.el.classList.add('memviz-overlay');
    this.caption = element('div', 'memviz-tokens-caption memviz-note');
    this.body = element('div', 'memviz-overlay-body');
    this.readout = element('div', 'memviz-overlay-readout memviz-note');
    this.readout.setAttribute('aria-live', 'polite');
    this.boxes = new TokenList(this.life, {
      look: () => undefined,
      pin: (index) => this.choose(index),
      describe: (index) => this.words(index),
    });
    this.boxes.el.classList.add('memviz-tokens', 'memviz-overlay-extra');
    this.buildStage();
    this.body.append(this.boxes.el, this.stage, this.readout);
    this.el.append(this.caption, this.body);
    keepKeys(this.el, this.life);
    const traits = ['pictures', 'opacity', 'rows', 'cols', 'extra'];
    this.listenTo(this.model, traits.map((trait) => `change:${trait}`).join(' '), () => this.schedule());
    this.listenTo(this.model, 'change:choice', this.life.guard(() => this.followAgain()));
  }

  private buildStage(): void {
    this.stage = element('div', 'memviz-overlay-stage');
    this.image = element('img', 'memviz-overlay-image');
    this.canvas = element('canvas', 'memviz-overlay-canvas');
    this.ring = element('div', 'memviz-overlay-ring');
    this.option = element('div', 'memviz-spoken');
    this.image.alt = '';
    this.canvas.setAttribute('aria-hidden', 'true');
    // one option stands for the patch that is looked at, as in the contact sheet
    this.option.id = `memviz-patch-${this.cid}`;
    this.option.setAttribute('role', 'option');
    this.option.setAttribute('aria-selected', 'true');
    this.stage.setAttribute('role', 'listbox');
    this.stage.setAttribute('aria-activedescendant', this.option.id);
    this.stage.tabIndex = 0;
    this.stage.append(this.image, this.canvas, this.ring, this.option);
    this.life.on(this.stage, 'pointermove', (event) => this.look(this.patchUnder(event)));
    this.life.on(this.stage, 'pointerleave', () => this.look(null));
    this.life.on(this.stage, 'click', (event) => this.choosePatch(this.patchUnder(event)));
    this.life.on(this.stage, 'keydown', (event) => this.pressed(event));
    this.life.on(this.stage, 'blur', () => this.look(null));
  }

  protected follow(): void {
    followAttention(this.life, this.selection, this.model.trait('choice'), () => this.schedule());
  }

  private followAgain(): void {
    this.life.unfollow();
    this.follow();
    this.schedule();
  }

  // ------------------------------------------------------------------------------------------------------- drawing

  protected draw(): void {
    const found = this.selection ? shownOverlay(this.selection, this.model.trait('choice'), this.wishes()) : '';
    this.shown = typeof found === 'string' ? null : found;
    this.body.hidden = !this.shown;
    this.el.dataset.state = !this.shown ? 'message' : this.shown.line ? 'ready' : 'loading';
    if (typeof found === 'string') {
      setText(this.caption, found);
    } else if (this.selection) {
      this.drawPicture(found);
      this.drawWeights(this.selection, found);
    }
  }

  private wishes(): OverlayWishes {
    const { model } = this;
    const [rows, cols, extra] = [model.trait('rows'), model.trait('cols'), model.trait('extra')];
    return { pictures: model.trait('pictures') ?? [], rows, cols, extra };
  }

  private drawPicture({ picture, grid, line }: Overlay): void {
    if (picture !== this.drawnPicture) {
      this.drawnPicture = picture;
      this.image.src = pictureUrl(picture);
      this.stage.style.aspectRatio = `${picture.width} / ${picture.height}`;
    }
    this.canvas.style.opacity = String(this.model.trait('opacity') * (line ? 1 : FADED));
    this.looked = this.looked !== null && this.looked < grid.rows * grid.cols ? this.looked : null;
  }

  private drawWeights(selection: SelectionModel, overlay: Overlay): void {
    const { attention, patches, grid, map, line } = overlay;
    this.listExtra(selection, overlay);
    this.markPinned();
    if (!map || !line) {
      return;
    }
    paintLine(this.canvas, line, grid, map.kind);
    this.boxes.shade(line);
    const side = opposite(patches);
    const words = lineWords(map, line, {
      side,
      index: pinnedIndex(selection, attention, side),
      name: (dim, index) => this.name(dim, index),
      drawn: 'colour',
      of: 'patches',
      signs: 'red above, blue below the other head',
    });
    const note = overlay.picture.note && `; ${overlay.picture.note}`;
    setText(this.caption, `${words}; ${gridWords(grid)}${note}`);
    this.stage.setAttribute('aria-label', `${words}; ${gridWords(grid)}`);
  }

  /** The tokens before the patches, as labelled boxes. */
  private listExtra(selection: SelectionModel, { grid, attention, patches }: Overlay): void {
    const count = Math.min(grid.extra, MOST_BOXES);
    const label = (index: number): string => this.text(selection, attention, patches, index) ?? `token ${index}`;
    const texts = Array.from({ length: count }, (_, index) => label(index));
    const made = JSON.stringify(texts);
    if (made !== this.boxed) {
      this.boxed = made;
      this.boxes.show(texts, 'tokens that are no patches');
    }
    this.boxes.el.hidden = count === 0;
  }

  private markPinned(): void {
    const at = this.pinnedPatch();
    const { grid } = this.shown as Overlay;
    this.boxes.pin(at !== null && at < grid.extra ? at : -1);
    const patch = this.looked ?? (at === null ? null : at - grid.extra);
    this.ring.hidden = patch === null || patch < 0;
    if (patch !== null && patch >= 0) {
      const [row, col] = [Math.floor(patch / grid.cols), patch % grid.cols];
      Object.assign(this.ring.style, { left: `${(100 * col) / grid.cols}%`, top: `${(100 * row) / grid.rows}%` });
      Object.assign(this.ring.style, { width: `${100 / grid.cols}%`, height: `${100 / grid.rows}%` });
    }
    const words = this.looked === null ? '' : this.words(this.looked + grid.extra);
    setText(this.readout, words);
    setText(this.option, words || (patch === null ? '' : this.words(patch + grid.extra)));
  }

  /** The selected one of the positions that a click sets. */
  private pinnedPatch(): number | null {
    if (!this.selection || !this.shown) {
      return null;
    }
    const { side, shift } = clickTarget(this.shown);
    return pinnedIndex(this.selection, this.shown.attention, side) + shift;
  }

  // --------------------------------------------------------------------------------------------------------- words

  private text(selection: SelectionModel, attention: AttentionEntry, side: Side, index: number): string | null {
    const entry = side === 'query' ? attention.query_tokens : attention.key_tokens;
    return tokenText(selection.store.catalog, entry, Number(selection.get('sample') ?? 0), index);
  }

  private name(side: Side, index: number): string {
    const { attention, patches, grid } = this.shown as Overlay;
    const text = this.selection && this.text(this.selection, attention, side, index);
    const words = positionWords(side, index, text ?? null);
    const patch = side === patches || queryOffset(attention) === 0 ? index - grid.extra : -1;
    return patch < 0 ? words : `${words}, row ${Math.floor(patch / grid.cols)} column ${patch % grid.cols}`;
  }

  /** "key 48, row 3 column 5: ≈ 0.0312". */
  private words(index: number): string {
    const { patches, line } = this.shown as Overlay;
    const name = this.name(patches, index);
    if (!line) {
      return name;
    }
    return `${name}: ${line.empty[index] ? '0, masked or never attended' : `≈ ${approximately(line.weights[index])}`}`;
  }

  // -------------------------------------------------------------------------------------------------------- events

  private patchUnder(event: MouseEvent): number | null {
    const box = this.stage.getBoundingClientRect();
    if (!this.shown || !box.width || !box.height) {
      return null;
    }
    return patchAt(this.shown.grid, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  private look(patch: number | null): void {
    if (patch !== this.looked && this.shown) {
      this.looked = patch;
      this.markPinned();
    }
  }

  private choosePatch(patch: number | null): void {
    if (patch !== null && this.shown) {
      this.choose(patch + this.shown.grid.extra);
    }
  }

  private choose(position: number): void {
    if (!this.selection || !this.shown) {
      return;
    }
    const { side, shift } = clickTarget(this.shown);
    const index = position - shift;
    if (index >= 0) {
      pin(this.selection, side, index);
    }
  }

  private pressed(event: KeyboardEvent): void {
    if (!this.shown || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const { rows, cols, extra } = this.shown.grid;
    const at = this.looked ?? Math.max(0, (this.pinnedPatch() ?? 0) - extra);
    const steps: Record<string, number | undefined> = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -cols,
      ArrowDown: cols,
      Home: -at,
      End: rows * cols - 1 - at,
    };
    const target = at + (steps[event.key] ?? 0);
    if (event.key === 'Enter' || event.key === ' ') {
      this.choosePatch(at);
    } else if (steps[event.key] === undefined) {
      return;
    } else if (target >= 0 && target < rows * cols) {
      this.look(target);
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
