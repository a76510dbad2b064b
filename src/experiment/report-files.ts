/**
 * The files of an experiment's report.
 * @module
 */
import { join } from "node:path";
import { writeFileAtomically } from "../weights/index.ts";
import type { Experiment } from "./experiment-file.ts";
import type { Plan } from "./plan.ts";
import { drawCurves } from "./report-curves.ts";
import { type ExperimentReport, gatherReport } from "./report-data.ts";
import { experimentHtml } from "./report-html.ts";
import { experimentMarkdown } from "./report-markdown.ts";
import { drawSampleSheets } from "./report-sheets.ts";

/** Where the files of a report are. */
export interface ExperimentReportFiles {
  readonly json: string;
  readonly markdown: string;
  readonly html: string;
}

/** Writes the report of what there is in an experiment's folder. */
export async function writeExperimentReport(
  experiment: Experiment,
  plan: Plan,
  folder: string,
): Promise<{
  readonly report: ExperimentReport;
  readonly files: ExperimentReportFiles;
  readonly missing: readonly string[];
}> {
  const { report, evaluated } = await gatherReport(experiment, plan, folder);
  const charts = await drawCurves(experiment, plan, folder);
  const sheets = await drawSampleSheets(experiment, evaluated, folder);
  const files = {
    json: join(folder, "report.json"),
    markdown: join(folder, "report.md"),
    html: join(folder, "report.html"),
  };
  await writeText(files.markdown, experimentMarkdown(report));
  await writeText(files.html, experimentHtml(report, charts, sheets));
  await writeText(files.json, `${JSON.stringify(report, undefined, 2)}\n`);
  return { report, files, missing: report.missing };
}

function writeText(path: string, text: string): Promise<void> {
  return writeFileAtomically(path, (file) => file.writeFile(text));
}
