/**
 * Answers as jobs: what is asked for, what comes back, and the threads that make it.
 * @module
 */
import { mkdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import {
  type AnswerEvent,
  type AnswerReport,
  type AnswerWorker,
  DEFAULT_SUITE,
  openWorker,
  writeAnswer,
} from "../answer/index.ts";
import { isVansError } from "../base/errors.ts";
import { type Clip, readClip, writeMp4 } from "../media/index.ts";
import type { EventLog } from "./event-log.ts";
import { errorBody } from "./http-error.ts";
import { isFinal, type Job, jobSchema } from "./job.ts";
import type { JobStore } from "./job-store.ts";
import { stripOf } from "./preview-strip.ts";
import type { ServeConfig } from "./serve-config.ts";

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
type AnswerResult = z.infer<typeof answerResultSchema>;

/** An answer as clients see it. */
export const answerSchema = jobSchema.extend({
  kind: z.literal("answer"),
  request: answerRequestSchema.extend({ suite: z.string() }),
  result: answerResultSchema.nullable(),
});
export type AnswerBody = z.infer<typeof answerSchema>;

/** What the runner needs of its server. */
export interface AnswersOptions {
  readonly config: ServeConfig;
  readonly store: JobStore;
  readonly events: EventLog;
  /** Path of a clip, by the id in the request. @throws a 404 */
  clipPath(id: string): string;
  /** Told of every answer that ended, with its seconds. */
  onEnd?(state: string, secs: number): void;
}

/** A place in which one answer at a time is made. */
interface Slot {
  worker: AnswerWorker | undefined;
  suite: string | undefined;
  job: string | undefined;
}

/** The answers of a server. */
export class Answers {
  readonly #options: AnswersOptions;
  readonly #slots: Slot[];
  readonly #stops = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();
  #isClosing = false;

  constructor(options: AnswersOptions) {
    this.#options = options;
    this.#slots = Array.from({ length: options.config.workers }, () => ({
      worker: undefined,
      suite: undefined,
      job: undefined,
    }));
  }

  /** Folder of an answer. */
  folderOf(id: string): string {
    return join(this.#options.config.data, "answers", id);
  }

  /** Adds an answer to the queue. */
  async ask(request: AnswerJobRequest, client: string): Promise<Job> {
    const { store, events, config } = this.#options;
    const { group = null } = request;
    const parent = request.clip.startsWith("answer:") ? request.clip.slice("answer:".length) : null;
    const full = { ...request, suite: request.suite ?? config.suite ?? DEFAULT_SUITE };
    const job = store.add({ kind: "answer", client, group, parent, request: full });
    await events.add(job.id, "state", this.bodyOf(job));
    this.wake();
    return job;
  }

  /** An answer as clients see it. */
  bodyOf(job: Job): AnswerBody {
    const { sequence: _sequence, client: _client, attempts: _attempts, ...shown } = job;
    return { ...shown, position: this.#options.store.position(job) } as AnswerBody;
  }

  /** Stops an answer that waits or runs. */
  async cancel(id: string): Promise<void> {
    const { store } = this.#options;
    const stop = this.#stops.get(id);
    if (stop) stop.abort();
    else if (store.finish(id, "cancelled")) await this.#ended(id);
  }

  /** Begins waiting answers in free places. */
  wake(): void {
    if (this.#isClosing) return;
    for (const slot of this.#slots) {
      if (slot.job !== undefined) continue;
      const job = this.#options.store.take("answer");
      if (!job) return;
      slot.job = job.id;
      const run = this.#run(slot, job).finally(() => {
        slot.job = undefined;
        this.#running.delete(run);
        this.wake();
      });
      this.#running.add(run);
    }
  }

  /** Lets running answers end for a while, then puts them back into the queue. */
  async close(graceSecs: number): Promise<void> {
    this.#isClosing = true;
    const all = Promise.allSettled(this.#running);
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      all,
      new Promise((done) => {
        timer = setTimeout(done, graceSecs * 1000);
      }),
    ]);
    clearTimeout(timer);
    for (const stop of this.#stops.values()) stop.abort(new Error("closing"));
    await all;
    await Promise.all(this.#slots.map((slot) => slot.worker?.close()));
  }

  async #run(slot: Slot, job: Job): Promise<void> {
    const { store, events, onEnd } = this.#options;
    const started = performance.now();
    const stop = new AbortController();
    this.#stops.set(job.id, stop);
    try {
      await events.add(job.id, "state", this.bodyOf(job));
      const result = await this.#answer(slot, job, stop.signal);
      store.finish(job.id, "done", { result });
    } catch (error) {
      await rm(join(this.folderOf(job.id), "answer.json"), { force: true });
      if (isVansError(error, "VANS_WORKER_ENDED")) {
        slot.worker = undefined;
        slot.suite = undefined;
      }
      if (stop.signal.aborted && this.#isClosing) store.requeue(job.id);
      else if (stop.signal.aborted) store.finish(job.id, "cancelled");
      else if (isVansError(error, "VANS_WORKER_ENDED") && job.attempts < 2) store.requeue(job.id);
      else store.finish(job.id, "failed", { error: errorBody(error) });
      if (!isVansError(error) && !stop.signal.aborted) console.error(error);
    } finally {
      this.#stops.delete(job.id);
      const state = store.get(job.id)?.state ?? "cancelled";
      onEnd?.(state, (performance.now() - started) / 1000);
      await this.#ended(job.id);
    }
  }

  /** Tells the last state. */
  async #ended(id: string): Promise<void> {
    const { store, events } = this.#options;
    const job = store.get(id);
    if (!job) return;
    await events.add(id, "state", this.bodyOf(job));
    if (isFinal(job.state)) await events.end(id);
  }

  async #answer(slot: Slot, job: Job, signal: AbortSignal): Promise<AnswerResult> {
    const request = job.request as AnswerJobRequest & { readonly suite: string };
    if (slot.suite !== request.suite) {
      await slot.worker?.close();
      slot.worker = openWorker({ suite: request.suite, threads: 1 });
      slot.suite = request.suite;
    }
    const folder = this.folderOf(job.id);
    await mkdir(folder, { recursive: true });
    const { trim, question, seed, steps, guidanceScale, samples } = request;
    const path = this.#options.clipPath(request.clip);
    const clip: string | Clip = trim ? await trimmed(path, trim, signal) : path;
    const asked = {
      clip,
      question,
      preview: "linear" as const,
      signal,
      ...(seed !== undefined && { seed }),
      ...(steps !== undefined && { steps }),
      ...(guidanceScale !== undefined && { guidanceScale }),
      ...(samples !== undefined && { samples }),
    };
    for await (const event of slot.worker!.answer(asked)) {
      await this.#tell(job.id, event, samples ?? 1);
      if (event.type === "done") return this.#write(job.id, event.report, signal);
    }
    throw new Error("the stream of an answer ended without a report");
  }

  /** What of an event clients are told; frames and reports stay here. */
  async #tell(id: string, event: AnswerEvent, samples: number): Promise<void> {
    const { store, events } = this.#options;
    const progress = (stage: string, done: number, total: number): void =>
      store.setProgress(id, { stage, done, total, fraction: Math.min(1, done / total) });
    switch (event.type) {
      case "loaded":
        progress("load", 0, 1);
        return events.add(id, "loaded", event);
      case "input": {
        const { durationSecs, width, height, isStill } = event.input;
        await writeMp4(join(this.folderOf(id), "input.mp4"), event.input.frames);
        progress("write", 0, 1);
        return events.add(id, "input", {
          type: "input",
          durationSecs,
          width,
          height,
          isStill,
          url: this.#url(id, "input.mp4"),
        });
      }
      case "step": {
        const { preview, ...rest } = event;
        progress("denoise", event.sample * event.steps + event.step, samples * event.steps);
        return events.add(id, "step", { ...rest, ...(preview && { preview: await stripOf(preview) }) });
      }
      case "frames":
        return events.add(id, "frames", { type: "frames", sample: event.sample });
      case "done":
        return;
      default:
        return events.add(id, event.type, event);
    }
  }

  async #write(id: string, report: AnswerReport, signal: AbortSignal): Promise<AnswerResult> {
    const files = await writeAnswer(report, this.folderOf(id), { signal });
    const names = {
      videos: files.videos.map((file) => basename(file)),
      sheets: files.sheets.map((file) => basename(file)),
    };
    const [first] = report.samples;
    const json = JSON.parse(await readFile(files.json, "utf8")) as {
      readonly settings: Record<string, unknown>;
    };
    return {
      reasoning: first!.reasoning,
      caption: first!.caption,
      samples: report.samples.map(({ reasoning, caption }, index) => ({
        reasoning,
        caption,
        video: this.#url(id, names.videos[index]!),
        sheet: this.#url(id, names.sheets[index]!),
      })),
      warnings: report.warnings.map(({ code, message, fix }) => ({
        code,
        message,
        ...(fix !== undefined && { fix }),
      })),
      timingsSecs: { ...report.timingsSecs },
      settings: json.settings,
      suite: report.suite.name,
      frameRateHz: first!.clip.frameRateHz,
      frameCount: first!.clip.frameCount,
      width: first!.clip.width,
      height: first!.clip.height,
      files: {
        answer: names.videos.map((name) => this.#url(id, name)),
        sheet: this.#url(id, names.sheets[0]!),
        json: this.#url(id, basename(files.json)),
        input: this.#url(id, "input.mp4"),
      },
    };
  }

  #url(id: string, file: string): string {
    return `/api/v1/answers/${id}/files/${file}`;
  }
}

/** The seconds of a clip that are asked about, as frames. */
async function trimmed(
  path: string,
  { startSecs, endSecs }: { readonly startSecs: number; readonly endSecs: number },
  signal: AbortSignal,
): Promise<Clip> {
  // Frames are sampled again at the suite's rate; these are enough for any of them.
  const { frameCount, height, width, frameRateHz, rgb } = await readClip(path, {
    startSecs,
    endSecs: Math.max(endSecs, startSecs + 0.05),
    maxFrames: 300,
    signal,
  });
  return { frameCount, height, width, frameRateHz, rgb };
}
