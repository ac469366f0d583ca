/** CSS of the HealthReport; part of the one style sheet in style.ts. A narrow row stacks its cells. */

export const HEALTH_STYLE = `
.memviz-health {
  --memviz-amber: #a85b00; display: flex; flex-direction: column; gap: 8px; width: auto; min-width: 0; overflow: visible;
  line-height: 1.4; font-variant-numeric: tabular-nums;
}
[data-jp-theme-light='false'] .memviz-health { --memviz-amber: #ffb74d; }
.memviz-health-headline { font-size: 1.25em; font-weight: 600; overflow-wrap: anywhere; }
.memviz-health-advice { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 10px; }
.memviz-health-advice > span { flex: 0 1 auto; min-width: 0; overflow-wrap: anywhere; }
.memviz-health-filter { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 8px; }
.memviz-health-toggle { display: inline-flex; align-items: center; gap: 6px; }
.memviz-health-toggle[aria-pressed='false'] { opacity: 0.65; text-decoration: line-through; background: transparent; }
.memviz-health-count { font-weight: 600; }
.memviz-health-kinds {
  height: 24px; max-width: 100%; border: 1px solid var(--memviz-line); border-radius: 2px; background: var(--memviz-back);
  color: var(--memviz-text); font: inherit;
}
.memviz-health-severity { display: inline-flex; align-items: baseline; gap: 5px; white-space: nowrap; }
.memviz-health-mark { display: inline-block; width: 1.1em; text-align: center; font-weight: 700; color: var(--memviz-muted); }
.memviz-health-severity[data-severity='error'] .memviz-health-mark { color: var(--memviz-error); }
.memviz-health-severity[data-severity='warning'] .memviz-health-mark { color: var(--memviz-amber); }
.memviz-health-table {
  box-sizing: border-box; width: 100%; margin: 0; table-layout: fixed; border-collapse: collapse; border: 0; font-size: inherit;
  color: inherit;
}
.memviz-health-table .memviz-health-title, .memviz-health-table .memviz-health-cell {
  padding: 5px 8px; border: 0; border-bottom: 1px solid var(--memviz-line); background: none; text-align: left;
  vertical-align: top; white-space: normal; overflow-wrap: anywhere; max-width: none; line-height: 1.4;
}
.memviz-health-table .memviz-health-title { color: var(--memviz-muted); font-weight: 600; }
.memviz-health-title:nth-child(1) { width: 6.4em; }
.memviz-health-title:nth-child(2) { width: 24%; }
.memviz-health-title:nth-child(4) { width: 13em; }
.memviz-health-title:nth-child(5) { width: 8em; }
.memviz-health-table .memviz-health-row { background: none; cursor: pointer; }
.memviz-health-table .memviz-health-row:hover { background: var(--memviz-raised); }
.memviz-health-table .memviz-health-row[aria-selected='true'] {
  background: var(--memviz-raised); box-shadow: inset 3px 0 0 var(--memviz-focus);
}
.memviz-explorer .memviz-health-row:focus-visible { outline-offset: -2px; }
.memviz-health-label, .memviz-health-kind, .memviz-health-value { font-weight: 600; }
.memviz-health-label { white-space: pre-wrap; }
.memviz-health-places { display: flex; flex-wrap: wrap; align-items: center; gap: 3px; margin: 3px 0; }
.memviz-health-chip {
  min-width: 24px; min-height: 24px; margin: 0; padding: 1px 5px; border: 1px solid var(--memviz-line); border-radius: 2px;
  background: var(--memviz-back); color: var(--memviz-text); font: inherit; line-height: 1.3; text-align: center;
  overflow-wrap: anywhere; white-space: pre-wrap; cursor: pointer;
}
.memviz-health-chip:hover { border-color: var(--memviz-text); }
.memviz-health-chip[aria-current='true'] { border-color: var(--memviz-focus); box-shadow: inset 0 0 0 1px var(--memviz-focus); }
.memviz-health-chip:disabled { opacity: 0.5; cursor: default; }
.memviz-health-pager { display: flex; align-items: center; gap: 8px; }
.memviz-health-notes { display: flex; flex-direction: column; gap: 6px; }
.memviz-health-notes summary { width: fit-content; cursor: pointer; color: var(--memviz-muted); }
.memviz-health-offer { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 10px; }
.memviz-health-offer .memviz-button { height: auto; min-height: 24px; }
.memviz-health-reason { display: flex; flex-wrap: wrap; align-items: center; gap: 3px 5px; padding: 4px 0 4px 14px; overflow-wrap: anywhere; }
.memviz-health-rules {
  display: grid; grid-template-columns: max-content max-content minmax(0, 1fr); gap: 2px 12px; padding: 4px 0 4px 14px;
}
@container memviz (max-width: 640px) {
  .memviz-health-table, .memviz-health-table tbody { display: block; }
  .memviz-health-table thead { display: none; }
  .memviz-health-table .memviz-health-row {
    display: grid; grid-template-columns: minmax(0, 1fr) auto; border-bottom: 1px solid var(--memviz-line); padding: 4px 0;
  }
  .memviz-health-table .memviz-health-cell { border: 0; padding: 2px 8px; }
  .memviz-health-table .memviz-health-n-cell { order: 1; grid-row: 1; grid-column: 2; color: var(--memviz-muted); }
  .memviz-health-place-cell, .memviz-health-what-cell, .memviz-health-value-cell { grid-column: 1 / -1; }
  .memviz-health-rules { grid-template-columns: max-content minmax(0, 1fr); gap: 0 12px; }
  .memviz-health-rules > :nth-child(3n) { grid-column: 1 / -1; margin-bottom: 6px; }
}
`;
