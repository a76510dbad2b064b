/**
 * What an answer's mp4 says about itself: everything needed to make it again.
 * @module
 */
import { resolve } from "node:path";
import { z } from "zod";
import { VansError } from "../base/errors.ts";
import { readMp4Metadata } from "../media/index.ts";
import type { AnsweredSample, AnswerReport } from "./answer-event.ts";
import { BUNDLED_SUITES } from "./suite.ts";
import { answerSchema } from "./suite-manifest.ts";

const metadataSchema = z.object({
  vans: z.string(),
  question: z.string(),
  reasoning: z.string(),
  caption: z.string(),
  seed: z.int().nonnegative(),
  /** Number of this future. */
  sample: z.int().nonnegative(),
  input: z.object({
    /** Absolute; null where the clip was given as frames. */
    path: z.string().nullable(),
    sha256: z.string().nullable(),
  }),
  suite: z.object({
    name: z.string(),
    version: z.string(),
    /** Name of a bundled suite, else the absolute path of its folder. */
    reference: z.string(),
    hashes: z.record(z.string(), z.string()),
  }),
  settings: answerSchema,
  device: z.string(),
  versions: z.object({ node: z.string(), onnxruntime: z.string(), platform: z.string() }),
  framesSha256: z.string(),
});

/** The settings inside an `answer.mp4`. */
export type AnswerMetadata = z.infer<typeof metadataSchema>;

/** The metadata of one future. It holds no times, so the same answer is the same file. */
export function answerMetadata(report: AnswerReport, sample: AnsweredSample): AnswerMetadata {
  const { suite, input, settings, versions } = report;
  const { samples: _samples, firstSample: _first, ...own } = settings;
  return {
    vans: versions.vans,
    question: report.question,
    reasoning: sample.reasoning,
    caption: sample.caption,
    seed: settings.seed,
    sample: sample.sample,
    input: { path: input.path === undefined ? null : resolve(input.path), sha256: input.sha256 ?? null },
    suite: {
      name: suite.name,
      version: suite.version,
      reference:
        resolve(BUNDLED_SUITES, suite.name) === resolve(suite.folder) ? suite.name : resolve(suite.folder),
      hashes: suite.hashes,
    },
    settings: own,
    device: report.device,
    versions: { node: versions.node, onnxruntime: versions.onnxruntime, platform: versions.platform },
    framesSha256: sample.framesSha256,
  };
}

/**
 * Reads the settings inside an answer's mp4.
 *
 * @throws `VANS_AGAIN_NO_SETTINGS` where the file holds none, and what reading a media file throws
 */
export async function readAnswerMetadata(
  path: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<AnswerMetadata> {
  const text = await readMp4Metadata(path, options);
  const refuse = (found: string): VansError =>
    new VansError("VANS_AGAIN_NO_SETTINGS", "the file does not say how it was made", {
      asked: path,
      found,
      why: "it was not made by vans, or a program that removes such notes has rewritten it",
      fix: "give the answer.mp4 as vans wrote it",
      data: { path },
    });
  if (text === undefined) throw refuse("no comment in the file");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw refuse("a comment that is not JSON");
  }
  const parsed = metadataSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw refuse(`a comment without sound settings (${issue?.path.join(".")}: ${issue?.message})`);
}
