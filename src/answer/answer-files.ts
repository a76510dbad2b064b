/**
 * An answer on disk: `answer.mp4`, `answer.json` and `sheet.png`, all of them or none.
 * @module
 */
import { constants } from "node:fs";
import { access, copyFile, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { throwIfAborted } from "../base/abort.ts";
import { isVansError } from "../base/errors.ts";
import { frameOf, type SheetRow, writeContactSheet, writeMp4 } from "../media/index.ts";
import { unwritable } from "../media/media-errors.ts";
import { writeFileAtomically } from "../weights/index.ts";
import type { AnsweredSample, AnswerReport } from "./answer-event.ts";
import { answerMetadata } from "./answer-metadata.ts";
import type { PickedAnswer } from "./pick-answer.ts";

/** Paths of a written answer. */
export interface AnswerFiles {
  readonly folder: string;
  readonly json: string;
  /** Video and sheet of the future that was picked, `answer.mp4` and `sheet.png`; only where several were picked from. */
  readonly picked?: { readonly video: string; readonly sheet: string };
  /** One a future, in order: `answer.mp4`, or `answer-1.mp4` … where there are several. */
  readonly videos: readonly string[];
  /** Likewise. */
  readonly sheets: readonly string[];
}

/** Names of the picked future. */
const PICKED = { video: "answer.mp4", sheet: "sheet.png" } as const;

/** Names inside the folder. */
function fileNames(count: number): { readonly videos: string[]; readonly sheets: string[] } {
  const name = (stem: string, ending: string, index: number): string =>
    count === 1 ? `${stem}.${ending}` : `${stem}-${index + 1}.${ending}`;
  const all = (stem: string, ending: string): string[] =>
    Array.from({ length: count }, (_, index) => name(stem, ending, index));
  return { videos: all("answer", "mp4"), sheets: all("sheet", "png") };
}

/**
 * The content of `answer.json`. Text at the top is that of the picked future, else of the first; `samples` has all.
 */
export function answerJson(
  report: AnswerReport,
  files: Pick<AnswerFiles, "videos" | "sheets">,
  pick?: PickedAnswer,
): object {
  const shown = report.samples[pick?.index ?? 0];
  const { frames: _frames, ...input } = report.input;
  const { hashes, ...suite } = report.suite;
  return {
    question: report.question,
    reasoning: shown!.reasoning,
    caption: shown!.caption,
    settings: report.settings,
    seed: report.settings.seed,
    timings: report.timingsSecs,
    device: report.device,
    input,
    suite,
    ...(pick && { picked: { video: basename(files.videos[pick.index]!), ...pick } }),
    samples: report.samples.map((sample, index) => sampleJson(sample, files, index)),
    warnings: report.warnings,
    versions: report.versions,
    hashes,
  };
}

function sampleJson(
  sample: AnsweredSample,
  files: Pick<AnswerFiles, "videos" | "sheets">,
  index: number,
): object {
  const { clip, ...texts } = sample;
  const { frameCount, height, width, frameRateHz } = clip;
  return {
    ...texts,
    video: basename(files.videos[index]!),
    sheet: basename(files.sheets[index]!),
    frameCount,
    height,
    width,
    frameRateHz,
  };
}

/** Frames of input and answer that a sheet shows. */
const SHEET_FRAMES = 6;

function sheetOf(report: AnswerReport, sample: AnsweredSample): Parameters<typeof writeContactSheet>[1] {
  const { input, settings, suite } = report;
  const many = report.samples.length > 1 ? `, future ${sample.sample - settings.firstSample + 1}` : "";
  const rows: SheetRow[] = [
    {
      label: `input${input.path === undefined ? "" : `: ${basename(input.path)}`}`,
      frames: input.isStill ? [frameOf(input.frames, 0)] : input.frames,
    },
    { label: `answer${many}`, frames: sample.clip },
  ];
  return {
    title: report.question,
    rows,
    maxColumns: SHEET_FRAMES,
    captions: [
      ...(sample.reasoning === "" ? [] : [`Reasoning: ${sample.reasoning}`]),
      `Next: ${sample.caption}`,
      ...report.warnings.map((warning) => `${warning.code}: ${warning.message}`),
      `${suite.name} ${suite.version}, seed ${settings.seed}, ${settings.steps} steps, guidance ${settings.guidanceScale}`,
    ],
  };
}

/**
 * Finds out before any work whether an answer could be written to a folder, which need not exist yet.
 *
 * @throws `VANS_MEDIA_UNWRITABLE`
 */
export async function checkWritable(folder: string): Promise<void> {
  let at = resolve(folder);
  for (;;) {
    const found = await stat(at).catch(() => undefined);
    if (found) {
      if (!found.isDirectory()) throw unwritable(folder, Object.assign(new Error(at), { code: "ENOTDIR" }));
      await access(at, constants.W_OK).catch((error: unknown) => {
        throw unwritable(folder, error);
      });
      return;
    }
    at = dirname(at);
  }
}

/**
 * Writes an answer into a folder, which is made if need be. Files are made ready under another name and moved at the end:
 * after an error or an abort nothing new is left behind, and files of an earlier answer in the folder stay whole.
 *
 * @throws `VANS_MEDIA_DISK_FULL`, `VANS_MEDIA_UNWRITABLE`, `VANS_RUN_ABORTED`
 */
export async function writeAnswer(
  report: AnswerReport,
  folder: string,
  options: { readonly signal?: AbortSignal | undefined; readonly pick?: PickedAnswer | undefined } = {},
): Promise<AnswerFiles> {
  const { signal, pick } = options;
  const hasPick = pick !== undefined && report.samples.length > 1;
  const target = resolve(folder);
  const { videos, sheets } = fileNames(report.samples.length);
  const json = "answer.json";
  await withStaging(target, async (staging) => {
    for (const [index, sample] of report.samples.entries()) {
      throwIfAborted(signal);
      await writeMp4(join(staging, videos[index]!), sample.clip, {
        metadata: JSON.stringify(answerMetadata(report, sample)),
        title: report.question,
        ...(signal && { signal }),
      });
      await writeContactSheet(join(staging, sheets[index]!), sheetOf(report, sample));
    }
    if (hasPick) {
      await copyFile(join(staging, videos[pick.index]!), join(staging, PICKED.video));
      await copyFile(join(staging, sheets[pick.index]!), join(staging, PICKED.sheet));
    }
    const content = `${JSON.stringify(answerJson(report, { videos, sheets }, pick), undefined, 2)}\n`;
    await writeFileAtomically(join(staging, json), async (file) => {
      await file.writeFile(content);
    });
    throwIfAborted(signal);
  });
  const inside = (name: string): string => join(target, name);
  return {
    folder: target,
    json: inside(json),
    ...(hasPick && { picked: { video: inside(PICKED.video), sheet: inside(PICKED.sheet) } }),
    videos: videos.map(inside),
    sheets: sheets.map(inside),
  };
}

/**
 * Fills a hidden folder and moves its content to `target`; on failure all that was made is removed. A target that exists
 * has the folder inside: it may be a disk of its own, across which nothing can be renamed, or lie in a folder that cannot
 * be written to.
 */
async function withStaging(target: string, fill: (staging: string) => Promise<void>): Promise<void> {
  const isThere = (await stat(target).catch(() => undefined)) !== undefined;
  const parent = isThere ? target : dirname(target);
  const staging = join(parent, `.${basename(target)}.${process.pid}.tmp`);
  let made: string | undefined;
  try {
    // The uppermost folder that did not exist before.
    made = await mkdir(parent, { recursive: true });
    await rm(staging, { recursive: true, force: true });
    await mkdir(staging);
    await fill(staging);
    if (!isThere) await rename(staging, target);
    else {
      for (const name of await readdir(staging)) await rename(join(staging, name), join(target, name));
      await rm(staging, { recursive: true, force: true });
    }
  } catch (error) {
    await rm(staging, { recursive: true, force: true }).catch(() => undefined);
    if (made !== undefined) await rm(made, { recursive: true, force: true }).catch(() => undefined);
    throw inTarget(error, staging, target);
  }
}

/** The failure in terms of the folder that the caller knows. */
function inTarget(error: unknown, staging: string, target: string): unknown {
  if (!isVansError(error)) return unwritable(target, error);
  const { asked, cause } = error.details;
  return asked?.startsWith(staging) ? unwritable(join(target, asked.slice(staging.length)), cause) : error;
}
