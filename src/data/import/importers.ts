/**
 * Importers of public annotation formats. Rows that cannot be used are noted and skipped, never fatal.
 * @module
 */
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { extname, join, relative, resolve } from "node:path";
import { parse } from "csv-parse";
import { VansError } from "../../base/errors.ts";
import { videoIdOf } from "../curate/video-list.ts";
import {
  findVideo,
  type ImportItem,
  type ImportSettings,
  isRecord,
  readJsonFile,
  splitFrom,
  stepsFrom,
  VIDEO_ENDINGS,
} from "./import-run.ts";

/** Formats that can be imported. */
export const IMPORT_FORMATS = ["coin", "youcook2", "activitynet", "vans-csv", "videos"] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];

/** The items of a format. */
export function importItems(format: ImportFormat, settings: ImportSettings): AsyncGenerator<ImportItem> {
  switch (format) {
    case "coin":
      return importCoin(settings);
    case "youcook2":
      return importYouCook2(settings);
    case "activitynet":
      return importActivityNet(settings);
    case "vans-csv":
      return importVansCsv(settings);
    case "videos":
      return importVideos(settings);
  }
}

async function databaseOf(path: string): Promise<[string, unknown][]> {
  const json = await readJsonFile(path);
  const database = isRecord(json) ? json["database"] : undefined;
  if (!isRecord(database)) throw wrongShape(path, "an object with `database`");
  return Object.entries(database);
}

function wrongShape(path: string, expected: string): VansError {
  return new VansError("VANS_DATA_IMPORT_UNREADABLE", "the annotations have another form", {
    asked: path,
    found: `not ${expected}`,
    fix: "check the format that was named",
  });
}

/** COIN: `database.<id>.annotation[].{id, label, segment}`, `class`, `recipe_type`, `subset`. */
async function* importCoin(settings: ImportSettings): AsyncGenerator<ImportItem> {
  for (const [id, entry] of await databaseOf(settings.annotations)) {
    if (!isRecord(entry)) {
      yield skipped(id, "an entry that is no object");
      continue;
    }
    const annotation = Array.isArray(entry["annotation"]) ? entry["annotation"] : [];
    const { steps, notes } = stepsFrom(
      id,
      annotation.map((one) => (isRecord(one) ? [one["label"], one["segment"]] : [undefined, undefined])),
    );
    yield* notes.map((note) => ({ note }));
    const task = entry["class"] ?? entry["recipe_type"];
    yield* found(settings, "coin", id, [String(entry["recipe_type"] ?? "")], {
      steps,
      goal: task === undefined ? null : spaced(String(task)),
      split: splitFrom(entry["subset"]),
    });
  }
}

/** YouCook2: `database.<id>.annotations[].{id, sentence, segment}`, `recipe_type`, `subset`. */
async function* importYouCook2(settings: ImportSettings): AsyncGenerator<ImportItem> {
  for (const [id, entry] of await databaseOf(settings.annotations)) {
    if (!isRecord(entry)) {
      yield skipped(id, "an entry that is no object");
      continue;
    }
    const annotations = Array.isArray(entry["annotations"]) ? entry["annotations"] : [];
    const { steps, notes } = stepsFrom(
      id,
      annotations.map((one) => (isRecord(one) ? [one["sentence"], one["segment"]] : [undefined, undefined])),
    );
    yield* notes.map((note) => ({ note }));
    const subfolders = [String(entry["recipe_type"] ?? ""), String(entry["subset"] ?? "")];
    const recipe = entry["recipe_name"];
    yield* found(settings, "youcook2", id, subfolders, {
      steps,
      goal: typeof recipe === "string" ? recipe : null,
      split: splitFrom(entry["subset"]),
    });
  }
}

/** ActivityNet Captions: `<id>.{duration, timestamps[], sentences[]}`. */
async function* importActivityNet(settings: ImportSettings): AsyncGenerator<ImportItem> {
  const json = await readJsonFile(settings.annotations);
  if (!isRecord(json)) throw wrongShape(settings.annotations, "an object by video id");
  const split = /(^|[/\\_-])(val|test)/i.test(settings.annotations) ? "evaluation" : "train";
  for (const [id, entry] of Object.entries(json)) {
    if (!isRecord(entry) || !Array.isArray(entry["timestamps"]) || !Array.isArray(entry["sentences"])) {
      yield skipped(id, "an entry without timestamps and sentences");
      continue;
    }
    const { timestamps, sentences } = entry as { timestamps: unknown[]; sentences: unknown[] };
    if (timestamps.length !== sentences.length)
      yield { note: { where: id, reason: "timestamps and sentences differ in number", mended: true } };
    const count = Math.min(timestamps.length, sentences.length);
    const { steps, notes } = stepsFrom(
      id,
      Array.from({ length: count }, (_, i) => [sentences[i], timestamps[i]]),
    );
    yield* notes.map((note) => ({ note }));
    yield* found({ kind: "predictive", ...withoutUndefined(settings) }, "activitynet", id, [], {
      steps,
      goal: null,
      split,
    });
  }
}

function withoutUndefined(settings: ImportSettings): ImportSettings {
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined),
  ) as unknown as ImportSettings;
}

