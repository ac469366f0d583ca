/** The time axis of MemoryPanels: texts or numbers below the strips, and above them the steps that wrote as bars. */

import { element, setText } from './drawn_view';
import { litBars, timeX } from './memory_panels_layout';
import type { PanelLayout } from './memory_panels_layout';
import { approximately } from './number_text';
import { integerTicks } from './paint';
import { tokenTicks } from './token_axis';
import type { TextAt, TokenTicks } from './token_axis';

const NUMBER_PX = 56; // room for a number of six digits
const BARS_PX = 18; // height of the bars, see .memviz-panels-bars
const SVG = 'http://www.w3.org/2000/svg';

/** Ticks on the time axis: tokens thinned to what can be read, else numbers. */
export function timeTicks(textAt: TextAt | null, { plot, steps }: PanelLayout): TokenTicks {
  if (textAt) {
    return tokenTicks(textAt, 0, steps - 1, plot, false);
  }
  const values = integerTicks(0, steps - 1, Math.max(1, Math.floor(plot / NUMBER_PX)));
  return { values, labels: Object.fromEntries(values.map((value) => [value, String(value)])), turned: false };
}

export class TimeAxis {
  readonly el = element('div', 'memviz-panels-axis');
  private readonly ticks = element('div', 'memviz-panels-ticks');
  private readonly name = element('div', 'memviz-panels-axis-name');
  private key = '';

  constructor() {
    this.el.setAttribute('aria-hidden', 'true'); // what stands there is spoken with the value at the cursor
    this.el.append(this.ticks, this.name);
  }

  /** `textAt`: the text at a timestep; null: there are none. */
  show(textAt: TextAt | null, layout: PanelLayout): void {
    setText(this.name, textAt ? 'time, in steps: tokens' : 'time, in steps');
    const { values, labels, turned } = timeTicks(textAt, layout);
    const now = JSON.stringify([layout, values, labels]);
    if (now === this.key) {
      return;
    }
    this.key = now;
    this.el.classList.toggle('memviz-panels-turned', turned);
    this.el.style.paddingLeft = `${layout.label}px`;
    this.ticks.style.width = `${layout.plot}px`;
    this.ticks.replaceChildren(
      ...values.map((value) => {
        const tick = element('span', 'memviz-panels-tick', labels[value]);
        tick.style.left = `${timeX(layout, value)}px`;
        return tick;
      }),
    );
  }
}

/** How much of what was clicked each step wrote: a bar per step, the longest for the largest share. */
export class WritingSteps {
  readonly el = element('div', 'memviz-panels-lit');
  private readonly name = element('div', 'memviz-panels-lit-name', 'written at');
  private readonly bars = document.createElementNS(SVG, 'svg');
  private readonly path = document.createElementNS(SVG, 'path');
  private lit: readonly number[] | null = null; // what is shown
  private key = '';

  constructor() {
    this.bars.setAttribute('class', 'memviz-panels-bars');
    this.bars.setAttribute('aria-hidden', 'true');
    this.bars.append(this.path);
    this.el.append(this.name, this.bars);
  }

  /** `lit`: a share per timestep; none, or only 0: nothing is shown. */
  show(lit: readonly number[], layout: PanelLayout): void {
    const key = JSON.stringify(layout);
    if (lit === this.lit && key === this.key) {
      return;
    }
    [this.lit, this.key] = [lit, key];
    const largest = lit.reduce((most, share) => (share > most ? share : most), 0);
    this.el.hidden = !(largest > 0);
    if (largest > 0) {
      const heights = litBars(lit, layout.steps, layout.plot);
      this.el.title = `the largest share, ${approximately(largest, 3)}, was written at time ${lit.indexOf(largest)}`;
      this.name.style.width = layout.label ? `${layout.label}px` : '';
      this.el.classList.toggle('memviz-panel-stacked', layout.label === 0);
      this.bars.setAttribute('width', String(heights.length));
      this.bars.setAttribute('height', String(BARS_PX));
      const bar = (share: number, x: number) => `M${x} ${BARS_PX}v${(-share * BARS_PX).toFixed(2)}h1V${BARS_PX}z`;
      this.path.setAttribute('d', Array.from(heights, (share, x) => (share > 0 ? bar(share, x) : '')).join(''));
    }
  }
}
