/**
 * A stage of curation: one result file a video, written whole or not at all. Killing the process loses at most the
 * videos in hand; running again continues; a result whose ingredients have changed is made again.
 * @module
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { throwIfAborted } from "../../base/abort.ts";
import { isVansError } from "../../base/errors.ts";
import { takeLock } from "../../base/process-lock.ts";
import { writeFileAtomically } from "../../weights/atomic-file.ts";
import { type ListedVideo, readVideoList } from "./video-list.ts";

/** The stages in order. */
export const STAGES = ["split", "select", "annotate", "review"] as const;
export type StageName = (typeof STAGES)[number];

/** Something that was left out, and why. */
export const droppedSchema = z.object({ item: z.string(), reason: z.string() });
export type Dropped = z.infer<typeof droppedSchema>;

/** What a stage does. */
export interface Stage<T> {
  readonly name: StageName;
  readonly schema: z.ZodType<T>;
  /** All that decides the result beside the code: settings, prompts, and the results before. */
  ingredients(video: ListedVideo): Promise<unknown>;
  /** Throws a media error for a video that cannot be used. */
  work(video: ListedVideo): Promise<T>;
}

/** Progress of a stage. */
export type StageEvent =
  | { readonly type: "done"; readonly stage: StageName; readonly video: string; readonly failed?: string }
  /** The result was there already. */
  | { readonly type: "kept"; readonly stage: StageName; readonly video: string }
  /** Another process is at it. */
  | { readonly type: "held"; readonly stage: StageName; readonly video: string };

/** A result on disk: what was made, or why nothing could be. */
export type StageResult<T> =
  | { readonly ingredients: string; readonly value: T; readonly failed?: undefined }
  | {
      readonly ingredients: string;
      readonly value?: undefined;
      readonly failed: { code: string; message: string };
    };

const failedSchema = z.object({ code: z.string(), message: z.string() });

/** Path of a result. */
export function resultPath(folder: string, stage: StageName, videoId: string): string {
  return join(folder, "stages", stage, `${videoId}.json`);
}

/** Reads a result; undefined where there is none that can be used. */
export async function readResult<T>(
  folder: string,
  stage: Pick<Stage<T>, "name" | "schema">,
  videoId: string,
): Promise<StageResult<T> | undefined> {
  const text = await readFile(resultPath(folder, stage.name, videoId), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const json = JSON.parse(text) as { ingredients: string; value?: unknown; failed?: unknown };
    if (json.failed !== undefined)
      return { ingredients: json.ingredients, failed: failedSchema.parse(json.failed) };
    return { ingredients: json.ingredients, value: stage.schema.parse(json.value) };
  } catch {
    return undefined;
  }
}

/** Short name of anything that can be written as JSON. */
export function digestOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}

/** How a stage is run. */
export interface RunStageOptions {
  /** Videos that are worked on at a time. Default 1. */
  readonly parallel?: number | undefined;
  /** Wait for what other processes are doing, so that afterwards the stage is complete. Default true. */
  readonly waits?: boolean;
  readonly signal?: AbortSignal | undefined;
}

const WAIT_SECS = 0.5;

/** Runs a stage over all listed videos that lack a result. */
export async function* runStage<T>(
  folder: string,
  stage: Stage<T>,
  options: RunStageOptions = {},
): AsyncGenerator<StageEvent> {
  const { parallel = 1, waits = true, signal } = options;
  while (true) {
    let isHeld = false;
    const running = new Set<Promise<StageEvent>>();
    const settle = async (): Promise<StageEvent> => {
      const tagged = [...running].map(async (promise) => ({ promise, event: await promise }));
      const { promise, event } = await Promise.race(tagged);
      running.delete(promise);
      return event;
    };
    try {
      for await (const video of readVideoList(folder)) {
        throwIfAborted(signal);
        running.add(runOne(folder, stage, video));
        if (running.size < parallel) continue;
        const event = await settle();
        isHeld ||= event.type === "held";
        yield event;
      }
      while (running.size > 0) {
        const event = await settle();
        isHeld ||= event.type === "held";
        yield event;
      }
    } finally {
      // What is under way keeps its locks until it is over.
      await Promise.allSettled(running);
    }
    if (!isHeld || !waits) return;
    await sleep(WAIT_SECS * 1000);
  }
}

async function runOne<T>(folder: string, stage: Stage<T>, video: ListedVideo): Promise<StageEvent> {
  const about = { stage: stage.name, video: video.id };
  const ingredients = digestOf([stage.name, video, await stage.ingredients(video)]);
  const isDone = async (): Promise<boolean> =>
    (await readResult(folder, stage, video.id))?.ingredients === ingredients;
  if (await isDone()) return { type: "kept", ...about };
  const lock = await takeLock(join(folder, "locks"), `${stage.name}-${video.id}`);
  if (lock === undefined) return { type: "held", ...about };
  try {
    if (await isDone()) return { type: "kept", ...about };
    let result: StageResult<T>;
    try {
      result = { ingredients, value: await stage.work(video) };
    } catch (error) {
      // A video that cannot be read is the video's fault; anything else is ours, or the run's end.
      if (!isVansError(error) || !error.code.startsWith("VANS_MEDIA_") || isOurs(error.code)) throw error;
      result = { ingredients, failed: { code: error.code, message: error.message.split("\n")[0]! } };
    }
    await writeFileAtomically(resultPath(folder, stage.name, video.id), async (file) => {
      await file.writeFile(`${JSON.stringify(result)}\n`);
    });
    return { type: "done", ...about, ...(result.failed && { failed: result.failed.code }) };
  } finally {
    await lock.release();
  }
}

function isOurs(code: string): boolean {
  return [
    "VANS_MEDIA_DISK_FULL",
    "VANS_MEDIA_UNWRITABLE",
    "VANS_MEDIA_BACKEND_MISSING",
    "VANS_MEDIA_REQUEST_INVALID",
  ].includes(code);
}
