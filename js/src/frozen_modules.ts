/**
 * The modules of a frozen page: a registry for the AMD bundles that are inlined in it (bqplot, bqscales, our own).
 *
 * In: `define` calls of the bundles, each under the name that was announced just before. Out: modules by name. What is
 * asked for and not in the page is an error: nothing is ever loaded from elsewhere.
 */

type Factory = (...dependencies: unknown[]) => unknown;

interface Defined {
  dependencies: string[];
  factory: Factory | object;
}

export class FrozenModules {
  private readonly defined = new Map<string, Defined>();
  private readonly made: Map<string, unknown>;
  private nextName = '';

  /** `made`: modules that are there from the start. */
  constructor(made: Record<string, unknown>) {
    this.made = new Map(Object.entries(made));
    // AMD: bundles look for this mark before they call define
    (this.define as { amd?: object }).amd = {};
  }

  /** The bundle that comes next is this module. */
  announce(name: string): void {
    this.nextName = name;
  }

  /** The `define` of AMD, with or without a name of its own, which is not used. */
  readonly define = (...words: unknown[]): void => {
    const factory = words[words.length - 1] as Factory | object;
    const dependencies = words.find((word): word is string[] => Array.isArray(word)) ?? [];
    this.defined.set(this.nextName, { dependencies, factory });
  };

  /** The module of this name; made at the first call. */
  load(name: string): unknown {
    const known = this.made.get(name);
    if (known !== undefined) {
      return known;
    }
    const defined = this.defined.get(name);
    if (!defined) {
      throw new Error(`This page has no module '${name}'.`);
    }
    const module = { exports: {} as unknown };
    const given: Record<string, unknown> = {
      require: (wanted: string) => this.load(wanted),
      exports: module.exports,
      module,
    };
    const { dependencies, factory } = defined;
    const out = typeof factory === 'function' ? factory(...dependencies.map((each) => given[each] ?? this.load(each))) : factory;
    const made = out === undefined ? module.exports : out;
    this.made.set(name, made);
    return made;
  }
}
