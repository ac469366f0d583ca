/** CSS of the MemoryExplorer's own layout, and of the box that holds several explorers. */

export const MEMORY = `
.memviz-explorer .memviz-memory-picture {
  height: min(var(--memviz-picture-height, 100vh), clamp(320px, 80cqi, 560px));
}
.memviz-memory-choice { display: flex; flex-flow: row wrap !important; gap: 4px 14px; min-width: 0; overflow: visible; }
.memviz-memory-choice .widget-dropdown { flex: 0 1 auto; width: auto; min-width: 0; max-width: 100%; }
.memviz-memory-choice .widget-label { flex: 0 0 auto; width: auto; margin-right: 6px; text-align: left; }
.memviz-memory-choice > :first-child .widget-label { flex-basis: 5.5em; width: 5.5em; }
.memviz-explorer .memviz-caption { width: auto; height: auto; white-space: normal; line-height: 1.35; color: var(--memviz-muted); }
.memviz-unit-order, .memviz-whole-memory { min-width: 0; overflow: visible; }
.memviz-whole-memory .widget-checkbox { width: auto; margin: 0; }
.memviz-explorer .memviz-saturation { width: 100%; max-width: 420px; min-width: 0 !important; height: 320px; }
/* bqplot cannot draw into what has no size: what a tab hides keeps its own, unseen and skipped by the browser */
.memviz-texts > .widget-tab-contents, .memviz-explorer-tabs > .widget-tab-contents { position: relative; }
.memviz-texts > .widget-tab-contents > .lm-mod-hidden, .memviz-explorer-tabs > .widget-tab-contents > .lm-mod-hidden {
  display: block !important; position: absolute; left: 0; right: 0; visibility: hidden !important;
  content-visibility: hidden; pointer-events: none;
}
.memviz-explorer-tabs > .widget-tab-contents { padding: 8px 4px 4px; overflow: visible; }
.memviz-explorers { display: grid !important; grid-template-columns: repeat(auto-fit, minmax(min(100%, 520px), 1fr)); gap: 16px; align-items: start; }
`;
