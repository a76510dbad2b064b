/**
 * Several workers that share the samples of an evaluation. Each has a thread of its own with one thread for its models:
 * the models are too small to keep two cores busy with one sample.
 * @module
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import type { PartOutcome } from "./part-row.ts";
import {
  receivedError,
  type WorkerCommand,
  type WorkerItem,
  type WorkerReply,
  type WorkerStart,
} from "./worker-protocol.ts";

/** Work for {@link runWorkers}. */
export interface WorkersOptions<Task> {
  readonly start: WorkerStart;
  readonly workers: number;
  readonly tasks: readonly Task[];
  /** Makes a task ready, for example reads its clip; done ahead of time, in the caller's thread. */
  readonly prepare: (task: Task) => Promise<WorkerItem>;
  readonly signal?: AbortSignal | undefined;
}

/** A worker that is asked to end may take this long for it. */
const CLOSE_SECS = 10;

/**
 * Evaluates tasks on several workers, yielding outcomes as they come. All workers have ended when it returns or throws.
 *
 * @throws what a worker or `prepare` throws first; `VANS_RUN_ABORTED`, `VANS_WORKER_ENDED`
 */
export async function* runWorkers<Task>(options: WorkersOptions<Task>): AsyncGenerator<PartOutcome, void> {
  const { start, tasks, prepare, signal } = options;
  throwIfAborted(signal);
  const count = Math.min(options.workers, tasks.length);
  const workers = Array.from({ length: count }, () => new EvaluationWorker(start));
  const arrived: PartOutcome[] = [];
  let failure: unknown;
  let wake = (): void => undefined;
  let taken = 0;
  const stopAll = (): void => {
    taken = tasks.length;
    for (const worker of workers) worker.stop();
  };
  const takeNext = (): Promise<WorkerItem> | undefined => {
    const task = tasks[taken];
    if (taken >= tasks.length || task === undefined) return undefined;
    taken++;
    const item = prepare(task);
    // Looked at when its turn comes.
    item.catch(() => undefined);
    return item;
  };
  const serve = async (worker: EvaluationWorker): Promise<void> => {
    let next = takeNext();
    while (next) {
      const item = await next;
      // The next clip is read while this one is worked on.
      next = takeNext();
      await worker.evaluate(item, (outcome) => {
        arrived.push(outcome);
        wake();
      });
    }
  };
  signal?.addEventListener("abort", stopAll);
  let running = workers.length;
  for (const worker of workers) {
    serve(worker)
      .catch((error: unknown) => {
        failure ??= error;
        stopAll();
      })
      .finally(() => {
        running--;
        wake();
      });
  }
  try {
    while (running > 0 || arrived.length > 0) {
      yield* arrived.splice(0);
      if (running === 0) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (arrived.length > 0 || running === 0) resolve();
      });
    }
    throwIfAborted(signal);
    if (failure) throw failure;
  } finally {
    signal?.removeEventListener("abort", stopAll);
    stopAll();
    await Promise.all(workers.map((worker) => worker.close()));
  }
}

/** One worker, which evaluates one item at a time. */
class EvaluationWorker {
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  #failure: Error | undefined;
  #onReply: (reply: WorkerReply | undefined) => void = () => undefined;

  constructor(start: WorkerStart) {
    this.#worker = startThread(start);
    this.#worker.on("message", (reply: WorkerReply) => this.#onReply(reply));
    this.#worker.on("error", (error: unknown) => {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    });
    this.#ended = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        this.#failure ??= new VansError("VANS_WORKER_ENDED", "an evaluating thread ended", {
          found: `exit code ${code}`,
        });
        this.#onReply(undefined);
        resolve();
      });
    });
  }

  /** Evaluates an item. Outcomes come through the callback; resolves when all are there. */
  evaluate(item: WorkerItem, onOutcome: (outcome: PartOutcome) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#onReply = (reply) => {
        if (!reply) return reject(this.#failure);
        if (reply.kind === "outcome") return onOutcome(reply.outcome);
        this.#onReply = () => undefined;
        if (reply.kind === "done") resolve();
        else reject(receivedError(reply.error));
      };
      this.#send({ kind: "item", item });
    });
  }

  /** Stops the item in work within one step of its models. */
  stop(): void {
    this.#send({ kind: "stop" });
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    this.#send({ kind: "close" });
    const timer = setTimeout(() => void this.#worker.terminate(), CLOSE_SECS * 1000);
    await this.#ended;
    clearTimeout(timer);
  }

  #send(command: WorkerCommand): void {
    this.#worker.postMessage(command);
  }
}

function startThread(start: WorkerStart): Worker {
  if (!import.meta.url.endsWith(".ts"))
    return new Worker(new URL("./worker-thread.js", import.meta.url), { workerData: start });
  // From the sources (tests, tsx) a thread has to register the loader itself before it can read TypeScript.
  const api = createRequire(import.meta.url)
    .resolve("tsx/esm/api")
    .replace(/\.cjs$/, ".mjs");
  const loader = pathToFileURL(api).href;
  const entry = new URL("./worker-thread.ts", import.meta.url).href;
  const code = `import(${JSON.stringify(loader)}).then(({ register }) => { register(); return import(${JSON.stringify(entry)}); })`;
  return new Worker(code, { eval: true, workerData: start, execArgv: [] });
}
