/** CSS of MemoryCard: a table whose columns become lines of a row where the page is narrow. */

export const MEMORY_CARD_STYLE = `
.memviz-card { display: flex; flex-direction: column; gap: 6px; width: auto; min-width: 0; container: memviz-card / inline-size; font-variant-numeric: tabular-nums; }
.memviz-card-table + .memviz-card-title, .memviz-card-body + .memviz-card-title { margin-top: 8px; }
.memviz-card-title { font-weight: 600; overflow-wrap: anywhere; }
.memviz-card-state { line-height: 1.35; color: var(--memviz-muted); }
.memviz-view .memviz-card-table {
  width: 100%; margin: 0; border: 0; border-collapse: collapse; table-layout: auto; font-size: inherit; color: inherit; text-align: left;
}
.memviz-view .memviz-card-table th, .memviz-view .memviz-card-table td {
  padding: 4px 12px 4px 0; border: 0; vertical-align: baseline; text-align: left; line-height: 1.35; overflow-wrap: anywhere;
  background: transparent; color: inherit; white-space: normal; max-width: none;
}
.memviz-view .memviz-card-table thead th { padding-bottom: 2px; color: var(--memviz-muted); font-weight: 400; }
.memviz-view .memviz-card-table tbody tr { background: transparent; }
.memviz-view .memviz-card-row > * { border-top: 1px solid var(--memviz-line) !important; }
.memviz-card-row > th { font-weight: 400; }
.memviz-card-value { font-weight: 600; }
.memviz-card-compare, .memviz-card-n { color: var(--memviz-muted) !important; }
.memviz-card-how { white-space: nowrap; }
.memviz-card-method > td { padding: 2px 12px 8px 12px !important; }
.memviz-card-method p { margin: 0 0 4px; max-width: 80ch; line-height: 1.4; overflow-wrap: anywhere; }
.memviz-card-source { color: var(--memviz-muted); }
.memviz-card-lines { margin: 8px 0 0; padding: 0; list-style: none; line-height: 1.4; }
.memviz-card-lines > li { margin: 0; overflow-wrap: anywhere; }
.memviz-card-absent { color: var(--memviz-muted); }
.memviz-card-problems { color: var(--memviz-error); }
.memviz-card-offers { display: flex; margin-top: 8px; flex-wrap: wrap; align-items: center; gap: 4px 8px; }
.memviz-card[data-state='computing'] .memviz-card-body { opacity: 0.5; }
@container memviz-card (max-width: 560px) {
  .memviz-card-table thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .memviz-card-row { display: grid !important; grid-template-columns: minmax(0, 1fr) auto; padding: 4px 0; border-top: 1px solid var(--memviz-line) !important; }
  .memviz-view .memviz-card-row > * { border: 0 !important; padding: 0 8px 0 0; }
  .memviz-card-row > .memviz-card-how { grid-row: 1; grid-column: 2; padding: 0; }
  .memviz-card-row > .memviz-card-value, .memviz-card-row > .memviz-card-compare, .memviz-card-row > .memviz-card-n { grid-column: 1 / -1; }
  .memviz-card-method { display: block !important; }
  .memviz-card-method > td { display: block; }
}
`;
