/**
 * What all importers share: they read foreign annotations into `videos.jsonl`, skip rows that cannot be used, count them,
 * and write down why (`import-report.json`, `import-skipped.jsonl`).
 * @module
 */
import { access, readFile, stat } from "node:fs/promises";
import { dirname, extname, isAbsolute, join, resolve } from "node:path";
import { VansError } from "../../base/errors.ts";
import { writeFileAtomically } from "../../weights/atomic-file.ts";
import { type ListedVideo, listedVideoSchema, VIDEO_LIST_NAME } from "../curate/video-list.ts";
import { isBrokenText, isSpreadsheetError } from "../format/text-faults.ts";

/** Something in the annotations that was not taken, or was mended. */
export interface ImportNote {
  /** Where: a video's id, a row's number. */
  readonly where: string;
  readonly reason: string;
  /** True where the row was taken all the same. */
  readonly mended: boolean;
}

/** What an importer gives: videos, and notes on the way. */
export type ImportItem =
  | { readonly video: ListedVideo; readonly note?: undefined }
  | { readonly note: ImportNote; readonly video?: undefined };

/** What was read. */
export interface ImportReport {
  readonly format: string;
  readonly videos: number;
  readonly steps: number;
  readonly skipped: number;
  readonly mended: number;
  /** By reason. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** What all importers are told. */
export interface ImportSettings {
  /** Annotation file, where the format has one. */
  readonly annotations: string;
  /** Folder of the videos. */
  readonly videos: string;
  readonly licence: string;
  /** Of all videos; undefined: what the annotations say, else `train`. */
  readonly split?: string | undefined;
  readonly kind?: ListedVideo["kind"] | undefined;
}

/** Name of the report inside the folder. */
export const IMPORT_REPORT_NAME = "import-report.json";
export const IMPORT_SKIPPED_NAME = "import-skipped.jsonl";

/**
 * Writes what an importer gives into a folder. Videos of the same id are taken once.
 *
 * @throws VansError `VANS_DATA_IMPORT_EMPTY` where nothing can be used
 */
export async function writeImport(
  folder: string,
  format: string,
  items: AsyncIterable<ImportItem>,
): Promise<ImportReport> {
  const reasons = new Map<string, number>();
  const seen = new Set<string>();
  const counts = { videos: 0, steps: 0, skipped: 0, mended: 0 };
  const notes: string[] = [];
  const note = (one: ImportNote): void => {
    if (one.mended) counts.mended++;
    else counts.skipped++;
    reasons.set(one.reason, (reasons.get(one.reason) ?? 0) + 1);
    notes.push(`${JSON.stringify(one)}\n`);
  };
  await writeFileAtomically(join(folder, VIDEO_LIST_NAME), async (file) => {
    for await (const item of items) {
      if (item.note !== undefined) note(item.note);
      else if (seen.has(item.video.id))
        note({ where: item.video.id, reason: "a second entry of the same video", mended: false });
      else {
        seen.add(item.video.id);
        counts.videos++;
        counts.steps += item.video.steps.length;
        await file.write(`${JSON.stringify(listedVideoSchema.parse(item.video))}\n`);
      }
    }
  });
  const report: ImportReport = {
    format,
    ...counts,
    reasons: Object.fromEntries([...reasons].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))),
  };
  await writeFileAtomically(join(folder, IMPORT_REPORT_NAME), async (file) => {
    await file.writeFile(`${JSON.stringify(report, null, 2)}\n`);
  });
  await writeFileAtomically(join(folder, IMPORT_SKIPPED_NAME), async (file) => {
    await file.writeFile(notes.join(""));
  });
  if (counts.videos === 0) {
    throw new VansError("VANS_DATA_IMPORT_EMPTY", "nothing could be imported", {
      found: Object.entries(report.reasons)
        .map(([reason, count]) => `${reason}: ${count}`)
        .join("; "),
      fix: `check --videos and the format; all reasons are in ${join(folder, IMPORT_SKIPPED_NAME)}`,
    });
  }
  return report;
}

