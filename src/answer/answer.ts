/**
 * Answering one question in one call.
 * @module
 */
import type { AnswerEvent, AnswerReport } from "./answer-event.ts";
import type { AnswerRequest } from "./answer-request.ts";
import { type Answerer, type AnswererOptions, openAnswerer } from "./answerer.ts";
import type { Suite } from "./suite.ts";

/** A question, and what is to answer it. */
export interface AnswerOptions extends AnswerRequest, AnswererOptions {
  /** Name of a bundled suite, path of a folder with a `suite.json`, or a loaded suite. Default `playroom`. */
  readonly suite?: Suite | string | undefined;
  /** An open answerer, which stays open; the suite, device, memory and threads are then its own. */
  readonly reuse?: Answerer | undefined;
}

/**
 * Answers a question about a clip with a clip, as a stream of events. The last one, `done`, carries the report, which the
 * generator also returns. Everything is given back at the end, also after an error or when the stream is left early.
 *
 * The same clip, question, suite and seed give the same answer on the same machine and version; the random numbers are
 * the same on any machine.
 *
 * @throws `VANS_SUITE_…`, `VANS_MEDIA_…`, `VANS_CLIP_INVALID`, `VANS_ANSWER_REQUEST`, `VANS_DEVICE_UNUSABLE`,
 * `VANS_MODEL_TOO_LONG`, `VANS_RUN_ABORTED` within one step of the signal
 */
export async function* answer(options: AnswerOptions): AsyncGenerator<AnswerEvent, AnswerReport> {
  const { suite, reuse, device, memory, quantized, threads, ...request } = options;
  if (reuse) return yield* reuse.answer(request);
  const answerer = await openAnswerer(suite, {
    ...(device !== undefined && { device }),
    ...(memory !== undefined && { memory }),
    ...(quantized !== undefined && { quantized }),
    ...(threads !== undefined && { threads }),
  });
  try {
    return yield* answerer.answer(request);
  } finally {
    await answerer.release();
  }
}

/** Reads a stream of events to its end. @returns the report */
export async function finalReport(events: AsyncGenerator<AnswerEvent, AnswerReport>): Promise<AnswerReport> {
  for (;;) {
    const next = await events.next();
    if (next.done) return next.value;
  }
}
