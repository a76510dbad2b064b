/**
 * `report.html` of an experiment: one page that needs nothing beside it.
 * @module
 */
import { stringify } from "yaml";
import { escapeXml } from "../media/index.ts";
import type { TaskCharts } from "./report-curves.ts";
import type { ExperimentReport } from "./report-data.ts";
import type { SampleSheet } from "./report-sheets.ts";
import {
  type Cell,
  claimTables,
  costTable,
  reportNotes,
  resultTable,
  SHOWN_GROUPS,
  settingsTable,
  type Table,
} from "./report-text.ts";

const STYLE = `
:root { color-scheme: light dark; --ink: #1c1c1e; --faint: #6b6b70; --paper: #fff; --rule: #d9d9de; --better: #0a7a3d; --worse: #b3261e; --band: #f4f4f7; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececf0; --faint: #a0a0a8; --paper: #17171a; --rule: #3a3a40; --better: #6fdc9f; --worse: #ff8a80; --band: #202024; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 84rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; } h2 { font-size: 1.2rem; margin-top: 2.4rem; } h3 { font-size: 1rem; color: var(--faint); margin-bottom: .4rem; }
p, li { max-width: 60rem; } .faint, .note { color: var(--faint); }
nav { font-size: .9rem; } nav a { margin-right: 1rem; } a { color: inherit; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
thead th { position: sticky; top: 0; background: var(--paper); font-weight: 600; }
tbody tr:hover { background: var(--band); }
.results td:not(:first-child), .results td:not(:first-child) .note { white-space: pre; }
.results td:first-child, .results th:first-child { position: sticky; left: 0; min-width: 13rem; background: var(--paper); z-index: 1; }
.good, .bad, .open { white-space: nowrap; }
.wide td { max-width: 30rem; overflow-wrap: anywhere; }
.note { display: block; font-size: .76rem; line-height: 1.35; white-space: pre-line; }
.better, .good { color: var(--better); font-weight: 600; } .worse, .bad { color: var(--worse); font-weight: 600; } .open { color: var(--faint); font-weight: 600; }
.better::after { content: " ▲"; font-size: .7rem; } .worse::after { content: " ▼"; font-size: .7rem; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; } .chart { max-width: 100%; height: auto; }
.sheets { display: flex; flex-wrap: wrap; gap: 1rem; } .sheets img { max-width: 100%; border: 1px solid var(--rule); }
pre { background: var(--band); padding: .8rem; overflow-x: auto; font-size: .8rem; }
`;

/** The report as HTML, charts and pictures inside. */
export function experimentHtml(
  report: ExperimentReport,
  charts: readonly TaskCharts[],
  sheets: readonly SampleSheet[],
): string {
  const title = `Experiment ${report.name}`;
  const claims = claimTables(report);
  const sections: [string, string, string][] = [
    ...claims.map(({ title: heading, table }, i): [string, string, string] => [
      `claims-${i}`,
      heading,
      htmlTable(table, "wide"),
    ]),
    ...SHOWN_GROUPS.map((group): [string, string, string] => [
      group,
      `Results: ${group === "all" ? "all questions" : `${group} questions`}`,
      htmlTable(resultTable(report, group), "results"),
    ]),
    [
      "metrics",
      "What the metrics mean",
      `<ul>${report.metrics.map(({ name, about }) => `<li><b>${name}</b>: ${escapeXml(about)}</li>`).join("")}</ul>`,
    ],
    [
      "curves",
      "Training curves",
      charts
        .map(
          ({ task, charts: own }) =>
            `<h3>${escapeXml(task)}</h3>\n<div class="charts">${own.join("\n")}</div>`,
        )
        .join("\n") || "<p>No training has logged anything yet.</p>",
    ],
    [
      "samples",
      "The same samples, answered by every row",
      `<div class="sheets">${sheets
        .map(({ title: heading, png }) => {
          const alt = escapeXml(heading);
          return `<img alt="${alt}" src="data:image/png;base64,${Buffer.from(png).toString("base64")}">`;
        })
        .join("\n")}</div>`,
    ],
    ["cost", "Processor time, in core-hours", `${budgetText(report)}${htmlTable(costTable(report), "wide")}`],
    ["settings", "Settings", htmlTable(settingsTable(report), "wide")],
    ...(report.departures.length > 0
      ? [
          [
            "departures",
            "Departures from the paper",
            `<ul>${report.departures.map((text) => `<li>${escapeXml(text)}</li>`).join("")}</ul>`,
          ] as [string, string, string],
        ]
      : []),
    [
      "file",
      "The experiment file",
      `<details><summary>all fields, defaults included</summary><pre>${escapeXml(stringify(report.experiment))}</pre></details>`,
    ],
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeXml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeXml(title)}</h1>
<p>${escapeXml(report.about)}</p>
<nav>${sections.map(([id, heading]) => `<a href="#${id}">${escapeXml(heading)}</a>`).join("")}</nav>
${reportNotes(report)
  .map((note) => `<p class="faint">${escapeXml(note)}</p>`)
  .join("\n")}
${sections.map(([id, heading, body]) => `<h2 id="${id}">${escapeXml(heading)}</h2>\n${body}`).join("\n")}
</body>
</html>
`;
}

/** What was spent of what was allowed. */
export function budgetText({ cpuCoreHours, cpuBudgetCoreHours }: ExperimentReport): string {
  const spent = cpuCoreHours.training + cpuCoreHours.evaluation;
  const allowed = cpuBudgetCoreHours === null ? "" : ` of ${cpuBudgetCoreHours}`;
  return `<p>${spent.toFixed(1)}${allowed} core-hours were spent: ${cpuCoreHours.training.toFixed(1)} on training, ${cpuCoreHours.evaluation.toFixed(1)} on evaluation.</p>\n`;
}

function htmlTable({ head, rows }: Table, kind: string): string {
  const headers = head.map((text) => `<th>${escapeXml(text)}</th>`).join("");
  const body = rows.map((row) => `<tr>${row.map(htmlCell).join("")}</tr>`).join("\n");
  return `<div class="scroll"><table class="${kind}">\n<thead><tr>${headers}</tr></thead>\n<tbody>\n${body}\n</tbody></table></div>`;
}

function htmlCell({ text, note, mark }: Cell): string {
  const small = note === undefined ? "" : `<span class="note">${escapeXml(note)}</span>`;
  const value = mark ? `<span class="${mark}">${escapeXml(text)}</span>` : escapeXml(text);
  return `<td>${value}${small}</td>`;
}