async function* found(
  settings: ImportSettings,
  source: string,
  id: string,
  subfolders: readonly string[],
  facts: Pick<NonNullable<ImportItem["video"]>, "steps" | "goal" | "split">,
): AsyncGenerator<ImportItem> {
  const safe = subfolders.filter((name) => /^[\w.-]+$/.test(name) && !/^\.+$/.test(name));
  if (facts.steps.length === 0) {
    yield skipped(id, "no usable step");
    return;
  }
  const path = await findVideo(settings.videos, id, safe);
  if (path === undefined) {
    yield skipped(id, "video not found");
    return;
  }
  yield {
    video: {
      id: videoIdOf(id),
      path,
      kind: settings.kind ?? "procedural",
      source,
      licence: settings.licence,
      ...facts,
      split: settings.split ?? facts.split,
    },
  };
}

const CSV_COLUMNS = [
  "name",
  "ENG_Instruction",
  "ENG_GT_Caption",
  "input_video_path",
  "output_video_path",
] as const;

/** What a spreadsheet writes where it could not compute a cell. */
const SPREADSHEET_ERROR = /^#(?:NAME\?|REF!|VALUE!|N\/A|DIV\/0!|NULL!|NUM!)$/;

/**
 * The released VANS-Data: CSV with byte order mark, clips as `/<video id>/<clip number>.mp4`. The pairs are cut and
 * asked; what they lack is reasoning, which `annotate` writes.
 */
async function* importVansCsv(settings: ImportSettings): AsyncGenerator<ImportItem> {
  const records = createReadStream(settings.annotations).pipe(
    parse({
      bom: true,
      columns: (header: string[]) => header.map((name) => name.trim()),
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
      skip_records_with_error: true,
      info: true,
      raw: false,
    }),
  );
  let number = 0;
  let checked = false;
  const skippedRecords: number[] = [];
  records.on("skip", (error: { lines?: number }) => skippedRecords.push(error.lines ?? 0));
  try {
    for await (const entry of records as AsyncIterable<{
      record: Record<string, unknown>;
      info: { lines: number };
    }>) {
      const { record, info } = entry;
      number++;
      if (!checked) {
        const missing = CSV_COLUMNS.slice(1).filter((name) => !(name in record));
        if (missing.length > 0) throw wrongShape(settings.annotations, `a table with ${missing.join(", ")}`);
        checked = true;
      }
      yield* csvRow(settings, record, `line ${info.lines}`, number);
    }
  } catch (cause) {
    if (cause instanceof VansError) throw cause;
    throw new VansError("VANS_DATA_IMPORT_UNREADABLE", "the table cannot be read", {
      asked: settings.annotations,
      found: cause instanceof Error ? cause.message : String(cause),
      fix: "check that it is a CSV file",
      cause,
    });
  }
  for (const line of skippedRecords) yield skipped(`line ${line}`, "a row that is no CSV");
}

async function* csvRow(
  settings: ImportSettings,
  record: Readonly<Record<string, unknown>>,
  where: string,
  number: number,
): AsyncGenerator<ImportItem> {
  const cell = (name: (typeof CSV_COLUMNS)[number]): string =>
    typeof record[name] === "string" ? record[name].trim() : "";
  const [question, caption] = [cell("ENG_Instruction"), cell("ENG_GT_Caption")];
  for (const [name, text] of [
    ["question", question],
    ["caption", caption],
  ] as const) {
    if (text === "") return yield skipped(where, `no ${name}`);
    if (SPREADSHEET_ERROR.test(text)) return yield skipped(where, `${name} is a spreadsheet error`);
  }
  const clips: string[] = [];
  for (const column of ["input_video_path", "output_video_path"] as const) {
    const listed = cell(column);
    if (listed === "" || SPREADSHEET_ERROR.test(listed)) return yield skipped(where, `no ${column}`);
    const path = await findVideo(settings.videos, listed.replace(/^[/\\]+/, ""));
    if (path === undefined) return yield skipped(where, "clip not found");
    clips.push(path);
  }
  if (SPREADSHEET_ERROR.test(cell("name")) || cell("name") === "")
    yield { note: { where, reason: "a name that is a spreadsheet error or empty", mended: true } };
  const [input, output] = clips as [string, string];
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

/** A folder of videos without annotations: shots will be looked for. */
async function* importVideos(settings: ImportSettings): AsyncGenerator<ImportItem> {
  const names = (await readdir(settings.videos, { recursive: true })).sort();
  for (const name of names) {
    if (!(VIDEO_ENDINGS as readonly string[]).includes(extname(name).toLowerCase())) continue;
    yield {
      video: {
        id: videoIdOf(name.replace(/\.[A-Za-z0-9]+$/, "")),
        path: resolve(join(settings.videos, name)),
        kind: settings.kind ?? "predictive",
        source: "videos",
        licence: settings.licence,
        split: settings.split ?? "train",
        goal: null,
        steps: [],
      },
    };
  }
}

function skipped(where: string, reason: string): ImportItem {
  return { note: { where, reason, mended: false } };
}

/** `MakeFrenchFries` as `Make French Fries`. */
function spaced(name: string): string {
  return name.replaceAll(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ");
}