/** Endings that videos are looked for with. */
export const VIDEO_ENDINGS = [".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".gif"] as const;

/** The file of a video id: `<folder>/<id>.<ending>`, also one folder deeper; undefined where there is none. */
export async function findVideo(
  folder: string,
  id: string,
  subfolders: readonly string[] = [],
): Promise<string | undefined> {
  // An id out of a file must not lead out of the folder.
  if (id === "" || isAbsolute(id) || id.split(/[\\/]/).includes("..")) return undefined;
  for (const inside of ["", ...subfolders]) {
    for (const ending of extname(id) === "" ? VIDEO_ENDINGS : ["", ...VIDEO_ENDINGS]) {
      const path = resolve(folder, inside, `${id}${ending}`);
      if (
        await access(path).then(
          () => true,
          () => false,
        )
      )
        return path;
    }
  }
  return undefined;
}

/**
 * Reads a JSON file, with or without byte order mark.
 *
 * @throws VansError `VANS_DATA_IMPORT_UNREADABLE`
 */
export async function readJsonFile(path: string): Promise<unknown> {
  try {
    return JSON.parse((await readFile(path, "utf8")).replace(/^\uFEFF/, ""));
  } catch (cause) {
    throw new VansError("VANS_DATA_IMPORT_UNREADABLE", "the annotations cannot be read", {
      asked: path,
      found: cause instanceof Error ? cause.message : String(cause),
      fix: `check the file in ${dirname(path)}`,
      cause,
    });
  }
}

/**
 * Fails early where the folder of the videos is none: else every row would be skipped for a video that is not found.
 *
 * @throws VansError `VANS_DATA_IMPORT_UNREADABLE`
 */
export async function requireVideoFolder(folder: string): Promise<void> {
  const info = await stat(folder).catch(() => undefined);
  if (info?.isDirectory()) return;
  throw new VansError("VANS_DATA_IMPORT_UNREADABLE", "there is no such folder of videos", {
    asked: folder,
    found: info === undefined ? "nothing" : "a file",
    fix: "check --videos",
  });
}

/** Objects and lists of foreign JSON. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A number of a foreign file: itself, or written out. `Number` would take null, "" and true for 0 and 1. */
function secondsFrom(value: unknown): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
}

/** A step out of foreign fields, or why not. */
export function stepFrom(label: unknown, segment: unknown): ListedVideo["steps"][number] | string {
  if (typeof label !== "string" || label.trim() === "" || isSpreadsheetError(label))
    return "a step without a name";
  if (isBrokenText(label)) return "a name with control characters or bytes that are not UTF-8";
  if (!Array.isArray(segment) || segment.length !== 2) return "a step without start and end";
  const [startSecs, endSecs] = segment.map(secondsFrom) as [number, number];
  if (!Number.isFinite(startSecs) || !Number.isFinite(endSecs)) return "a step whose times are no numbers";
  if (startSecs < 0 || endSecs <= startSecs) return "a step that ends before it starts";
  return { label: label.trim().replaceAll(/\s+/g, " "), startSecs, endSecs };
}

const TWIN = "a step that occurs twice";

function isTwin(a: ListedVideo["steps"][number], b: ListedVideo["steps"][number]): boolean {
  return a.label === b.label && a.startSecs === b.startSecs && a.endSecs === b.endSecs;
}

/** Steps of a video, good ones in order of time, and notes on the others. */
export function stepsFrom(
  where: string,
  entries: readonly (readonly [label: unknown, segment: unknown])[],
): { steps: ListedVideo["steps"]; notes: ImportNote[] } {
  const steps: ListedVideo["steps"] = [];
  const notes: ImportNote[] = [];
  for (const [index, [label, segment]] of entries.entries()) {
    const step = stepFrom(label, segment);
    const fault = typeof step === "string" ? step : steps.some((one) => isTwin(one, step)) ? TWIN : undefined;
    if (fault !== undefined) notes.push({ where: `${where}, step ${index}`, reason: fault, mended: false });
    else steps.push(step as ListedVideo["steps"][number]);
  }
  steps.sort((a, b) => a.startSecs - b.startSecs || a.endSecs - b.endSecs);
  return { steps, notes };
}

/** `training`, `val`, … as our splits. */
export function splitFrom(subset: unknown): string {
  return typeof subset === "string" && /^(test|val|valid)/i.test(subset) ? "evaluation" : "train";
}
