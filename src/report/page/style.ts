/** The whole style of the page. Colours have a contrast of at least 4.5 to 1 for text, in light and in dark. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f4f5f7; --card: #ffffff; --text: #1b1f24; --quiet: #57606a; --line: #d5dae0; --link: #0550ae;
  --ok: #116329; --ok-ground: #e3f6e7; --warn: #7a4a00; --warn-ground: #fdf1d3; --bad: #a40e26; --bad-ground: #fdebe9;
  --ended: #2f6fd0; --later: #8c959f; --trouble: #bc4c00; --took: #7b61c4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0d1117; --card: #161b22; --text: #e6edf3; --quiet: #9aa4af; --line: #30363d; --link: #79b8ff;
    --ok: #6ddb85; --ok-ground: #12261a; --warn: #e6b84d; --warn-ground: #2a2212; --bad: #ff8f87; --bad-ground: #331a1c;
    --ended: #5b9bf5; --later: #8b949e; --trouble: #f0883e; --took: #a78bfa;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
header, main, footer { max-width: 1120px; margin: 0 auto; padding: 0 16px; }
header { display: flex; flex-wrap: wrap; gap: 0 16px; align-items: baseline; justify-content: space-between; padding-top: 20px; }
h1 { font-size: 20px; margin: 0; }
h2 { font-size: 15px; margin: 0 0 10px; }
p { margin: 0 0 8px; }
a { color: var(--link); }
code, .id { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 13px; }
.quiet, footer, figcaption span, dt { color: var(--quiet); }
main { display: grid; gap: 16px; padding-top: 14px; padding-bottom: 14px; grid-template-columns: repeat(12, minmax(0, 1fr)); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; grid-column: span 12; min-width: 0; }
section > :last-child { margin-bottom: 0; }
.status { border-left-width: 6px; }
.status h2 { display: flex; align-items: center; gap: 10px; font-size: 22px; line-height: 1.2; margin: 0 0 6px; }
.status svg { width: 26px; height: 26px; flex: none; }
.status ul { margin: 0 0 8px; padding-left: 20px; }
.ok { background: var(--ok-ground); border-color: var(--ok); } .ok h2 { color: var(--ok); }
.degraded { background: var(--warn-ground); border-color: var(--warn); } .degraded h2 { color: var(--warn); }
.failing { background: var(--bad-ground); border-color: var(--bad); } .failing h2 { color: var(--bad); }
.held { border-color: var(--warn); border-left-width: 6px; }
.command { display: block; background: var(--ground); border: 1px solid var(--line); border-radius: 6px; padding: 8px 10px; margin: 0 0 8px; }
.tiles { display: grid; grid-template-columns: repeat(5, minmax(0, 1fr)); gap: 10px; margin: 0 0 10px; padding: 0; list-style: none; }
.tiles li { border: 1px solid var(--line); border-radius: 6px; padding: 8px 10px; line-height: 1.35; }
.tiles b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.tiles small { display: block; color: var(--quiet); font-size: 13px; }
.tiles .none b { color: var(--quiet); font-weight: 400; }
.tiles .some { border-color: var(--warn); border-width: 2px; padding: 7px 9px; }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 14px 24px; margin: 0 0 12px; }
figure { margin: 0; }
figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 10px; font-size: 13px; }
figure svg { display: block; width: 100%; height: 44px; border-bottom: 1px solid var(--line); shape-rendering: crispEdges; }
svg.ended { fill: var(--ended); } svg.later { fill: var(--later); } svg.trouble { fill: var(--trouble); } svg.took { fill: var(--took); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
caption { text-align: left; color: var(--quiet); padding-bottom: 4px; }
th, td { text-align: left; vertical-align: top; padding: 5px 12px 5px 0; border-top: 1px solid var(--line); font-variant-numeric: tabular-nums; }
thead th { border-top: 0; color: var(--quiet); font-weight: 600; }
th:last-child, td:last-child { padding-right: 0; }
th, td { overflow-wrap: normal; }
.number { text-align: right; white-space: nowrap; }
.text, .id { overflow-wrap: anywhere; }
td small { display: block; color: var(--quiet); font-size: 13px; }
time span { white-space: nowrap; }
.tight { width: 1%; padding-right: 20px; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 4px 16px; margin: 0; }
dd { margin: 0; }
footer { padding-bottom: 24px; font-size: 13px; }
@media (min-width: 900px) { .half { grid-column: span 6; } }
@media (max-width: 600px) {
  .tiles { grid-template-columns: minmax(0, 1fr); gap: 6px; }
  .tiles li { display: grid; grid-template-columns: 3.2em minmax(0, 1fr); column-gap: 10px; align-items: center; padding: 5px 10px; }
  .tiles .some { padding: 4px 9px; }
  .tiles b { grid-row: span 2; text-align: right; }
  .charts { grid-template-columns: minmax(0, 1fr); }
  table { font-size: 13px; }
  th, td, .tight { padding-right: 7px; }
  td .id { font-size: 12px; }
}
`;
