/** CSS of the head of an explorer and of its SaveMenu; part of the one style sheet in style.ts. */

export const SAVE_STYLE = `
.memviz-top { display: flex !important; flex-flow: row wrap !important; align-items: center; gap: 2px 12px; }
.memviz-top > .memviz-summary { flex: 1 1 auto; width: auto; min-width: 0; }
.memviz-save {
  position: relative; display: flex; flex: 0 1 auto; align-items: center; gap: 8px; width: auto; min-width: 0;
  margin-left: auto !important; overflow: visible;
}
.memviz-save-button { flex: 0 0 auto; padding: 0 10px; white-space: nowrap; }
.memviz-save-said { color: var(--memviz-muted); overflow-wrap: anywhere; text-align: right; line-height: 1.3; }
.memviz-save-said.memviz-save-failed { color: var(--memviz-error); text-align: left; }
.memviz-save-menu {
  position: absolute; top: 100%; right: 0; z-index: 20; display: flex; flex-direction: column; min-width: 11em;
  margin-top: 2px; padding: 3px; border: 1px solid var(--memviz-line); border-radius: 3px; background: var(--memviz-back);
  box-shadow: 0 2px 8px rgb(0 0 0 / 25%);
}
.memviz-save-item {
  min-height: 28px; padding: 0 10px; border: 0; border-radius: 2px; background: none; color: var(--memviz-text); font: inherit;
  text-align: left; cursor: pointer;
}
.memviz-save-item:hover, .memviz-save-item:focus { background: var(--memviz-raised); }
`;
