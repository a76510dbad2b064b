/**
 * A comparison of two reports as files: `compare.json` and `compare.md`.
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { ReportComparison } from "./compare-reports.ts";
import { writeText } from "./report-files.ts";
import { markdownTable } from "./report-markdown.ts";
import { differenceSections } from "./report-text.ts";

/** A comparison in Markdown. */
export function comparisonMarkdown(comparison: ReportComparison): string {
  const { system, reference, samples, alarms } = comparison;
  const lines = [`# ${system} against ${reference}`, "", `${samples} samples in both.`, ""];
  for (const { text } of alarms) lines.push(`**Alarm**: ${text}`, "");
  for (const { title, text, table } of differenceSections([comparison])) {
    lines.push(`## ${title}`, "", ...(text === undefined ? [] : [text, ""]));
    if (table) lines.push(...markdownTable(table), "");
  }
  return lines.join("\n");
}

/** Writes a comparison into a folder, which is made. */
export async function writeComparison(
  folder: string,
  comparison: ReportComparison,
): Promise<{ readonly json: string; readonly markdown: string }> {
  await mkdir(folder, { recursive: true });
  const files = { json: join(folder, "compare.json"), markdown: join(folder, "compare.md") };
  await writeText(files.markdown, comparisonMarkdown(comparison));
  await writeText(files.json, `${JSON.stringify(comparison, undefined, 2)}\n`);
  return files;
}
