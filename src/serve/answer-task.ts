/**
 * What the server and an answering thread say to each other.
 * @module
 */
import { z } from "zod";
import type { AnswerSystem } from "./answer-systems.ts";
import type { Progress } from "./job.ts";

/** An answer to make. */
export interface AnswerTask {
  readonly suite: string;
  readonly system: AnswerSystem;
  /** Path of the clip. */
  readonly path: string;
  readonly trim: { readonly startSecs: number; readonly endSecs: number } | undefined;
  readonly question: string;
  readonly seed: number | undefined;
  readonly steps: number | undefined;
  readonly guidanceScale: number | undefined;
  readonly samples: number;
  /** Where its files go. */
  readonly folder: string;
  /** Where clients find them. */
  readonly url: string;
}

/** What happens on the way. */
export interface AnswerTold {
  readonly progress?: Progress;
  /** For clients. */
  readonly event?: { readonly name: string; readonly data: unknown };
}

/** What comes back. */
export const answerResultSchema = z.object({
  reasoning: z.string(),
  caption: z.string(),
  samples: z.array(
    z.object({ reasoning: z.string(), caption: z.string(), video: z.string(), sheet: z.string() }),
  ),
  warnings: z.array(z.object({ code: z.string(), message: z.string(), fix: z.string().optional() })),
  timingsSecs: z.record(z.string(), z.number()),
  settings: z.record(z.string(), z.unknown()),
  suite: z.string(),
  frameRateHz: z.number(),
  frameCount: z.number().int(),
  width: z.number().int(),
  height: z.number().int(),
  files: z.object({ answer: z.array(z.string()), sheet: z.string(), json: z.string(), input: z.string() }),
});
export type AnswerResult = z.infer<typeof answerResultSchema>;
