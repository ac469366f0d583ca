/** CSS of the Quiz; part of the one style sheet in style.ts. */

export const QUIZ_STYLE = `
.memviz-quiz { box-sizing: border-box; width: 100%; min-width: 0; padding: 2px; gap: 8px; overflow: visible; }
.memviz-quiz > .jupyter-widgets { margin: 0; }
/* laid out at its full width, so that it is there at once when it is revealed; opacity, for no descendant can undo it */
.memviz-quiz > .memviz-quiz-veiled {
  flex: none; height: 0 !important; min-height: 0 !important; padding: 0 !important; overflow: hidden !important; opacity: 0;
  pointer-events: none; user-select: none;
}
.memviz-quiz-form {
  --memviz-amber: #a85b00; --memviz-green: #1b6e2b; box-sizing: border-box; display: flex; flex-direction: column; gap: 10px; width: auto; min-width: 0;
  padding: 12px 14px; border: 1px solid var(--memviz-line); border-left: 4px solid var(--memviz-focus); border-radius: 3px;
  line-height: 1.45; overflow: visible;
}
[data-jp-theme-light='false'] .memviz-quiz-form { --memviz-amber: #ffb74d; --memviz-green: #81c784; color-scheme: dark; }
.memviz-quiz-question { font-size: 1.15em; font-weight: 600; white-space: pre-wrap; overflow-wrap: anywhere; }
.memviz-quiz-fields { display: flex; flex-wrap: wrap; gap: 8px 24px; }
.memviz-quiz-field { min-width: 0; max-width: 100%; margin: 0; padding: 0; border: 0; }
.memviz-quiz-legend { margin: 0 0 4px; padding: 0; border: 0; width: auto; font-size: inherit; line-height: inherit; color: var(--memviz-muted); }
.memviz-quiz-options { display: flex; flex-wrap: wrap; gap: 6px; }
.memviz-quiz-option {
  display: inline-flex; align-items: center; gap: 6px; min-height: 28px; max-width: 100%; box-sizing: border-box; margin: 0; padding: 2px 10px 2px 7px;
  border: 1px solid var(--memviz-line); border-radius: 14px; background: var(--memviz-back); color: var(--memviz-text); cursor: pointer;
}
.memviz-quiz-option:hover { border-color: var(--memviz-text); }
.memviz-quiz-option:has(:checked) { border-color: var(--memviz-focus); box-shadow: inset 0 0 0 1px var(--memviz-focus); }
.memviz-quiz-option:has(:focus-visible) { outline: 2px solid var(--memviz-focus); outline-offset: 1px; }
.memviz-quiz-field:disabled .memviz-quiz-option { cursor: default; opacity: 0.6; }
.memviz-quiz-field:disabled .memviz-quiz-option:has(:checked) { opacity: 1; }
.memviz-quiz-radio { flex: none; margin: 0; accent-color: var(--memviz-focus); }
.memviz-quiz-form .memviz-quiz-radio:focus-visible { outline: none !important; }
.memviz-quiz-text { min-width: 0; overflow-wrap: anywhere; white-space: pre-wrap; font-variant-numeric: tabular-nums; }
.memviz-quiz-list, .memviz-quiz-number {
  box-sizing: border-box; height: 28px; max-width: 100%; padding: 0 7px; border: 1px solid var(--memviz-line); border-radius: 2px;
  background: var(--memviz-back); color: var(--memviz-text); font: inherit;
}
.memviz-quiz-number { width: 7em; margin-right: 8px; font-variant-numeric: tabular-nums; }
.memviz-quiz-number[aria-invalid='true'] { border-color: var(--memviz-error); }
.memviz-quiz-number[aria-invalid='true'] + .memviz-note { color: var(--memviz-error); }
.memviz-quiz-actions { display: flex; flex-wrap: wrap; align-items: baseline; gap: 6px 14px; }
.memviz-quiz-button { height: auto; min-height: 28px; padding: 3px 14px; line-height: 1.35; text-align: left; overflow-wrap: anywhere; white-space: pre-wrap; }
.memviz-quiz-check:not(:disabled) { border-color: var(--memviz-focus); box-shadow: inset 0 0 0 1px var(--memviz-focus); font-weight: 600; }
.memviz-quiz-hint { flex: 1 1 12em; min-width: 0; }
.memviz-quiz-hint summary { width: fit-content; cursor: pointer; color: var(--memviz-muted); }
.memviz-quiz-hint-text { padding-top: 3px; white-space: pre-wrap; overflow-wrap: anywhere; }
.memviz-quiz-result { font-weight: 600; overflow-wrap: anywhere; }
.memviz-quiz-result:empty { display: none; }
.memviz-quiz-result[data-correct='true'] { color: var(--memviz-green); }
.memviz-quiz-result[data-correct='false'] { color: var(--memviz-amber); }
.memviz-quiz-result[data-correct='true']::before { content: '\\2713\\00a0'; }
.memviz-quiz-result[data-correct='false']::before { content: '\\2715\\00a0'; }
.memviz-quiz-places { display: flex; flex-wrap: wrap; gap: 6px; }
.memviz-quiz-places .memviz-quiz-button[aria-pressed='true'] { border-color: var(--memviz-focus); box-shadow: inset 0 0 0 1px var(--memviz-focus); }
.memviz-quiz-explanation { white-space: pre-wrap; overflow-wrap: anywhere; }
.memviz-quiz-veil {
  display: flex; align-items: center; justify-content: center; min-height: 120px; padding: 12px; text-align: center; color: var(--memviz-muted);
  border: 1px dashed var(--memviz-line); border-radius: 3px;
  background: repeating-linear-gradient(135deg, var(--memviz-raised) 0 10px, transparent 10px 20px);
}
.memviz-quiz-veil-text { padding: 3px 12px; border-radius: 12px; background: var(--memviz-back); }
`;
