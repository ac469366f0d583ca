/**
 * All CSS of the front end, put into the page once: the Lab and AMD builds need no CSS loader.
 *
 * Colours come from JupyterLab's variables, else VS Code's, else a light or dark set of our own.
 */

import { ATTENTION } from './attention_style';
import { COMPARISON_STYLE } from './comparison_style';
import { HEAD_GRID_STYLE } from './head_grid_style';
import { HEALTH_STYLE } from './health_style';
import { MEMORY_CARD_STYLE } from './memory_card_style';
import { MEMORY_PANELS_STYLE } from './memory_panels_style';
import { MEMORY } from './memory_style';
import { QUIZ_STYLE } from './quiz_style';
import { RECALL_STYLE } from './recall_style';
import { SAVE_STYLE } from './save_style';
import { TOKENS } from './token_style';
import { READINGS } from './unit_text_style';

const STYLE_ID = 'memviz-style';

const COLORS = `
:root {
  --memviz-plain-text: #212121; --memviz-plain-muted: #5f5f5f; --memviz-plain-back: #ffffff;
  --memviz-plain-raised: #f5f5f5; --memviz-plain-line: #bdbdbd; --memviz-plain-focus: #1565c0; --memviz-plain-error: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --memviz-plain-text: #e6e6e6; --memviz-plain-muted: #a8a8a8; --memviz-plain-back: #1c1c1c;
    --memviz-plain-raised: #2a2a2a; --memviz-plain-line: #5c5c5c; --memviz-plain-focus: #82b1ff; --memviz-plain-error: #ff8a80;
  }
}
.memviz-explorer, .memviz-view, .memviz-figure {
  --memviz-text: var(--jp-ui-font-color1, var(--vscode-foreground, var(--memviz-plain-text)));
  --memviz-muted: var(--jp-ui-font-color2, var(--vscode-descriptionForeground, var(--memviz-plain-muted)));
  --memviz-back: var(--jp-layout-color1, var(--vscode-editor-background, var(--memviz-plain-back)));
  --memviz-raised: var(--jp-layout-color2, var(--vscode-editorWidget-background, var(--memviz-plain-raised)));
  --memviz-line: var(--jp-border-color1, var(--vscode-editorWidget-border, var(--memviz-plain-line)));
  --memviz-focus: var(--jp-brand-color1, var(--vscode-focusBorder, var(--memviz-plain-focus)));
  --memviz-error: var(--jp-error-color1, var(--vscode-errorForeground, var(--memviz-plain-error)));
  color: var(--memviz-text);
  font-family: var(--jp-ui-font-family, var(--vscode-font-family, system-ui, sans-serif));
  font-size: var(--jp-ui-font-size1, 13px);
}
/* bqplot: its dark theme writes in orange, and without Jupyter's variables it fills the plot with black */
.memviz-explorer .bqplot, .memviz-figure.bqplot {
  --bq-content-font-color: var(--memviz-text);
  --bq-axislabel-fill: var(--memviz-text);
  --bq-mainheading-fill: var(--memviz-text);
  --bq-axis-tick-text-fill: var(--memviz-text);
  --bq-plotarea-background-fill: transparent;
  --bq-background: transparent;
  --bq-grid-color: var(--memviz-raised);
  --bq-axis-border-color: var(--memviz-muted);
  --bq-axis-path-stroke: var(--memviz-muted);
  --bq-axis-rect-stroke: var(--memviz-muted);
  --bq-axis-tick-stroke: var(--memviz-raised);
  --bq-axis-tick-short-stroke: var(--memviz-muted);
  --bq-font: 11px var(--jp-ui-font-family, sans-serif);
  --bq-axislabel-font: 12px var(--jp-ui-font-family, sans-serif);
}
`;

const SHARED = `
.memviz-view [hidden], .memviz-tooltip[hidden], .memviz-hidden { display: none !important; }
.memviz-spoken {
  position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
.memviz-explorer :focus-visible, .memviz-view :focus-visible, .memviz-image-holder:focus-visible {
  outline: 2px solid var(--memviz-focus) !important; outline-offset: 1px;
}
.memviz-note { color: var(--memviz-muted); }
.memviz-button {
  min-width: 28px; height: 24px; padding: 0 6px; border: 1px solid var(--memviz-line); border-radius: 2px;
  background: var(--memviz-raised); color: var(--memviz-text); font: inherit; line-height: 1; cursor: pointer;
}
.memviz-button:disabled { opacity: 0.4; cursor: default; }
`;

