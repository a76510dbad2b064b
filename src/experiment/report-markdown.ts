/**
 * `report.md` of an experiment.
 * @module
 */
import type { ExperimentReport } from "./report-data.ts";
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

const MARKS = { better: " ▲", worse: " ▼", good: "", bad: "", open: "" } as const;

/** The report as Markdown; curves and samples are in the HTML. */
export function experimentMarkdown(report: ExperimentReport): string {
  const lines = [`# Experiment ${report.name}`, "", report.about, ""];
  for (const note of reportNotes(report)) lines.push(note, "");
  for (const { title, table } of claimTables(report))
    lines.push(`## ${title}`, "", ...markdownTable(table), "");
  for (const group of SHOWN_GROUPS)
    lines.push(
      `## Results: ${group === "all" ? "all questions" : `${group} questions`}`,
      "",
      ...markdownTable(resultTable(report, group)),
      "",
    );
  lines.push("## Processor time, in core-hours", "", ...markdownTable(costTable(report)), "");
  lines.push("## Settings", "", ...markdownTable(settingsTable(report)), "");
  if (report.departures.length > 0)
    lines.push("## Departures from the paper", "", ...report.departures.map((text) => `- ${text}`), "");
  lines.push("## Metrics", "", ...report.metrics.map(({ name, about }) => `- **${name}**: ${about}`), "");
  return lines.join("\n");
}

function markdownTable({ head, rows }: Table): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map((row) => line(row.map(markdownCell)))];
}

function markdownCell({ text, note, mark }: Cell): string {
  const small = note === undefined ? "" : ` <br>${note.replaceAll("\n", " <br>")}`;
  return `${text}${mark ? MARKS[mark] : ""}${small}`.replaceAll("|", "\\|");
}
