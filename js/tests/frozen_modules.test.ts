import { describe, expect, it } from 'vitest';

import { FrozenModules } from '../src/frozen_modules';

const base = { name: 'base' };

function modules(): FrozenModules {
  return new FrozenModules({ base });
}

describe('FrozenModules', () => {
  it('hands out what was there from the start', () => {
    expect(modules().load('base')).toBe(base);
  });

  it('makes a module of an anonymous define under the announced name, once', () => {
    const registry = modules();
    let made = 0;
    registry.announce('plot');
    registry.define(['base'], (given: unknown) => ({ given, made: (made += 1) }));
    expect(registry.load('plot')).toEqual({ given: base, made: 1 });
    expect(registry.load('plot')).toBe(registry.load('plot'));
    expect(made).toBe(1);
  });

  it('takes a define with a name of its own under the announced one', () => {
    const registry = modules();
    registry.announce('plot');
    registry.define('other', [], () => 'plot itself');
    expect(registry.load('plot')).toBe('plot itself');
    expect(() => registry.load('other')).toThrow("This page has no module 'other'.");
  });

  it('gives require, exports and module, as CommonJS inside a define needs them', () => {
    const registry = modules();
    registry.announce('own');
    registry.define(['require', 'exports', 'base'], (...given: unknown[]) => {
      const [require, exports, same] = given as [(name: string) => unknown, { found?: boolean }, unknown];
      exports.found = require('base') === same;
    });
    expect(registry.load('own')).toEqual({ found: true });
  });

  it('takes an object for a module', () => {
    const registry = modules();
    registry.announce('data');
    registry.define({ data: 1 });
    expect(registry.load('data')).toEqual({ data: 1 });
  });

  it('is a define that bundles recognise', () => {
    expect((modules().define as { amd?: object }).amd).toBeTruthy();
  });
});
