/**
 * Where the seconds of an answer go.
 * @module
 */
import { ANSWER_STAGES, type AnswerStage, type AnswerTimings } from "./answer-event.ts";

/** Sums up seconds by stage. Time that the consumer of the events takes does not count for a stage. */
export class StageClock {
  readonly #secs = new Map<AnswerStage, number>();
  readonly #started = performance.now();
  readonly #loadSecs: number;

  constructor(loadSecs: number) {
    this.#loadSecs = loadSecs;
  }

  /** Starts a stage's clock; the result stops it. */
  start(stage: AnswerStage): () => void {
    const from = performance.now();
    return () => this.#secs.set(stage, (this.#secs.get(stage) ?? 0) + (performance.now() - from) / 1000);
  }

  async measure<T>(stage: AnswerStage, work: () => Promise<T>): Promise<T> {
    const stop = this.start(stage);
    try {
      return await work();
    } finally {
      stop();
    }
  }

  timings(): AnswerTimings {
    const rounded = (secs: number): number => Math.round(secs * 1000) / 1000;
    const stages = ANSWER_STAGES.map((stage) => [
      stage,
      rounded(stage === "load" ? this.#loadSecs : (this.#secs.get(stage) ?? 0)),
    ]);
    const total = rounded(this.#loadSecs + (performance.now() - this.#started) / 1000);
    return { ...Object.fromEntries(stages), total } as AnswerTimings;
  }
}