const EXPLORER = `
.memviz-explorer { container: memviz / inline-size; box-sizing: border-box; width: 100%; padding: 2px; min-width: 0; gap: 6px; overflow: visible; }
.memviz-explorer .widget-box { min-width: 0; overflow: visible; }
.memviz-explorer .jupyter-widgets { margin: 0; }
.memviz-explorer .widget-label { color: var(--memviz-text); }
.memviz-axes { display: flex; flex-direction: column; gap: 2px; }
.memviz-axis {
  display: grid !important; align-items: center; column-gap: 10px;
  grid-template-columns: minmax(0, 1fr) 92px;
}
.memviz-axis .widget-hslider { width: auto; min-width: 0; }
.memviz-axis .widget-label { flex: 0 0 5.5em; width: 5.5em; text-align: left; }
.memviz-axis .slider-container { flex: 1 1 60px; min-width: 60px; height: auto; align-self: center; }
.memviz-axis .widget-readout {
  flex: 0 0 4.5em; width: 4.5em; min-width: 0; margin-left: 6px; text-align: right; font-variant-numeric: tabular-nums;
}
.memviz-axis-layer .widget-hslider { padding-right: calc(4.5em + 6px); }
.memviz-axis .widget-play { width: 92px; min-width: 0; display: flex; flex-wrap: nowrap; }
.memviz-axis .widget-play button { flex: 1 1 0; width: auto; min-width: 0; padding: 0; }
.memviz-axis .noUi-target[disabled] { opacity: 0.35; }
.memviz-axis .noUi-target[disabled] .noUi-handle { cursor: not-allowed; }
.memviz-axis .widget-hslider:has(.noUi-target[disabled]) .widget-label,
.memviz-axis .widget-hslider:has(.noUi-target[disabled]) .widget-readout { opacity: 0.5; }
.memviz-axis .memviz-picker { grid-column: 1 / -1; }
.memviz-axis:has(.memviz-step-label) { grid-template-columns: minmax(0, 1fr) auto 92px; }
.memviz-axis .memviz-step-label {
  /* at least as wide as the number in the rows of other axes, less the gap of the grid */
  grid-area: 1 / 2; box-sizing: border-box; max-width: 30cqi; min-width: calc(4.5em - 4px); overflow: hidden; text-align: right;
  text-overflow: ellipsis; white-space: pre; font-variant-numeric: tabular-nums;
}
.memviz-axis:has(.memviz-step-label) .widget-play { grid-area: 1 / 3; }
.memviz-body { display: grid !important; grid-template-columns: minmax(0, 1fr); gap: 10px 16px; align-items: start; }
.memviz-main, .memviz-side { min-width: 0; gap: 6px; }
.memviz-explorer .memviz-picture { width: 100%; min-width: 0 !important; height: clamp(240px, 58cqi, 560px); }
/* the outer ends of d3's axis line look like two more ticks */
.memviz-explorer .memviz-picture .axis path.domain { stroke: none; }
.memviz-explorer .memviz-series { width: 100%; min-width: 0 !important; height: 190px; }
.memviz-colors { display: flex !important; flex-flow: row wrap !important; gap: 4px 14px; }
.memviz-colors .widget-dropdown, .memviz-side .widget-dropdown { flex: 0 1 auto; width: auto; min-width: 0; }
/* ipywidgets draws a black arrow, also on a dark page */
.memviz-explorer .widget-dropdown > select { appearance: auto; background-image: none; }
[data-jp-theme-light='false'] .memviz-explorer { color-scheme: dark; }
.memviz-colors .widget-text { flex: 0 0 auto; width: auto; }
.memviz-colors .widget-hbox { flex: 0 1 auto; flex-wrap: wrap; min-width: 0; gap: 4px 14px; overflow: visible; }
.memviz-colors .widget-text input { width: 7.5em; }
.memviz-colors .widget-label, .memviz-side .widget-label { width: auto; min-width: 0; margin-right: 6px; }
/* beside an open side bar: three buttons and the number must not lie on the slider, nor facts on the layer's name */
@container memviz (max-width: 400px) {
  .memviz-axis { grid-template-columns: minmax(0, 1fr) 66px; column-gap: 4px; }
  .memviz-axis:has(.memviz-step-label) { grid-template-columns: minmax(0, 1fr) auto 66px; }
  .memviz-axis .memviz-step-label { min-width: calc(2.6em - 4px); }
  .memviz-axis .widget-label { flex-basis: 4.7em; width: 4.7em; }
  .memviz-axis .slider-container { flex-basis: 40px; min-width: 40px; margin: 0 8px; }
  .memviz-axis .widget-readout { flex-basis: 2.6em; width: 2.6em; margin-left: 0; padding: 0 2px; }
  .memviz-axis-layer .widget-hslider { padding-right: 2.6em; }
  .memviz-axis .widget-play { width: 66px; }
  .memviz-picker-readout { flex-wrap: wrap; }
}
@container memviz (min-width: 800px) {
  .memviz-body { grid-template-columns: minmax(0, 11fr) minmax(250px, 9fr); }
}
`;

