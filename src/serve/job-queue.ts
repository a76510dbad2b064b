/**
 * Takes jobs from the store, begins them in free places, and keeps what comes of them. What a job does belongs to the
 * runner of its kind.
 * @module
 */
import { isVansError } from "../base/errors.ts";
import type { EventLog } from "./event-log.ts";
import { errorBody } from "./http-error.ts";
import { isFinal, type Job, type JobKind } from "./job.ts";
import type { JobStore } from "./job-store.ts";

/** Does the jobs of one kind. */
export interface JobRunner {
  /** How many run at a time. */
  readonly places: number;
  /**
   * Does a job and returns its result, as plain data. Nothing heavy may run in the caller's thread.
   * @param place the number of its place, 0 … places - 1; no other job has it meanwhile
   */
  run(job: Job, place: number, signal: AbortSignal): Promise<unknown>;
  /** The job as clients see it; `position` is among it. */
  bodyOf(job: Job): object;
  /** Ends what runs, whatever it is doing. */
  close?(): Promise<void>;
}

/** What a queue works with. */
export interface JobQueueOptions {
  readonly store: JobStore;
  readonly events: EventLog;
  /** Where the server keeps its things; errors do not tell. */
  readonly folder: string;
  /** Told of every job that ended, with its seconds. */
  onEnd?(kind: JobKind, state: string, secs: number): void;
}

/** A job whose thread ended under it is begun so often. */
const MOST_ATTEMPTS = 2;
/** Milliseconds that work may take to notice that the server stops. */
const ABORT_MS = 5000;

/** The jobs of a server. */
export class JobQueue {
  readonly #options: JobQueueOptions;
  readonly #runners = new Map<JobKind, { readonly runner: JobRunner; readonly free: number[] }>();
  readonly #stops = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();
  #isStarted = false;
  #isClosing = false;

  constructor(options: JobQueueOptions) {
    this.#options = options;
  }

  /** Names who does the jobs of a kind. */
  serve(kind: JobKind, runner: JobRunner): void {
    const free = Array.from({ length: runner.places }, (_, place) => runner.places - 1 - place);
    this.#runners.set(kind, { runner, free });
    this.#wake(kind);
  }

  /** Begins what waits. */
  start(): void {
    this.#isStarted = true;
    for (const kind of this.#runners.keys()) this.#wake(kind);
  }

  /** Adds a job to the end of the queue. */
  async add(job: Pick<Job, "kind" | "client" | "group" | "parent" | "request">): Promise<Job> {
    const { store, events } = this.#options;
    const added = store.add(job);
    await events.add(added.id, "state", this.bodyOf(added));
    this.#wake(job.kind);
    return store.get(added.id) ?? added;
  }

  /** A job as clients see it. */
  bodyOf(job: Job): object {
    return this.#runners.get(job.kind)?.runner.bodyOf(job) ?? shownJob(job, this.#options.store);
  }

  /** Stops a job that waits or runs; one that has ended stays as it is. */
  async cancel(id: string): Promise<void> {
    const stop = this.#stops.get(id);
    if (stop) stop.abort();
    else if (this.#options.store.finish(id, "cancelled")) await this.#tellState(id);
  }

  /** Lets running jobs end for a while, then puts them back into the queue. */
  async close(graceSecs: number): Promise<void> {
    this.#isClosing = true;
    if (!(await endedWithin(this.#running, graceSecs * 1000))) {
      for (const stop of this.#stops.values()) stop.abort(new Error("the server stops"));
      await endedWithin(this.#running, ABORT_MS);
    }
    await Promise.all([...this.#runners.values()].map(({ runner }) => runner.close?.()));
    await endedWithin(this.#running, ABORT_MS);
  }

  #wake(kind: JobKind): void {
    const found = this.#runners.get(kind);
    if (!found || !this.#isStarted || this.#isClosing) return;
    const { runner, free } = found;
    while (free.length > 0) {
      const job = this.#options.store.take(kind);
      if (!job) return;
      const place = free.pop()!;
      const run = this.#run(runner, job, place).finally(() => {
        free.push(place);
        this.#running.delete(run);
        this.#wake(kind);
      });
      this.#running.add(run);
    }
  }

  async #run(runner: JobRunner, job: Job, place: number): Promise<void> {
    const { store, onEnd } = this.#options;
    const started = performance.now();
    const stop = new AbortController();
    this.#stops.set(job.id, stop);
    try {
      await this.#tellState(job.id);
      const result = await runner.run(job, place, stop.signal);
      store.finish(job.id, "done", { result });
    } catch (error) {
      const isLost = isVansError(error, "VANS_WORKER_ENDED");
      if (this.#isClosing && (stop.signal.aborted || isLost)) store.requeue(job.id);
      else if (stop.signal.aborted) store.finish(job.id, "cancelled");
      else if (isLost && job.attempts < MOST_ATTEMPTS) store.requeue(job.id);
      else store.finish(job.id, "failed", { error: errorBody(error, this.#options.folder) });
      if (!isVansError(error) && !stop.signal.aborted) console.error(error);
    } finally {
      this.#stops.delete(job.id);
      const state = store.get(job.id)?.state ?? "cancelled";
      onEnd?.(job.kind, state, (performance.now() - started) / 1000);
      await this.#tellState(job.id);
    }
  }

  async #tellState(id: string): Promise<void> {
    const { store, events } = this.#options;
    const job = store.get(id);
    if (!job) return;
    await events.add(id, "state", this.bodyOf(job));
    if (isFinal(job.state)) await events.end(id);
  }
}

/** The fields of a job that clients see. */
export function shownJob(job: Job, store: JobStore): object {
  const { sequence: _sequence, client: _client, attempts: _attempts, ...shown } = job;
  return { ...shown, position: store.position(job) };
}

/** Waits for all, but not for ever. @returns whether all have ended */
async function endedWithin(all: Iterable<Promise<void>>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const isDone = await Promise.race([
    Promise.allSettled(all).then(() => true),
    new Promise<false>((done) => {
      timer = setTimeout(() => done(false), ms);
    }),
  ]);
  clearTimeout(timer);
  return isDone;
}
