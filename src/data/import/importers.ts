/**
 * Importers of public annotation formats. Rows that cannot be used are noted and skipped, never fatal.
 * @module
 */
import { readdir } from "node:fs/promises";
import { extname, join, resolve } from "node:path";
import { VansError } from "../../base/errors.ts";
import { videoIdOf } from "../curate/video-list.ts";
import {
  findVideo,
  type ImportItem,
  type ImportSettings,
  isRecord,
  readJsonFile,
  requireVideoFolder,
  splitFrom,
  stepsFrom,
  VIDEO_ENDINGS,
} from "./import-run.ts";
import { importVansCsv } from "./vans-csv.ts";

/** Formats that can be imported. */
export const IMPORT_FORMATS = ["coin", "youcook2", "activitynet", "vans-csv", "videos"] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];

const IMPORTERS = {
  coin: importCoin,
  youcook2: importYouCook2,
  activitynet: importActivityNet,
  "vans-csv": importVansCsv,
  videos: importVideos,
} as const satisfies Record<ImportFormat, (settings: ImportSettings) => AsyncGenerator<ImportItem>>;

/**
 * The items of a format.
 *
 * @throws VansError `VANS_DATA_IMPORT_UNREADABLE` where the annotations have another form, or the folder is none
 */
export async function* importItems(
  format: ImportFormat,
  settings: ImportSettings,
): AsyncGenerator<ImportItem> {
  await requireVideoFolder(settings.videos);
  yield* IMPORTERS[format](settings);
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
