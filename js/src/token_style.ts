/** CSS of the views of tokens. The colour of a weight is chosen so that text on it stays readable in either theme. */

const LIGHT =
  '--memviz-plus: 66 165 245; --memviz-minus: 245 158 66; --memviz-line-plus: 21 101 192; --memviz-line-minus: 191 54 12;';
const DARK =
  '--memviz-plus: 21 101 192; --memviz-minus: 178 64 16; --memviz-line-plus: 130 177 255; --memviz-line-minus: 255 158 100;';

export const TOKENS = `
.memviz-tokens, .memviz-lines { ${LIGHT} }
@media (prefers-color-scheme: dark) { .memviz-tokens, .memviz-lines { ${DARK} } }
[data-jp-theme-light='true'] :is(.memviz-tokens, .memviz-lines), .vscode-light :is(.memviz-tokens, .memviz-lines) { ${LIGHT} }
[data-jp-theme-light='false'] :is(.memviz-tokens, .memviz-lines), .vscode-dark :is(.memviz-tokens, .memviz-lines) { ${DARK} }
.memviz-tokens, .memviz-lines, .memviz-overlay {
  display: flex; flex-direction: column; gap: 6px; width: auto; min-width: 0; overflow: visible;
}
.memviz-tokens-caption {
  min-width: 0; min-height: 2.7em; line-height: 1.35; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums;
}
.memviz-tokens-body { position: relative; display: flex; flex-direction: column; gap: 8px; max-height: 420px; overflow: hidden auto; }
.memviz-token-list { padding: 3px; line-height: 1.7; }
.memviz-token {
  --memviz-w: 0;
  display: inline-block; box-sizing: border-box; max-width: 100%; min-width: 0.7em; margin: 0 1px; padding: 0 2px;
  border-radius: 2px; background: rgb(var(--memviz-plus) / var(--memviz-w)); color: var(--memviz-text);
  line-height: 1.45; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; text-align: center; cursor: pointer;
}
/* not for each token: a thousand clips on a page cost every frame of it, of any view, some 10 ms */
.memviz-token-stacked { overflow: clip; }
.memviz-token-minus { background: rgb(var(--memviz-minus) / var(--memviz-w)); }
.memviz-token[data-empty] { color: var(--memviz-muted); }
.memviz-token[aria-selected='true'] { box-shadow: 0 0 0 2px var(--memviz-text); color: var(--memviz-text); }
.memviz-token:hover { box-shadow: 0 0 0 1px var(--memviz-muted); }
.memviz-token[aria-selected='true']:hover { box-shadow: 0 0 0 2px var(--memviz-text); }
[data-state='loading'] .memviz-token-list { opacity: 0.5; transition: opacity 120ms linear 120ms; }
.memviz-overlay-body { display: flex; flex-direction: column; gap: 4px; min-width: 0; }
.memviz-overlay-stage { position: relative; width: min(100%, 420px); max-height: 560px; overflow: hidden; cursor: crosshair; }
.memviz-overlay-image, .memviz-overlay-canvas { position: absolute; left: 0; top: 0; display: block; width: 100%; height: 100%; }
.memviz-overlay-canvas { image-rendering: pixelated; }
.memviz-overlay-ring {
  position: absolute; box-sizing: border-box; pointer-events: none; box-shadow: 0 0 0 1px #000000, inset 0 0 0 2px #ffffff;
}
.memviz-overlay-extra { display: block; }
.memviz-overlay-extra .memviz-token { outline: 1px solid var(--memviz-line); margin: 0 3px; padding: 0 5px; }
.memviz-overlay-readout { min-height: 1.4em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.memviz-lines-body {
  display: grid; grid-template-columns: minmax(0, 1fr) minmax(60px, 1fr) minmax(0, 1fr); max-height: 620px; overflow: hidden auto;
}
.memviz-lines .memviz-token-list { padding: 0; }
.memviz-lines .memviz-token {
  display: block; height: 20px; margin: 0; padding: 0 4px; line-height: 20px; overflow: hidden; white-space: pre; text-overflow: ellipsis;
}
.memviz-lines .memviz-token[aria-selected='true'] { box-shadow: inset 0 0 0 2px var(--memviz-text); }
.memviz-lines .memviz-token:hover { box-shadow: inset 0 0 0 1px var(--memviz-muted); }
.memviz-lines-queries .memviz-token { text-align: right; }
.memviz-lines-keys .memviz-token { text-align: left; }
.memviz-lines-drawn { display: block; width: 100%; overflow: visible; pointer-events: none; }
.memviz-line { stroke: rgb(var(--memviz-line-plus)); vector-effect: non-scaling-stroke; }
.memviz-line-minus { stroke: rgb(var(--memviz-line-minus)); }
`;
