/**
 * `report.md`: the report for reading in a terminal or a repository.
 * @module
 */
import type { EvaluationReport } from "./report-schema.ts";
import { type ReportTable, reportSections, reportSummary } from "./report-text.ts";

/** The report as Markdown, with its sheets by their paths. */
export function markdownReport(
  report: EvaluationReport,
  sheets: readonly { readonly title: string; readonly path: string }[],
): string {
  const lines = [`# Evaluation of ${report.suite.name}`, "", reportSummary(report), ""];
  for (const { title, text, table } of reportSections(report)) {
    lines.push(`## ${title}`, "");
    if (text !== undefined) lines.push(text, "");
    if (table) lines.push(...markdownTable(table), "");
  }
  if (sheets.length > 0) lines.push("## Answers", "");
  for (const { title, path } of sheets) lines.push(`### ${title}`, "", `![${title}](${path})`, "");
  return lines.join("\n");
}

/** The lines of a table. */
export function markdownTable({ head, rows }: ReportTable): string[] {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}
