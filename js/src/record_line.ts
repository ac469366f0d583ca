/** RecordLine: the facts about the selected record, and what the user must know about it. */

import { unpack_models } from '@jupyter-widgets/base';

import type { PictureEntry, Place, RecordEntry, StatsEntry } from './catalog';
import { DrawnModel, DrawnView, element, setText } from './drawn_view';
import { recordLineDefaults } from './generated/traits';
import type { RecordLineState } from './generated/traits';
import { approximately, byteText, countText, shareText } from './number_text';
import type { SelectionModel } from './selection';
import { shownBy } from './shown_picture';
import type { ShownPicture } from './shown_picture';
import type { Grain } from './tensor_image_model';

export const BUSY_MESSAGE = 'waiting for the kernel: what is loaded can be scrubbed';

export class RecordLineModel extends DrawnModel<RecordLineState> {
  static override serializers = {
    ...DrawnModel.serializers,
    selection: { deserialize: unpack_models },
    choice: { deserialize: unpack_models },
    image: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...recordLineDefaults() };
  }
}

/** What a record costs that the budget did not hold. A fact, no warning. */
export const ON_DEMAND = 'over the budget: recomputed or read from disk when looked at';

/** Above this error recovered values are not to be trusted: mv.analysis.memory.TRUSTED_RESIDUAL. */
export const TRUSTED_RESIDUAL = 1e-4;

const NOT_TRUSTED = 'not trusted';

/** What the user must know of recovered values; '' of those that agree with what the module returned, or were read. */
export function distrust(residual: number | null): string {
  return residual !== null && !(residual <= TRUSTED_RESIDUAL)
    ? `${NOT_TRUSTED}: recovered values differ by up to ${residualText(residual)} from what the module returned`
    : '';
}

/** JSON has no NaN and Inf: the largest number stands for them. */
function residualText(residual: number): string {
  return residual === Number.MAX_VALUE ? 'NaN' : approximately(residual, 2);
}

/** "(1, 64, 112, 112) batch × channel × height × width", "float32", "3.1 MiB", "min −2.1 max 3.4 ...": the parts of the line. */
export function recordFacts(record: RecordEntry, residual: number | null = null): string[] {
  const { shape, dims, dtype, nbytes, stats } = record;
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const facts = [[tuple, dims.join(' × ')].filter(Boolean).join(' '), dtype, byteText(nbytes)];
  const error = residual === null ? '' : `residual ${residualText(residual)}`;
  return [...facts, ...(stats ? statsFacts(stats) : []), error, record.on_demand ? ON_DEMAND : ''].filter(Boolean);
}

function statsFacts(stats: StatsEntry): string[] {
  const numbers = (['min', 'max', 'mean', 'std'] as const)
    .map((name) => [name, stats[name]] as const)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${approximately(Number(value))}`);
  const facts = [numbers.join(' '), `${shareText(stats.zeros)} zeros`];
  for (const [count, name] of [[stats.nan, 'NaN'], [stats.posinf, '+Inf'], [stats.neginf, '−Inf']] as const) {
    if (count > 0) {
      facts.push(`${countText(count)} ${name}`);
    }
  }
  return facts;
}

/**
 * What a picture hides: "1 of 8 × 8 cells shown: largest |x|"; '' when every cell is there. Of a zoomed one what is drawn
 * of the part that is seen.
 */
export function poolingNote(picture: PictureEntry | null, grain: Grain | null = null): string {
  if (!picture) {
    return '';
  }
  const pools = grain?.detail ?? [picture.pool_rows, picture.pool_cols];
  const crowded = grain?.crowded ? 'the screen has fewer pixels than there are cells: each shows the largest |x| on it' : '';
  if (pools[0] * pools[1] <= 1) {
    return grain?.detail ? 'zoomed: every cell of this part is shown' : crowded;
  }
  const cells = `1 of ${pools.map(countText).join(' × ')} cells shown: largest |x|`;
  return grain?.detail ? `zoomed: ${cells}` : [cells, crowded].filter(Boolean).join('; ');
}

export class RecordLineView extends DrawnView<RecordLineState> {
  private facts!: HTMLDivElement;
  private messages!: HTMLDivElement;
  private problem!: HTMLDivElement;

  protected get selection(): SelectionModel | null {
    return this.model.trait('selection');
  }

  private get shown(): ShownPicture | null {
    return this.selection && shownBy(this.selection, this.model.trait('choice'));
  }

  protected build(): void {
    this.el.classList.add('memviz-record');
    this.facts = element('div', 'memviz-record-facts');
    this.messages = element('div', 'memviz-record-messages');
    this.messages.setAttribute('role', 'status');
    this.messages.setAttribute('aria-live', 'polite');
    this.problem = element('div', 'memviz-record-problem');
    this.problem.setAttribute('role', 'alert');
    this.el.append(this.facts, this.messages, this.problem);
  }

  protected follow(): void {
    this.life.follow(this.selection, 'change place', () => this.schedule());
    this.life.follow(this.model.trait('choice'), 'chosen', () => this.schedule());
    this.life.follow(this.model.trait('image'), 'grain', () => this.schedule());
    this.life.follow(this.selection?.store, 'pages waiting change:problem change:notice change:catalog', () => this.schedule());
  }

  protected draw(): void {
    const place = this.shown?.place() ?? null;
    this.showFacts(place ? recordFacts(place.record, this.residual(place)) : [this.shown?.absence() ?? '']);
    const messages = this.currentMessages();
    const shown = [...this.messages.children].map((line) => line.textContent);
    if (messages.join('\n') !== shown.join('\n')) {
      this.messages.replaceChildren(...messages.map(messageLine));
    }
    const problem = this.selection?.store.trait('problem') ?? '';
    setText(this.problem, problem);
    this.problem.hidden = !problem;
  }

  private residual({ index }: Place): number | null {
    return this.selection?.store.residual(index) ?? null;
  }

  private showFacts(facts: string[]): void {
    if (facts.join(' · ') !== this.facts.textContent) {
      const parts = facts.map((fact, i) => element('span', 'memviz-record-fact', i ? ` · ${fact}` : fact));
      this.facts.replaceChildren(...parts);
    }
  }

  private currentMessages(): string[] {
    const shown = this.shown;
    const store = this.selection?.store;
    const notices = (store?.trait('notice') ?? '').split('\n').filter(Boolean);
    const place = shown?.place();
    if (!shown || !store || !place) {
      return notices;
    }
    const { record } = place;
    const pooling = record.message.includes('largest |x|') ? '' : poolingNote(shown.picture(), this.model.trait('image')?.grain ?? null);
    const refusal = shown.frame() === null && record.frame ? shown.refusal() : '';
    const doubt = record.message.includes(NOT_TRUSTED) ? '' : distrust(this.residual(place));
    const messages = [record.message, doubt, refusal, pooling, store.waiting ? BUSY_MESSAGE : '', ...notices];
    return [...new Set(messages.filter(Boolean))];
  }
}

function messageLine(text: string): HTMLElement {
  const line = element('div', 'memviz-record-message', text);
  line.classList.toggle('memviz-record-warning', text.includes(NOT_TRUSTED));
  return line;
}
