/**
 * The videos of a curation folder: `videos.jsonl`, one a line, as an importer wrote them.
 * @module
 */
import { createHash } from "node:crypto";
import { access } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import * as z from "zod";
import { VansError } from "../../base/errors.ts";
import { textLines } from "../../base/text-lines.ts";

/** Name of the list inside the folder. */
export const VIDEO_LIST_NAME = "videos.jsonl";

const stepSchema = z.object({
  label: z.string(),
  startSecs: z.number().nonnegative(),
  endSecs: z.number().positive(),
});

/** Schema of a listed video. */
export const listedVideoSchema = z.object({
  /** Unique, and fit for file names: see {@link videoIdOf}. */
  id: z.string().regex(/^[A-Za-z0-9._-]+$/),
  /** Absolute, or relative to the folder. */
  path: z.string(),
  kind: z.enum(["procedural", "predictive"]),
  source: z.string(),
  licence: z.string(),
  split: z.string(),
  goal: z.string().nullable().default(null),
  /** Annotated steps in order of time; without any, shots are looked for. */
  steps: z.array(stepSchema).default([]),
  /** A pair of clips that is cut and asked already (released VANS-Data). `path` is its input clip. */
  given: z
    .object({
      output: z.string(),
      question: z.string(),
      caption: z.string(),
      reasoning: z.string().default(""),
    })
    .optional(),
});

/** A listed video. */
export type ListedVideo = z.infer<typeof listedVideoSchema>;

/** A name that fits a file out of any text: other characters become `_`, and a hash keeps such names apart. */
export function videoIdOf(name: string): string {
  const safe = name.replaceAll(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._]+/, "");
  if (safe === name && name.length <= 80 && name !== "") return name;
  return `${safe.slice(0, 60) || "video"}-${createHash("sha256").update(name).digest("hex").slice(0, 8)}`;
}

/** Where a listed path lies. */
export function videoPath(folder: string, path: string): string {
  return isAbsolute(path) ? path : join(folder, path);
}

/**
 * Listed videos one by one.
 *
 * @throws VansError `VANS_DATA_VIDEOS_NOT_FOUND`, `VANS_DATA_VIDEOS_INVALID` naming the line
 */
export async function* readVideoList(folder: string): AsyncGenerator<ListedVideo> {
  const path = join(folder, VIDEO_LIST_NAME);
  await access(path).catch((cause: unknown) => {
    throw new VansError("VANS_DATA_VIDEOS_NOT_FOUND", `no ${VIDEO_LIST_NAME} in ${folder}`, {
      fix: `import videos first: vans data import videos --videos DIR --out ${folder}`,
      cause,
    });
  });
  let number = 0;
  for await (const line of textLines(path)) {
    number++;
    if (line.trim() === "") continue;
    let parsed: ListedVideo;
    try {
      parsed = listedVideoSchema.parse(JSON.parse(line));
    } catch (cause) {
      throw new VansError("VANS_DATA_VIDEOS_INVALID", `${path} has a line that cannot be read`, {
        found: `line ${number}: ${line.slice(0, 120)}`,
        why: cause instanceof Error ? cause.message.slice(0, 300) : undefined,
        fix: "correct or remove the line, or import again",
        cause,
      });
    }
    yield parsed;
  }
}
