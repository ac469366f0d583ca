/** CSS of the AttentionExplorer's own layout. */

export const ATTENTION = `
.memviz-explorer .memviz-attention-picture {
  height: min(var(--memviz-picture-height, 100vh), clamp(320px, 92cqi, 560px));
}
.memviz-attention-layer { min-width: 0; overflow: visible; }
.memviz-attention-layer .widget-dropdown { flex: 1 1 auto; width: auto; min-width: 0; max-width: 46em; }
.memviz-attention-layer .widget-label { flex: 0 0 5.5em; width: 5.5em; text-align: left; }
.memviz-other-head .widget-hslider { width: auto; min-width: 12em; }
.memviz-texts { min-width: 0; width: auto; }
.memviz-texts .widget-dropdown, .memviz-texts .widget-hslider { width: auto; max-width: 30em; min-width: 0; }
.memviz-texts .widget-label { width: auto; min-width: 0; margin-right: 6px; }
.memviz-texts .widget-tab-contents { padding: 8px 2px 2px; overflow: visible; border-width: 1px 0 0; }
`;
