/** CSS of UnitText and CacheEntries. The underline of a token is as strong as the share that its step wrote. */

export const READINGS = `
.memviz-unit-text-legend, .memviz-unit-text-readout { min-width: 0; line-height: 1.35; overflow-wrap: anywhere; }
.memviz-unit-text-readout { min-height: 1.35em; font-variant-numeric: tabular-nums; }
.memviz-unit-text .memviz-token { border-bottom: 3px solid rgb(var(--memviz-line-minus) / var(--memviz-lit, 0)); }
.memviz-entries { display: flex; flex-direction: column; gap: 4px; width: auto; min-width: 0; font-variant-numeric: tabular-nums; }
.memviz-entries-caption, .memviz-entries-readout, .memviz-entries-growth { min-width: 0; line-height: 1.35; overflow-wrap: anywhere; }
.memviz-entries-readout { min-height: 1.35em; }
.memviz-entries-plot { display: grid; grid-template-columns: 4.5em minmax(0, 1fr); column-gap: 6px; padding-right: 14px; font-size: 11px; }
.memviz-entries-scale { display: flex; flex-direction: column; justify-content: space-between; text-align: right; line-height: 1; }
.memviz-entries-stage {
  position: relative; height: 140px; border-bottom: 1px solid var(--memviz-muted); cursor: pointer; overflow: visible;
}
.memviz-entries-stage svg { display: block; width: 100%; height: 100%; }
.memviz-entries-held { fill: var(--memviz-focus); }
.memviz-entries-evicted { fill: var(--memviz-muted); fill-opacity: 0.5; }
.memviz-entries-baseline { fill: none; stroke: var(--memviz-text); stroke-width: 2px; vector-effect: non-scaling-stroke; }
.memviz-entries-cursor {
  position: absolute; top: 0; bottom: 0; width: 0; border-left: 1px dashed var(--memviz-text); pointer-events: none;
}
.memviz-entries-ticks { grid-column: 2; position: relative; height: 1.6em; }
.memviz-entries-tick { position: absolute; top: 2px; white-space: pre; transform: translateX(-50%); }
.memviz-entries-turned { height: 5.5em; }
.memviz-entries-turned .memviz-entries-tick { transform-origin: 100% 0; transform: translateX(-100%) rotate(-45deg); }
`;
