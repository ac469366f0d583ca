/** CSS of MemoryPanels; part of the one style sheet in style.ts. Heights and widths as memory_panels_layout.ts has them. */

export const MEMORY_PANELS_STYLE = `
.memviz-panels { display: flex; flex-direction: column; gap: 4px; min-width: 0; width: auto; }
.memviz-panels-body { position: relative; min-width: 0; padding: 0 4px; }
.memviz-panels-strips {
  position: relative; margin: 0 -4px; padding: 2px 4px 0; max-height: 724px; overflow: hidden auto; scrollbar-gutter: stable;
  overscroll-behavior: auto;
}
.memviz-panel, .memviz-panels-lit { display: flex; box-sizing: border-box; min-width: 0; padding-bottom: 4px; cursor: pointer; }
.memviz-panels-lit { cursor: default; }
.memviz-panel-name, .memviz-panels-lit-name {
  flex: none; box-sizing: border-box; max-height: 100%; padding-right: 10px; overflow: hidden; font-size: 12px;
  line-height: 15px; overflow-wrap: anywhere; white-space: pre-wrap; unicode-bidi: isolate;
}
.memviz-panel-title { display: block; max-height: 30px; overflow: hidden; }
.memviz-panel[aria-selected='true'] .memviz-panel-title { font-weight: 700; }
.memviz-panel-facts, .memviz-panels-lit-name {
  display: block; overflow: hidden; color: var(--memviz-muted); font-size: 11px; font-variant-numeric: tabular-nums;
}
.memviz-panel-facts { /* two lines of a title and two of facts have just room beside the lowest strip */
  max-height: 24px; line-height: 12px; overflow-wrap: break-word; white-space: normal;
}
.memviz-panels-lit-name, .memviz-panel-stacked .memviz-panel-facts {
  line-height: 15px; white-space: nowrap; text-overflow: ellipsis;
}
.memviz-panel:hover .memviz-panel-facts { max-height: none; white-space: normal; }
.memviz-panel-doubt { color: var(--memviz-error); }
.memviz-panel-stacked { flex-direction: column; }
.memviz-panel-stacked .memviz-panel-name {
  position: relative; display: flex; gap: 8px; height: 18px; padding-right: 0; text-overflow: ellipsis; white-space: pre;
  z-index: 1; /* above the cursor's line */
}
.memviz-panel-strip { position: relative; flex: none; outline: 1px solid var(--memviz-line); }
.memviz-panel:hover .memviz-panel-strip { outline-color: var(--memviz-muted); }
.memviz-panel[aria-selected='true'] .memviz-panel-strip { outline-color: var(--memviz-text); }
.memviz-panel-canvas { position: absolute; left: 0; top: 0; width: 100%; height: 100%; image-rendering: pixelated; }
.memviz-panel-mark { position: absolute; left: -7px; width: 5px; background: var(--memviz-text); pointer-events: none; }
.memviz-panel-note { min-width: 0; overflow: hidden; text-overflow: ellipsis; font-size: 12px; line-height: 15px; }
.memviz-panels-cursor {
  position: absolute; top: 0; width: 1px; background: #ffffff; box-shadow: 0 0 0 1px rgba(0, 0, 0, 0.65); pointer-events: none;
}
.memviz-panels-bars { display: block; flex: none; border-bottom: 1px solid var(--memviz-line); overflow: visible; }
.memviz-panels-bars path { fill: var(--memviz-text); }
.memviz-panels-axis { box-sizing: border-box; font-size: 11px; }
.memviz-panels-ticks { position: relative; height: 16px; }
.memviz-panels-turned .memviz-panels-ticks { height: 70px; }
.memviz-panels-tick {
  position: absolute; top: 2px; white-space: pre; line-height: 13px; transform: translateX(-50%); font-variant-numeric: tabular-nums;
}
.memviz-panels-turned .memviz-panels-tick { transform-origin: right top; transform: translateX(-100%) rotate(-45deg); }
.memviz-panels-axis-name { color: var(--memviz-muted); text-align: center; }
.memviz-panels-caption { color: var(--memviz-muted); font-size: 12px; line-height: 1.35; overflow-wrap: anywhere; }
`;
