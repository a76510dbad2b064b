/**
 * `report.html`: the report as one page that needs nothing beside it.
 * @module
 */
import { escapeXml } from "../media/index.ts";
import { differencePlot } from "./difference-plot.ts";
import { type EvaluationReport, REPORT_KINDS } from "./report-schema.ts";
import { type ReportTable, reportSections, reportSummary } from "./report-text.ts";
import type { ReportSheet } from "./sheets.ts";

const STYLE = `
:root { color-scheme: light dark; --ink: #1c1c1e; --faint: #6b6b70; --paper: #fff; --rule: #d9d9de; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececf0; --faint: #a0a0a8; --paper: #17171a; --rule: #3a3a40; --bad: #ff8a80; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; color: var(--faint); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; overflow-wrap: anywhere; }
td.missed { color: var(--bad); font-weight: 600; }
figure { margin: 1rem 0; } svg { max-width: 46rem; width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .grid { stroke: var(--rule); } svg .zero { stroke: var(--faint); stroke-width: 1.5; } svg .tick { fill: var(--faint); }
.legend span { margin-right: 1.2rem; } .legend i { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .4em; }
.alarm { border-left: 4px solid var(--bad); padding-left: 1rem; }
img { max-width: 100%; border: 1px solid var(--rule); }
`;

/** The report as HTML, with its sheets inside. */
export function htmlReport(report: EvaluationReport, sheets: readonly ReportSheet[]): string {
  const title = `Evaluation of ${report.suite.name}`;
  const sections = reportSections(report).map(({ title: heading, text, table }) => {
    const kind = REPORT_KINDS.find(
      (one) => heading.startsWith("Differences") && heading.endsWith(`, ${one}`),
    );
    const parts = [
      `<h2>${escapeXml(heading)}</h2>`,
      text === undefined ? "" : `<p>${escapeXml(text)}</p>`,
      kind ? differencePlot(report.comparisons, kind) : "",
      table ? htmlTable(table) : "",
    ].join("\n");
    return heading === "Alarms" && table ? `<div class="alarm">${parts}</div>` : parts;
  });
  const pictures = sheets.map(({ title: heading, png }) => {
    const data = Buffer.from(png).toString("base64");
    const alt = escapeXml(heading);
    return `<h3>${alt}</h3>\n<img alt="${alt}" src="data:image/png;base64,${data}">`;
  });
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
<p>${escapeXml(reportSummary(report))}</p>
${sections.join("\n")}
${pictures.length > 0 ? "<h2>Answers</h2>" : ""}
${pictures.join("\n")}
</body>
</html>
`;
}

function htmlTable({ head, rows }: ReportTable): string {
  const cells = (tag: "th" | "td", values: readonly string[]): string =>
    values
      .map((value) => `<${tag}${value === "NO" ? ' class="missed"' : ""}>${escapeXml(value)}</${tag}>`)
      .join("");
  const body = rows.map((row) => `<tr>${cells("td", row)}</tr>`).join("\n");
  return `<div class="scroll"><table>\n<tr>${cells("th", head)}</tr>\n${body}\n</table></div>`;
}
