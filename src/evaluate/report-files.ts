/**
 * The files of a report: `report.json`, `report.md`, `report.html` and contact sheets.
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "../weights/index.ts";
import type { PartRow } from "./part-row.ts";
import { removeFiles } from "./remove-files.ts";
import { htmlReport } from "./report-html.ts";
import { markdownReport } from "./report-markdown.ts";
import type { EvaluationReport } from "./report-schema.ts";
import { drawSheets, isSheetName } from "./sheets.ts";
import { drawSystemSheet, type PicturedSystem } from "./system-sheet.ts";

/** Where the files of a report are. */
export interface ReportFiles {
  readonly json: string;
  readonly markdown: string;
  readonly html: string;
  readonly sheets: readonly string[];
}

/** Folder of the contact sheets inside a report's folder. */
const SHEETS_FOLDER = "sheets";

/** Writes all files of a report. */
export async function writeReport(
  folder: string,
  report: EvaluationReport,
  { rows, systems }: { readonly rows: readonly PartRow[]; readonly systems: readonly PicturedSystem[] },
): Promise<ReportFiles> {
  const sheets = [...(await drawSystemSheet(systems)), ...(await drawSheets(folder, rows))];
  const at = (name: string): string => join(folder, name);
  await mkdir(at(SHEETS_FOLDER), { recursive: true });
  await removeFiles(at(SHEETS_FOLDER), isSheetName);
  for (const { name, png } of sheets) await writeBytes(at(`${SHEETS_FOLDER}/${name}.png`), png);
  const paths = sheets.map(({ name, title }) => ({ title, path: `${SHEETS_FOLDER}/${name}.png` }));
  const files = {
    json: at("report.json"),
    markdown: at("report.md"),
    html: at("report.html"),
    sheets: paths.map(({ path }) => at(path)),
  };
  await writeText(files.markdown, markdownReport(report, paths));
  await writeText(files.html, htmlReport(report, sheets));
  // Last: a folder with a report.json has all the rest.
  await writeText(files.json, `${JSON.stringify(report, undefined, 2)}\n`);
  return files;
}

/** Writes a text in one piece. */
export function writeText(path: string, text: string): Promise<void> {
  return writeBytes(path, new TextEncoder().encode(text));
}

function writeBytes(path: string, bytes: Uint8Array): Promise<void> {
  return writeFileAtomically(path, async (file) => {
    for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at)).bytesWritten;
  });
}
