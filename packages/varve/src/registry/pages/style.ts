import { createHash } from 'node:crypto';

/** The one stylesheet. Colours keep a contrast of 4.5:1 or more in both schemes (WCAG 2.2, 1.4.3). */
export const stylesheet = `
:root {
  color-scheme: light dark;
  --back: #ffffff; --soft: #f3f5f7; --line: #c9d1d9; --text: #1b2128; --dim: #545d68;
  --link: #0a57b8; --bad: #b3261e; --bar: #2f7d5b; --full: #b3261e; --focus: #0a57b8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #12161b; --soft: #1b2128; --line: #39424d; --text: #e4e9ee; --dim: #a3adb8;
    --link: #83b8ff; --bad: #ff8a80; --bar: #4fae83; --full: #ff8a80; --focus: #83b8ff;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--back); color: var(--text);
  font: 15px/1.45 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; padding-block: .6rem;
  border-bottom: 1px solid var(--line); }
header .home { font-weight: 650; text-decoration: none; color: var(--text); }
header form { display: flex; gap: .4rem; align-items: center; margin: 0; }
header .search { flex: 1 1 14rem; }
header .search input { flex: 1; min-width: 0; }
footer { color: var(--dim); font-size: .85rem; padding-block: 1.5rem; }
a { color: var(--link); text-underline-offset: .15em; }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--back); padding: .4rem .7rem; z-index: 1; }
nav.trail ol { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem .4rem; margin: .8rem 0 0; padding: 0;
  color: var(--dim); font-size: .9rem; overflow-wrap: anywhere; }
nav.trail li + li::before { content: "/"; margin-right: .4rem; }
h1 { font-size: 1.35rem; margin: .5rem 0 .8rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
p { margin: .5rem 0; max-width: 60rem; }
code, pre, .mono, td.digest, input[readonly] { font: .88em/1.45 ui-monospace, "Cascadia Code", "DejaVu Sans Mono", monospace; }
code, pre { overflow-wrap: anywhere; white-space: pre-wrap; margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--dim); font-size: .88rem; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .28rem .9rem .28rem 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--dim); font-weight: 600; font-size: .85rem; white-space: nowrap; }
tbody th { font-weight: 500; overflow-wrap: anywhere; min-width: 7rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.wide { min-width: 12rem; overflow-wrap: anywhere; }
td time, td.digest { white-space: nowrap; }
tr:target { background: var(--soft); }
tr.empty td, tr.empty th, .dim { color: var(--dim); }
ul.plain { list-style: none; margin: .5rem 0; padding: 0; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .2rem 1rem; margin: .5rem 0; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
input, button, .button { font: inherit; color: var(--text); background: var(--back); border: 1px solid var(--dim);
  border-radius: 4px; padding: .3rem .6rem; min-height: 2rem; }
input { max-width: 100%; }
input[readonly] { width: 100%; background: var(--soft); }
button, .button { cursor: pointer; background: var(--soft); text-decoration: none; display: inline-block; }
.danger { border-color: var(--bad); color: var(--bad); }
.note, .problem { border-left: 4px solid var(--line); background: var(--soft); padding: .5rem .8rem; margin: .8rem 0; }
.problem { border-color: var(--bad); }
.field { margin: .6rem 0; }
.field label { display: block; color: var(--dim); }
.field input { width: 22rem; }
.actions { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; margin: 1rem 0; }
.badge { border: 1px solid var(--line); border-radius: 3px; padding: 0 .35rem; font-size: .8rem; color: var(--dim);
  white-space: nowrap; }
meter { width: 10rem; max-width: 100%; height: .9rem; vertical-align: middle; }
svg.bar { width: 10rem; max-width: 100%; height: .6rem; vertical-align: middle; }
svg.bar .all { fill: var(--line); }
svg.bar .used { fill: var(--bar); }
svg.bar .over { fill: var(--full); }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 36rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .4rem; }
  th, td { padding-right: .6rem; }
}
@media print { header, .actions, .skip { display: none; } }
`;

/** Changes with the stylesheet, so that browsers may keep it for ever. */
export const stylesheetVersion = createHash('sha256').update(stylesheet).digest('hex').slice(0, 12);
