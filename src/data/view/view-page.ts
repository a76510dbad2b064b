/**
 * The page of `vans data view`: one document without anything from elsewhere. All of it works by keyboard.
 * @module
 */

/** The document. */
export function viewPage(): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Samples</title>
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#list">To the samples</a>
<header>
  <h1>Samples</h1>
  <form id="filters" role="search" aria-label="Filters">
    <label>Text <input type="search" name="text" autocomplete="off"></label>
    <label>Kind <select name="kind"></select></label>
    <label>Split <select name="split"></select></label>
    <label>Source <select name="source"></select></label>
    <label>Decision <select name="state">
      <option value="">all</option><option>untouched</option><option>edited</option><option>rejected</option>
    </select></label>
    <button type="submit">Filter</button>
    <button type="button" id="apply">Apply decisions to the table</button>
  </form>
  <p id="status" role="status" aria-live="polite"></p>
  <details><summary>Keys</summary>
  <p><kbd>j</kbd> or <kbd>↓</kbd> next, <kbd>k</kbd> or <kbd>↑</kbd> previous, <kbd>x</kbd> reject or take back, <kbd>e</kbd> edit,
  <kbd>r</kbd> split rl or back, <kbd>space</kbd> play, <kbd>n</kbd> and <kbd>p</kbd> next and previous page, <kbd>/</kbd> search,
  <kbd>Ctrl</kbd>+<kbd>Enter</kbd> save, <kbd>Esc</kbd> leave a field.</p></details>
</header>
<main id="list" tabindex="-1" aria-label="Samples"></main>
<nav aria-label="Pages">
  <button id="previous">Previous page</button> <span id="page"></span> <button id="next">Next page</button>
</nav>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

const STYLE = `
:root { color-scheme: light dark; --line: #8886; --mark: #2563c9; --bad: #b3261e; }
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 0 1rem 3rem; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; }
form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; }
label { display: grid; font-size: .85rem; } input, select, textarea, button { font: inherit; }
textarea { width: 100%; box-sizing: border-box; }
article { border: 2px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; margin: 1rem 0; }
article:focus { outline: 3px solid var(--mark); outline-offset: 2px; }
article.rejected { border-color: var(--bad); } article.rejected .texts { opacity: .6; text-decoration: line-through; }
.clips { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; } video, .clips img { max-width: 30rem; width: 100%; min-width: 12rem; background: #000; image-rendering: auto; }
figcaption, .facts { font-size: .85rem; opacity: .85; } h2 { font-size: 1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
dl { margin: .5rem 0; } dt { font-weight: 600; float: left; clear: left; width: 6.5rem; } dd { margin: 0 0 .25rem 6.5rem; }
kbd { border: 1px solid var(--line); border-radius: .25rem; padding: 0 .3rem; }
.buttons { display: flex; gap: .5rem; flex-wrap: wrap; } .badge { color: var(--bad); font-weight: 600; }
nav { display: flex; gap: 1rem; align-items: center; }
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
`;

