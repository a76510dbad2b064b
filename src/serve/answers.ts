/**
 * Answers as jobs: what is asked for, and the threads that make it.
 * @module
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ANSWER_SYSTEMS } from "./answer-systems.ts";
import { type AnswerResult, type AnswerTask, type AnswerTold, answerResultSchema } from "./answer-task.ts";
import type { EventLog } from "./event-log.ts";
import { type Job, jobSchema } from "./job.ts";
import { type JobQueue, type JobRunner, shownJob } from "./job-queue.ts";
import type { JobStore } from "./job-store.ts";
import type { ServeConfig } from "./serve-config.ts";
import { TaskThread } from "./task-thread.ts";

/** Longest question, in characters. */
const MAX_QUESTION = 500;

/** What is asked for. */
export const answerRequestSchema = z.strictObject({
  clip: z
    .string()
    .min(1)
    .max(100)
    .describe("Id of an upload or of an example, or `answer:ID` to go on from an answer's video"),
  question: z.string().trim().min(1).max(MAX_QUESTION),
  suite: z.string().min(1).max(100).optional(),
  system: z
    .enum(ANSWER_SYSTEMS)
    .optional()
    .describe(
      "`suite` (default) answers; to compare with: `cascade` draws the caption without seeing the clip, `extension` goes on with the clip without a caption",
    ),
  trim: z
    .strictObject({ startSecs: z.number().min(0).max(1e6), endSecs: z.number().min(0).max(1e6) })
    .optional()
    .describe("Only these seconds of the clip"),
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .optional(),
  steps: z.number().int().min(1).max(200).optional(),
  guidanceScale: z.number().min(0).max(50).optional(),
  samples: z.number().int().min(1).max(8).optional().describe("How many futures"),
  group: z.string().min(1).max(64).optional().describe("Answers that belong together share it"),
});
export type AnswerJobRequest = z.infer<typeof answerRequestSchema>;

/** An answer as clients see it. */
export const answerSchema = jobSchema.extend({
  kind: z.literal("answer"),
  request: answerRequestSchema.extend({ suite: z.string(), system: z.enum(ANSWER_SYSTEMS) }),
  result: answerResultSchema.nullable(),
});
export type AnswerBody = z.infer<typeof answerSchema>;

/** What answers need of their server. */
export interface AnswersOptions {
  readonly config: ServeConfig;
  readonly store: JobStore;
  readonly events: EventLog;
  readonly queue: JobQueue;
  /** Path of a clip, by the id in the request. @throws a 404 */
  clipPath(id: string): string;
}

/** The answers of a server. */
export class Answers implements JobRunner {
  readonly places: number;
  readonly #options: AnswersOptions;
  readonly #threads: readonly TaskThread<AnswerTask, AnswerTold, AnswerResult>[];

  constructor(options: AnswersOptions) {
    this.#options = options;
    this.places = options.config.workers;
    this.#threads = Array.from({ length: this.places }, () => new TaskThread("answer-thread"));
    options.queue.serve("answer", this);
  }

  /** Folder of an answer. */
  folderOf(id: string): string {
    return join(this.#options.config.data, "answers", id);
  }

  /** Adds an answer to the queue. */
  async ask(request: AnswerJobRequest, client: string): Promise<Job> {
    const { queue, config } = this.#options;
    const { group = null } = request;
    const parent = request.clip.startsWith("answer:") ? request.clip.slice("answer:".length) : null;
    const full = { ...request, suite: request.suite ?? config.suite, system: request.system ?? "suite" };
    return queue.add({ kind: "answer", client, group, parent, request: full });
  }

  /** An answer as clients see it. */
  bodyOf(job: Job): AnswerBody {
    return shownJob(job, this.#options.store) as AnswerBody;
  }

  async run(job: Job, place: number, signal: AbortSignal): Promise<AnswerResult> {
    const { store, events, clipPath } = this.#options;
    const request = job.request as AnswerBody["request"];
    const folder = this.folderOf(job.id);
    const { suite, system = "suite", question, trim, seed, steps, guidanceScale, samples = 1 } = request;
    try {
      return await this.#threads[place]!.run(
        {
          ...{ suite, system, question, trim, seed, steps, guidanceScale, samples, folder },
          path: clipPath(request.clip),
          url: `/api/v1/answers/${job.id}/files`,
        },
        {
          signal,
          onTold: async ({ progress, event }) => {
            if (progress) store.setProgress(job.id, progress);
            if (event) await events.add(job.id, event.name, event.data);
          },
        },
      );
    } catch (error) {
      // No half of an answer stays.
      await rm(join(folder, "answer.json"), { force: true });
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}