const PICTURE = `
.memviz-image-holder { position: absolute; overflow: hidden; pointer-events: none; z-index: 0; }
.memviz-image { position: absolute; image-rendering: pixelated; transition: opacity 120ms linear; }
.memviz-detail { position: absolute; image-rendering: pixelated; background: var(--memviz-back); }
.memviz-image[data-state='loading'] { opacity: 0.35; transition-delay: 120ms; }
.memviz-image[data-empty='true'] { outline: 1px solid var(--memviz-line); outline-offset: -1px; }
.memviz-image-notice {
  position: absolute; inset: 0; display: flex; align-items: center; justify-content: center; padding: 8px 12px;
  overflow: hidden; overflow-wrap: anywhere; text-align: center; color: var(--memviz-muted);
}
.memviz-no-picture .axis { visibility: hidden; } /* the ticks of nothing */
.memviz-band { fill: none; pointer-events: none; shape-rendering: crispEdges; }
.memviz-band-halo { stroke: #000000; stroke-opacity: 0.65; stroke-width: 3px; }
.memviz-band-line { stroke: #ffffff; stroke-width: 1px; }
.memviz-lit { shape-rendering: crispEdges; }
.memviz-lit-back { fill: #000000; fill-opacity: 0.45; pointer-events: none; }
.memviz-lit-bar { fill: #ffb000; }
.memviz-tooltip {
  position: absolute; z-index: 3; box-sizing: border-box; width: max-content; max-width: 100%; padding: 3px 7px;
  border: 1px solid var(--memviz-line); border-radius: 3px; background: var(--memviz-back); color: var(--memviz-text);
  box-shadow: 0 1px 4px rgba(0, 0, 0, 0.35); font-size: 12px; line-height: 1.35; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; pointer-events: none;
}
.memviz-bar { display: block; width: auto; min-width: 0; padding: 0 4px; }
.memviz-bar-scale { position: relative; }
.memviz-bar-histogram { display: block; width: 100%; height: 34px; color: var(--memviz-muted); }
.memviz-bar-gradient {
  display: block; box-sizing: border-box; width: 100%; height: 13px; outline: 1px solid var(--memviz-line);
}
.memviz-bar-ticks { position: relative; height: 1.5em; font-size: 11px; font-variant-numeric: tabular-nums; }
.memviz-bar-tick { position: absolute; top: 2px; white-space: nowrap; transform: translateX(-50%); }
.memviz-bar-tick[data-end='first'] { transform: none; }
.memviz-bar-tick[data-end='last'] { transform: translateX(-100%); }
.memviz-bar-legend { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 12px; }
.memviz-bar-loud { display: inline-flex; align-items: center; gap: 5px; }
.memviz-bar-swatch { width: 11px; height: 11px; border: 1px solid var(--memviz-muted); }
.memviz-bar-caption { font-size: 12px; line-height: 1.35; overflow-wrap: anywhere; }
.memviz-bar-clipped, .memviz-bar-sampled { color: var(--memviz-muted); }
`;

