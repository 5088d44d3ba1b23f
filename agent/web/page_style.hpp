// SPDX-License-Identifier: Apache-2.0
// The landing page's style sheet: system fonts, both colour schemes, narrow screens.
#pragma once

#include <string_view>

namespace sonde::web {

inline constexpr std::string_view kPageStyle = R"(
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #5d6671; --line: #dfe3e8; --paper: #fff;
  --ground: #f5f6f8; --link: #0b62c4; --good: #14713b; --good-bg: #dff3e6; --bad: #9c2312;
  --bad-bg: #fbe4df; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --quiet: #9aa4af; --line: #2f363e;
  --paper: #1a1e23; --ground: #121519; --link: #7db7ff; --good: #7fd6a0; --good-bg: #17382a;
  --bad: #ffa693; --bad-bg: #47211a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem .8rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1rem; margin: 2rem 0 .6rem; }
h2 span { color: var(--quiet); font-weight: 400; margin-left: .4rem; }
header .node { color: var(--quiet); font-size: 1.05rem; overflow-wrap: anywhere; }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
nav { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1.2rem 0 0; }
nav a { padding: .3rem .75rem; border: 1px solid var(--line); border-radius: .5rem;
  background: var(--paper); }
dl { display: flex; flex-wrap: wrap; gap: 1px;
  margin: 1.2rem 0 0; background: var(--line); border: 1px solid var(--line); border-radius: .5rem;
  overflow: hidden; }
dl div { flex: 1 1 auto; min-width: 8rem; background: var(--paper); padding: .6rem .9rem; }
dt { color: var(--quiet); font-size: .8rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.table { overflow-x: auto; background: var(--paper); border: 1px solid var(--line);
  border-radius: .5rem; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .45rem .9rem; vertical-align: top; }
th { color: var(--quiet); font-weight: 500; font-size: .8rem; white-space: nowrap; }
tr + tr td, thead + tbody td { border-top: 1px solid var(--line); }
td.name { white-space: nowrap; }
td.hook { font-family: ui-monospace, "SFMono-Regular", Menlo, monospace; font-size: .87rem; }
td.number { text-align: right; white-space: nowrap; }
th.number { text-align: right; }
.mark { display: inline-block; padding: 0 .55rem; border-radius: 1rem; font-size: .8rem;
  line-height: 1.5rem; white-space: nowrap; }
.good { color: var(--good); background: var(--good-bg); }
.bad { color: var(--bad); background: var(--bad-bg); }
@media (max-width: 40rem) {
  thead { display: none; }
  tr { display: flex; flex-wrap: wrap; align-items: baseline; gap: .1rem .8rem; padding: .5rem .9rem; }
  tr + tr { border-top: 1px solid var(--line); }
  tr td, tr + tr td, thead + tbody td { padding: 0; border: 0; }
  td:empty { display: none; }
  td.number { margin-left: auto; }
  td.reason { flex-basis: 100%; color: var(--quiet); }
}
.none { color: var(--quiet); margin: 0; padding: .7rem .9rem; }
)";

}  // namespace sonde::web