const SCRIPT = `
"use strict";
const $ = (id) => document.getElementById(id);
const state = { page: 0, pages: 1, samples: [] };
const el = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
};
const say = (text) => { $("status").textContent = text; };

async function load(focus) {
  const query = new URLSearchParams(new FormData($("filters")));
  query.set("page", state.page);
  const response = await fetch("/api/samples?" + query);
  const data = await response.json();
  if (!response.ok) return say(data.error);
  Object.assign(state, { page: data.page, pages: data.pages, samples: data.samples });
  for (const name of ["kind", "split", "source"]) {
    const select = document.querySelector("select[name=" + name + "]");
    const chosen = select.value;
    select.replaceChildren(el("option", { value: "" }, "all"),
      ...data.facets[name].map(([value, count]) => el("option", { value }, value + " (" + count + ")")));
    select.value = chosen;
  }
  $("list").replaceChildren(...data.samples.map(card));
  $("page").textContent = "Page " + (data.page + 1) + " of " + data.pages;
  $("previous").disabled = data.page === 0;
  $("next").disabled = data.page + 1 >= data.pages;
  say(data.fitting + " of " + data.total + " samples");
  if (focus) document.querySelector("article")?.focus();
}

const overrideOf = (entry) => entry.override ?? { id: entry.row.id, rejected: false, note: "", fields: {} };
const shown = (entry) => ({ ...entry.row, ...overrideOf(entry).fields });

async function save(entry, change) {
  const next = { ...overrideOf(entry), ...change };
  const response = await fetch("/api/override", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(next) });
  const data = await response.json();
  if (!response.ok) return say("Not saved: " + data.error);
  entry.override = data.saved;
  const fresh = card(entry);
  const old = document.getElementById("s-" + entry.row.id);
  old.replaceWith(fresh);
  fresh.focus();
  say(entry.row.id + " saved");
}

const clip = (label, path, from, to) => {
  const source = "/file/" + path.split("/").map(encodeURIComponent).join("/");
  const media = /\\.gif$/i.test(path) ? el("img", { src: source, alt: label })
    : el("video", { src: source, controls: true, loop: true, muted: true, preload: "metadata", "aria-label": label });
  const times = from == null ? "" : " (" + from.toFixed(2) + " to " + to.toFixed(2) + " s)";
  return el("figure", {}, media, el("figcaption", {}, label + times));
};

function card(entry) {
  const row = shown(entry);
  const { rejected, note } = overrideOf(entry);
  const facts = [row.kind, row.source, "split " + row.split, row.licence, row.goal, row.skipped_steps.length ? "skips: " + row.skipped_steps.join("; ") : null,
    row.verdict ? "judge: " + row.verdict + (row.reasons.length ? " (" + row.reasons.join("; ") + ")" : "") : null,
    ...Object.entries(row.scores).map(([name, value]) => name + " " + value)].filter(Boolean).join(" · ");
  const texts = el("dl", { class: "texts" }, ...["question", "reasoning", "caption"].flatMap((name) => [el("dt", {}, name), el("dd", {}, row[name])]));
  const article = el("article", { id: "s-" + entry.row.id, tabindex: "0", class: rejected ? "rejected" : "", "aria-label": "Sample " + entry.row.id },
    el("h2", {}, entry.row.id, rejected ? el("span", { class: "badge" }, " rejected" + (note ? ": " + note : "")) : null),
    el("div", { class: "clips" }, clip("input", row.input, row.input_start_secs, row.input_end_secs), clip("output", row.output, row.output_start_secs, row.output_end_secs)),
    texts, el("p", { class: "facts" }, facts),
    el("div", { class: "buttons" },
      el("button", { onclick: () => reject(entry) }, rejected ? "Take back" : "Reject"),
      el("button", { onclick: () => edit(entry, article) }, "Edit"),
      el("button", { onclick: () => toggleRl(entry) }, row.split === "rl" ? "Out of rl" : "Into rl")));
  article.entry = entry;
  return article;
}

function reject(entry) {
  const { rejected } = overrideOf(entry);
  save(entry, { rejected: !rejected, note: "" });
}

function toggleRl(entry) {
  const fields = { ...overrideOf(entry).fields };
  if (shown(entry).split === "rl") delete fields.split;
  else fields.split = "rl";
  save(entry, { fields });
}

function edit(entry, article) {
  if (article.querySelector("form")) return;
  const row = shown(entry);
  const field = (name, rows) => el("label", {}, name, el("textarea", { name, rows }, row[name]));
  const form = el("form", { style: "display:grid", onsubmit: (event) => {
    event.preventDefault();
    const data = new FormData(form);
    const fields = { ...overrideOf(entry).fields };
    for (const name of ["question", "reasoning", "caption", "split"]) {
      const value = String(data.get(name)).trim();
      if (value === "" || value === entry.row[name]) delete fields[name];
      else fields[name] = value;
    }
    save(entry, { fields, note: String(data.get("note")) });
  } }, field("question", 2), field("reasoning", 4), field("caption", 2),
    el("label", {}, "split", el("input", { name: "split", value: row.split })),
    el("label", {}, "note", el("input", { name: "note", value: overrideOf(entry).note })),
    el("div", { class: "buttons" }, el("button", {}, "Save"), el("button", { type: "button", onclick: () => { form.remove(); article.focus(); } }, "Cancel")));
  form.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });
  article.append(form);
  form.querySelector("textarea").focus();
}

$("filters").addEventListener("submit", (event) => { event.preventDefault(); state.page = 0; load(true); });
$("filters").addEventListener("change", (event) => { if (event.target.tagName === "SELECT") { state.page = 0; load(false); } });
const turn = (by) => { const page = state.page + by; if (page >= 0 && page < state.pages) { state.page = page; load(true); } };
$("previous").addEventListener("click", () => turn(-1));
$("next").addEventListener("click", () => turn(1));
$("apply").addEventListener("click", async () => {
  if (!confirm("Rewrite the table with all decisions?")) return;
  const response = await fetch("/api/apply", { method: "POST" });
  const data = await response.json();
  say(response.ok ? "The table now has " + data.samples + " samples" : data.error);
  if (response.ok) load(false);
});
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (typing) { if (event.key === "Escape") event.target.closest("article")?.focus() ?? event.target.blur(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const articles = [...document.querySelectorAll("article")];
  const current = document.activeElement?.closest?.("article");
  const at = articles.indexOf(current);
  const go = (to) => { const next = articles[Math.max(0, Math.min(articles.length - 1, to))]; next?.focus(); next?.scrollIntoView({ block: "start" }); event.preventDefault(); };
  if (event.key === "j" || (event.key === "ArrowDown" && current)) go(at + 1);
  else if (event.key === "k" || (event.key === "ArrowUp" && current)) go(at - 1);
  else if (event.key === "n") turn(1);
  else if (event.key === "p") turn(-1);
  else if (event.key === "/") { document.querySelector("input[name=text]").focus(); event.preventDefault(); }
  else if (current && event.key === "x") reject(current.entry);
  else if (current && event.key === "e") { edit(current.entry, current); event.preventDefault(); }
  else if (current && event.key === "r") toggleRl(current.entry);
  else if (current && event.key === " " && document.activeElement === current) {
    for (const video of current.querySelectorAll("video")) video.paused ? video.play() : video.pause();
    event.preventDefault();
  }
});
load(true);
`;
