/** CSS of a comparison: three pictures in a row, the curve above them, the numbers under the pointer below. */

export const COMPARISON_STYLE = `
.memviz-comparison-pictures { display: grid !important; grid-template-columns: minmax(0, 1fr); gap: 10px 14px; align-items: start; }
.memviz-comparison .memviz-comparison-pictures .memviz-picture { height: clamp(200px, 31cqi, 420px); }
.memviz-comparison .widget-label.memviz-comparison-name { width: auto; height: auto; font-weight: 600; line-height: 1.5; text-align: left; }
.memviz-comparison .memviz-colors .widget-dropdown .widget-label, .memviz-comparison .memviz-colors .widget-text .widget-label { width: auto; }
@container memviz (max-width: 799px) {
  .memviz-comparison .memviz-comparison-pictures .memviz-picture { height: clamp(200px, 52cqi, 420px); }
}
@container memviz (min-width: 800px) {
  .memviz-comparison-pictures { grid-template-columns: repeat(3, minmax(0, 1fr)); }
}
.memviz-comparison-facts { display: grid !important; grid-template-columns: repeat(auto-fit, minmax(min(100%, 240px), 1fr)); gap: 4px 14px; align-items: start; }
.memviz-comparison-readout { width: auto; min-width: 0; min-height: 1.5em; }
.memviz-comparison-numbers { display: flex; flex-wrap: wrap; gap: 0 18px; line-height: 1.5; overflow-wrap: anywhere; }
.memviz-comparison-number { font-variant-numeric: tabular-nums; }
.memviz-comparison-where { color: var(--memviz-muted); }
.memviz-curve { display: block; width: auto; min-width: 0; }
.memviz-curve-verdict { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 10px; line-height: 1.5; overflow-wrap: anywhere; }
.memviz-curve-plot { display: block; width: 100%; height: 150px; cursor: pointer; overflow: visible; }
.memviz-curve-plot text { fill: var(--memviz-muted); font-size: 11px; font-variant-numeric: tabular-nums; }
.memviz-curve-grid { stroke: var(--memviz-line); stroke-opacity: 0.5; shape-rendering: crispEdges; }
.memviz-curve-line { fill: none; stroke: var(--memviz-focus); stroke-width: 1.5px; }
.memviz-curve-dot { fill: var(--memviz-focus); }
.memviz-curve-dot[data-state='apart'] { fill: var(--memviz-error); }
.memviz-curve-dot[data-state='unmeasured'] { fill: none; stroke: var(--memviz-muted); }
.memviz-curve-bound { stroke: var(--memviz-error); stroke-dasharray: 4 3; shape-rendering: crispEdges; }
.memviz-curve-cursor { stroke: var(--memviz-text); shape-rendering: crispEdges; }
.memviz-curve-pointed { stroke: var(--memviz-muted); stroke-dasharray: 2 2; shape-rendering: crispEdges; }
.memviz-curve-reading { min-height: 1.5em; line-height: 1.5; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.memviz-curve-unaligned { margin-top: 2px; }
.memviz-curve-unaligned summary { cursor: pointer; }
.memviz-curve-unaligned ul { max-height: 180px; margin: 2px 0 0; padding-left: 22px; overflow: hidden auto; overflow-wrap: anywhere; }
`;
