/** CSS of the RecallLab; part of the one style sheet in style.ts. */

export const RECALL_STYLE = `
.memviz-recall-controls, .memviz-recall {
  display: flex; flex-direction: column; gap: 6px; width: auto; min-width: 0; overflow: visible; line-height: 1.4;
  font-variant-numeric: tabular-nums;
}
.memviz-recall-task { font-weight: 600; overflow-wrap: anywhere; }
.memviz-recall-line { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 10px; min-height: 26px; }
.memviz-recall-button { height: 26px; padding: 0 14px; font-weight: 600; }
.memviz-recall-bar { flex: 0 1 220px; min-width: 80px; height: 10px; accent-color: var(--memviz-focus); }
.memviz-recall-progress { flex: 1 1 12em; min-width: 0; overflow-wrap: anywhere; }
.memviz-explorer .memviz-recall-figure { width: 100%; min-width: 0 !important; height: clamp(230px, 42cqi, 380px); }
.memviz-recall-figure .dot { cursor: pointer; }
.memviz-recall-figure .axislabel { pointer-events: none; }
.memviz-recall-scroll { max-width: 100%; overflow-x: auto; padding: 2px; }
.memviz-recall-grid, .memviz-recall-table {
  margin: 0; border: 0; border-collapse: collapse; table-layout: auto; font-size: inherit; color: inherit; text-align: left;
}
.memviz-recall-table { width: 100%; }
.memviz-view .memviz-recall-grid :is(th, td), .memviz-view .memviz-recall-table :is(th, td) {
  padding: 4px 10px; border: 0; border-bottom: 1px solid var(--memviz-line); background: none; color: inherit;
  vertical-align: baseline; line-height: 1.4; white-space: normal; max-width: none; text-align: left; overflow-wrap: anywhere;
}
.memviz-view .memviz-recall-grid :is(th, td):not(:first-child) { text-align: right; white-space: nowrap; min-width: 3.2em; }
.memviz-view .memviz-recall-grid tr:first-child > *, .memviz-view .memviz-recall-table thead th {
  color: var(--memviz-muted); font-weight: 400;
}
.memviz-recall .memviz-recall-name { min-width: 5em; font-weight: 600; }
.memviz-view :is(.memviz-recall-grid, .memviz-recall-table) .memviz-recall-name { max-width: 18em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.memviz-recall-glyph { display: inline-block; width: 1.5em; }
.memviz-view .memviz-recall-grid .memviz-recall-cell[data-state='wrong'] { cursor: pointer; text-decoration: underline dotted; text-underline-offset: 3px; }
.memviz-view .memviz-recall-grid .memviz-recall-cell[data-state='waiting'] { color: var(--memviz-muted); }
.memviz-view .memviz-recall-grid .memviz-recall-cell[data-state='failed'] { color: var(--memviz-error); }
.memviz-view .memviz-recall-grid .memviz-recall-cell[data-shown] { background: var(--memviz-raised); box-shadow: inset 0 -2px 0 var(--memviz-focus); }
.memviz-recall-readout { min-height: 1.4em; overflow-wrap: anywhere; }
.memviz-recall-legend { text-align: center; font-size: 12px; }
.memviz-recall-hint:empty { display: none; }
.memviz-recall-failure {
  display: flex; flex-direction: column; gap: 6px; margin-top: 6px; padding: 8px 10px; border: 1px solid var(--memviz-line);
  border-left: 3px solid var(--memviz-focus);
}
.memviz-recall-heading, .memviz-recall-sentences { overflow-wrap: anywhere; }
.memviz-recall-symbols { display: flex; flex-wrap: wrap; gap: 3px; max-height: 7.5em; overflow: hidden auto; padding: 2px; }
.memviz-recall-symbol {
  box-sizing: border-box; min-width: 1.9em; padding: 1px 4px; border: 1px solid transparent; border-radius: 2px;
  background: var(--memviz-raised); text-align: center; white-space: pre;
}
.memviz-recall-symbol[data-part] { border-color: var(--memviz-focus); font-weight: 700; }
.memviz-recall-symbol[data-part='asked'] { border-style: dashed; }
.memviz-view .memviz-recall-sentences { margin: 0; padding: 0; list-style: none; }
.memviz-view .memviz-recall-sentences > li { margin: 0 0 3px; }
.memviz-recall-lab > .memviz-explorer { margin-top: 6px; }
@container memviz (max-width: 640px) {
  .memviz-recall-table thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .memviz-recall-table tr, .memviz-recall-table tbody { display: block; }
  .memviz-view .memviz-recall-table :is(th, td) { display: block; border: 0; padding: 1px 8px; }
  .memviz-recall-table td:not(:empty)::before { content: attr(data-title) ': '; color: var(--memviz-muted); }
  .memviz-view .memviz-recall-table tr { padding: 4px 0; border-bottom: 1px solid var(--memviz-line); }
}
`;
