/**
 * Importer of the released VANS-Data tables: CSV with byte order mark, clips as `/<video id>/<clip number>.mp4`. The
 * pairs are cut and asked; what they lack is reasoning, which `annotate` writes.
 * @module
 */
import { createHash } from "node:crypto";
import { relative, resolve } from "node:path";
import { VansError } from "../../base/errors.ts";
import { videoIdOf } from "../curate/video-list.ts";
import { isBrokenText, isSpreadsheetError } from "../format/text-faults.ts";
import { readCsvRecords } from "./csv-records.ts";
import { findVideo, type ImportItem, type ImportSettings } from "./import-run.ts";

/** Columns that a row needs; `name` is for people. */
const NEEDED = ["ENG_Instruction", "ENG_GT_Caption", "input_video_path", "output_video_path"] as const;
type Column = "name" | (typeof NEEDED)[number];

/**
 * Pairs of a table.
 *
 * @throws VansError `VANS_DATA_IMPORT_UNREADABLE`
 */
export async function* importVansCsv(settings: ImportSettings): AsyncGenerator<ImportItem> {
  const { annotations } = settings;
  let header: readonly string[] | undefined;
  let number = 0;
  const seen = new Set<string>();
  for await (const read of readCsvRecords(annotations)) {
    const where = `line ${read.line}`;
    if (header === undefined) {
      header = read.cells?.map((name) => name.trim()) ?? [];
      const missing = NEEDED.filter((name) => !header!.includes(name));
      if (missing.length > 0) throw wrongTable(annotations, missing);
      continue;
    }
    number++;
    if (read.cells === undefined) {
      yield skipped(where, read.fault);
      continue;
    }
    yield* csvRow(settings, header, read.cells, where, number, seen);
  }
  if (header === undefined) throw wrongTable(annotations, NEEDED);
}

function wrongTable(path: string, missing: readonly string[]): VansError {
  return new VansError("VANS_DATA_IMPORT_UNREADABLE", "the annotations have another form", {
    asked: path,
    found: `not a table with ${missing.join(", ")}`,
    fix: "check the format that was named; cells are parted by commas",
  });
}

async function* csvRow(
  settings: ImportSettings,
  header: readonly string[],
  cells: readonly string[],
  where: string,
  number: number,
  seen: Set<string>,
): AsyncGenerator<ImportItem> {
  const cell = (name: Column): string => cells[header.indexOf(name)]?.trim() ?? "";
  const [question, caption] = [cell("ENG_Instruction"), cell("ENG_GT_Caption")];
  for (const [name, text] of [
    ["question", question],
    ["caption", caption],
  ] as const) {
    if (text === "") return yield skipped(where, `no ${name}`);
    if (isSpreadsheetError(text)) return yield skipped(where, `${name} is a spreadsheet error`);
    if (isBrokenText(text))
      return yield skipped(where, `${name} with control characters or bytes that are not UTF-8`);
  }
  const clips: string[] = [];
  for (const column of ["input_video_path", "output_video_path"] as const) {
    const listed = cell(column).replaceAll("\\", "/");
    if (listed === "" || isSpreadsheetError(listed)) return yield skipped(where, `no ${column}`);
    const path = await findVideo(settings.videos, listed.replace(/^\/+/, ""));
    if (path === undefined) return yield skipped(where, "clip not found");
    clips.push(path);
  }
  const [input, output] = clips as [string, string];
  if (input === output) return yield skipped(where, "input and output are the same clip");
  const content = createHash("sha256")
    .update(JSON.stringify([input, output, question, caption]))
    .digest("base64");
  if (seen.has(content)) return yield skipped(where, "a row that occurs twice");
  seen.add(content);
  if (isSpreadsheetError(cell("name")) || cell("name") === "")
    yield { note: { where, reason: "a name that is a spreadsheet error or empty", mended: true } };
  const inside = relative(resolve(settings.videos), input).replace(/\.[A-Za-z0-9]+$/, "");
  yield {
    video: {
      id: `${videoIdOf(inside)}-${String(number).padStart(6, "0")}`,
      path: input,
      kind: settings.kind ?? "procedural",
      source: "vans-data",
      licence: settings.licence,
      split: settings.split ?? "train",
      goal: null,
      steps: [],
      given: { output, question, caption, reasoning: "" },
    },
  };
}

function skipped(where: string, reason: string): ImportItem {
  return { note: { where, reason, mended: false } };
}