const PARTS = `
.memviz-summary {
  width: auto; min-width: 0; color: var(--memviz-muted); font-size: 12px; line-height: 1.35; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums;
}
.memviz-sheet { display: flex; flex-direction: column; gap: 4px; min-width: 0; width: auto; }
.memviz-sheet-tiles {
  position: relative; padding: 4px; max-height: 560px; overflow: hidden auto; scrollbar-gutter: stable; cursor: pointer; line-height: 0;
}
.memviz-sheet-canvas { display: inline-block; image-rendering: pixelated; }
.memviz-sheet-ring {
  position: absolute; box-sizing: border-box; pointer-events: none; box-shadow: 0 0 0 2px #ffffff, 0 0 0 4px #000000;
}
.memviz-top-examples { display: flex; flex-direction: column; gap: 4px; min-width: 0; width: auto; }
.memviz-top-title { font-weight: 600; overflow-wrap: anywhere; }
.memviz-top-strip {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(98px, 1fr)); gap: 6px; padding: 3px; max-height: 360px;
  overflow: hidden auto; scrollbar-gutter: stable;
}
.memviz-top-example {
  display: flex; flex-direction: column; align-items: center; gap: 2px; min-width: 0; padding: 4px; cursor: pointer;
  border: 1px solid var(--memviz-line); border-radius: 3px; background: transparent; color: var(--memviz-text);
  font: inherit; font-size: 12px; line-height: 1.25; font-variant-numeric: tabular-nums;
}
.memviz-top-example[aria-pressed='true'] { box-shadow: 0 0 0 2px var(--memviz-text); }
.memviz-top-map { width: 100%; max-width: 72px; image-rendering: pixelated; }
.memviz-top-value { color: var(--memviz-muted); }
.memviz-sheet-pager { display: flex; align-items: center; gap: 8px; }
.memviz-sheet-page { font-variant-numeric: tabular-nums; }
.memviz-picker { display: flex; flex-flow: row wrap; align-items: center; gap: 4px 12px; min-width: 0; width: auto; }
.memviz-picker-readout { display: flex; flex: 1 1 18em; min-width: 0; white-space: pre; }
.memviz-picker-path { display: flex; flex: 0 1 auto; justify-content: flex-end; min-width: 0; overflow: hidden; font-weight: 600; }
.memviz-picker-head { flex: 0 1 auto; min-width: 1ch; overflow: hidden; text-overflow: ellipsis; }
.memviz-picker-tail { flex: none; }
.memviz-picker-facts { flex: 0 4 auto; min-width: 8em; overflow: hidden; text-overflow: ellipsis; color: var(--memviz-muted); }
.memviz-picker-search { position: relative; display: flex; align-items: center; flex: 0 1 16em; gap: 6px; min-width: 8em; }
.memviz-picker-input {
  box-sizing: border-box; flex: 1 1 8em; min-width: 0; height: 26px; padding: 0 7px; border: 1px solid var(--memviz-line);
  border-radius: 2px; background: var(--memviz-back); color: var(--memviz-text); font: inherit;
}
.memviz-picker-input::placeholder { color: var(--memviz-muted); opacity: 1; }
.memviz-picker-count { flex: none; color: var(--memviz-muted); font-variant-numeric: tabular-nums; white-space: nowrap; }
.memviz-picker-count:empty { display: none; }
.memviz-picker-list {
  position: absolute; z-index: 20; right: 0; top: 100%; box-sizing: border-box; width: 30em; min-width: 100%; max-width: 80cqi;
  max-height: 300px; margin: 2px 0 0; padding: 0; overflow: hidden auto; overscroll-behavior: contain; list-style: none;
  border: 1px solid var(--memviz-line); background: var(--memviz-back); box-shadow: 0 3px 10px rgba(0, 0, 0, 0.35);
}
.memviz-picker-space { margin: 0; }
.memviz-picker-option, .memviz-picker-remark {
  display: flex; box-sizing: border-box; height: 24px; margin: 0; padding: 0 8px; line-height: 24px; white-space: pre;
}
.memviz-picker-option { position: absolute; right: 0; left: 0; cursor: pointer; }
.memviz-picker-option .memviz-picker-path { font-weight: 400; }
.memviz-picker-option[aria-selected='true'] {
  background: var(--memviz-raised); box-shadow: inset 3px 0 0 var(--memviz-focus);
}
.memviz-picker-option:hover { background: var(--memviz-raised); }
.memviz-picker-remark { color: var(--memviz-muted); }
.memviz-record { width: auto; min-width: 0; line-height: 1.45; }
.memviz-record-facts { color: var(--memviz-muted); font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.memviz-record-fact { white-space: pre-wrap; }
.memviz-record-message { color: var(--memviz-text); overflow-wrap: anywhere; }
.memviz-record-warning { color: var(--memviz-error); }
.memviz-record-problem { color: var(--memviz-error); white-space: pre-wrap; overflow-wrap: anywhere; }
@media (prefers-reduced-motion: reduce) {
  .memviz-explorer *, .memviz-view *, .memviz-figure * { transition: none !important; animation: none !important; }
}
`;

const CSS = [COLORS, SHARED, EXPLORER, PICTURE, PARTS, ATTENTION, COMPARISON_STYLE, TOKENS, HEAD_GRID_STYLE, HEALTH_STYLE, MEMORY, MEMORY_CARD_STYLE, MEMORY_PANELS_STYLE, QUIZ_STYLE, READINGS, RECALL_STYLE, SAVE_STYLE].join(
  '',
);

/** Puts the style sheet into the page, or brings one of an older version up to date. */
export function injectStyle(page: Document): void {
  let style = page.getElementById(STYLE_ID);
  if (!style) {
    style = page.createElement('style');
    style.id = STYLE_ID;
    page.head.append(style);
  }
  if (style.textContent !== CSS) {
    style.textContent = CSS;
  }
}
