import { WidgetView } from '@jupyter-widgets/base';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { Lifetime } from '../src/lifetime';
import { TokenList } from '../src/token_list';
import { SECTION_TOKENS } from '../src/token_sections';
import { foreign } from './models';
import { all } from './page';

type Look = (entries: { target: Element; isIntersecting: boolean }[]) => void;
let look: Look = () => undefined;
const disconnect = vi.fn();

class Observer {
  constructor(callback: Look) {
    look = callback;
  }
  observe(): void {}
  disconnect = disconnect;
}

afterEach(() => vi.unstubAllGlobals());

function list(count: number) {
  vi.stubGlobal('IntersectionObserver', Observer);
  const view = new WidgetView({ model: foreign({}), options: {} } as never);
  const life = new Lifetime(view, (error) => { throw error; });
  const tokens = new TokenList(life, { look: () => undefined, pin: () => undefined, describe: () => '' });
  tokens.show(Array.from({ length: count }, () => null), 'tokens');
  const strength = (index: number) => all(tokens.el, '.memviz-token')[index].style.getPropertyValue('--memviz-w');
  const shade = (weight: number) => tokens.shade({
    weights: new Float64Array(count).fill(weight), empty: new Uint8Array(count), largest: 1,
  } as never);
  return { life, tokens, strength, shade };
}

describe('a long list of tokens', () => {
  it('has a section for each few lines, with every token in its order', () => {
    const { tokens } = list(2 * SECTION_TOKENS + 1);
    expect([...tokens.el.children].map((section) => section.children.length)).toEqual([SECTION_TOKENS, SECTION_TOKENS, 1]);
    expect(all(tokens.el, '.memviz-token').at(-1)?.textContent).toBe(String(2 * SECTION_TOKENS));
  });

  it('shades what is on the screen, and the rest when it comes there', () => {
    const { tokens, strength, shade } = list(2 * SECTION_TOKENS);
    shade(0.5);
    expect([strength(0), strength(SECTION_TOKENS)]).toEqual(['0.5', '0.5']); // nothing is known of the screen yet
    const [, second] = [...tokens.el.children];
    look([{ target: second, isIntersecting: false }]);
    shade(1);
    expect([strength(0), strength(SECTION_TOKENS)]).toEqual(['1', '0.5']);
    look([{ target: second, isIntersecting: true }]);
    expect(strength(SECTION_TOKENS)).toBe('1');
  });

  it('stays one list where it is short, and lets go of the page in the end', () => {
    const { tokens, life } = list(3);
    expect([...tokens.el.children].map((child) => child.className)).toEqual(Array(3).fill('memviz-token'));
    disconnect.mockClear();
    life.end();
    expect(disconnect).toHaveBeenCalledOnce();
  });
});
