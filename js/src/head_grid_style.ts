/** CSS of the HeadGrid; part of the one style sheet in style.ts. Heights and widths as head_grid_layout.ts has them. */

export const HEAD_GRID_STYLE = `
.memviz-heads { display: flex; flex-direction: column; gap: 4px; min-width: 0; width: auto; }
.memviz-heads-grid {
  position: relative; box-sizing: border-box; padding: 6px; max-height: 480px; overflow: hidden auto;
  scrollbar-gutter: stable; overscroll-behavior: auto;
}
.memviz-heads-row { display: flex; box-sizing: border-box; min-width: 0; }
.memviz-heads-name {
  flex: none; box-sizing: border-box; max-height: 100%; padding-right: 8px; overflow: hidden; font-size: 12px;
  line-height: 15px; overflow-wrap: anywhere; white-space: pre-wrap; unicode-bidi: isolate;
}
.memviz-heads-stacked { flex-direction: column; }
.memviz-heads-stacked .memviz-heads-name { height: 18px; text-overflow: ellipsis; white-space: pre; }
.memviz-heads-maps { position: relative; flex: 1 1 auto; min-width: 0; min-height: 0; }
.memviz-heads-canvas { position: absolute; left: 0; top: 0; image-rendering: pixelated; }
.memviz-heads-note {
  min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-size: 12px; line-height: 15px;
}
.memviz-head { position: absolute; cursor: pointer; font-size: 11px; line-height: 14px; }
.memviz-head:focus-visible { outline-offset: 4px; } /* around the ring of the selected head, not on it */
.memviz-head-map { outline: 1px solid var(--memviz-line); }
.memviz-head:hover .memviz-head-map { outline-color: var(--memviz-text); }
.memviz-head[aria-selected='true'] .memviz-head-map {
  outline: none; box-shadow: 0 0 0 1px #ffffff, 0 0 0 3px #000000, 0 0 0 4px #ffffff;
}
.memviz-head[aria-selected='true'] .memviz-head-number { font-weight: 700; }
.memviz-head-words {
  display: flex; justify-content: space-between; height: 14px; font-variant-numeric: tabular-nums;
}
.memviz-head-kind {
  min-width: 10px; height: 12px; margin-top: 1px; border-radius: 2px; background: var(--memviz-raised);
  box-shadow: inset 0 0 0 1px var(--memviz-line); text-align: center; font-size: 10px; line-height: 12px; font-weight: 600;
}
.memviz-head-value {
  height: 14px; overflow: hidden; color: var(--memviz-muted); white-space: nowrap; font-variant-numeric: tabular-nums;
}
.memviz-heads-caption {
  color: var(--memviz-muted); font-size: 12px; line-height: 1.35; overflow-wrap: anywhere;
}
`;
