/**
 * A thread that does one task after the other, so that the server's own thread stays free. Threads that do not stop when told
 * to, or that take too long, are ended.
 * @module
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { receivedError, type SentError } from "./sent-error.ts";

/** Host to thread. */
export type ThreadCommand =
  | { readonly kind: "task"; readonly id: number; readonly task: unknown }
  | { readonly kind: "abort"; readonly id: number };

/** Thread to host; a task ends with `result` or `error`. */
export type ThreadReply =
  | { readonly kind: "told"; readonly id: number; readonly told: unknown }
  | { readonly kind: "result"; readonly id: number; readonly result: unknown }
  | { readonly kind: "error"; readonly id: number; readonly error: SentError };

/** How a task is run. */
export interface TaskOptions<Told> {
  readonly signal?: AbortSignal | undefined;
  /** What the task tells on its way, in order; the result waits for all of it. */
  onTold?(told: Told): Promise<void> | void;
  /** Seconds after which the thread is ended. Default: never. */
  readonly limitSecs?: number;
}

/** Seconds that a task may go on after it was told to stop. */
const ABORT_SECS = 30;

interface Pending {
  take(reply: ThreadReply): void;
  fail(error: Error): void;
}

/** See {@link serveTasks} for the other side. */
export class TaskThread<Task, Told, Result> {
  readonly #entry: string;
  #worker: Worker | undefined;
  #pending: Pending | undefined;
  #count = 0;

  /** @param entry name of the thread's file in this folder, without its ending */
  constructor(entry: string) {
    this.#entry = entry;
  }

  /** Runs a task; one at a time. @throws what the task throws; `VANS_WORKER_ENDED`, `VANS_SERVE_TIMEOUT` */
  async run(task: Task, options: TaskOptions<Told> = {}): Promise<Result> {
    const { signal, onTold, limitSecs } = options;
    throwIfAborted(signal);
    const id = this.#count++;
    this.#worker ??= this.#start();
    const worker = this.#worker;
    let told: Promise<void> = Promise.resolve();
    const timers: NodeJS.Timeout[] = [];
    const endAfter = (secs: number, error: () => Error): void => {
      timers.push(
        setTimeout(() => {
          this.#pending?.fail(error());
          void this.close();
        }, secs * 1000),
      );
    };
    const abort = (): void => {
      worker.postMessage({ kind: "abort", id } satisfies ThreadCommand);
      endAfter(ABORT_SECS, ended);
    };
    try {
      const result = await new Promise<Result>((done, fail) => {
        this.#pending = {
          fail,
          take: (reply) => {
            if (reply.id !== id) return;
            if (reply.kind === "result") done(reply.result as Result);
            else if (reply.kind === "error") fail(receivedError(reply.error));
            else told = told.then(() => onTold?.(reply.told as Told));
          },
        };
        if (limitSecs !== undefined) endAfter(limitSecs, () => tooSlow(limitSecs));
        signal?.addEventListener("abort", abort);
        worker.postMessage({ kind: "task", id, task } satisfies ThreadCommand);
      });
      await told;
      return result;
    } finally {
      for (const timer of timers) clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      this.#pending = undefined;
      await told.catch(() => undefined);
    }
  }

  /** Ends the thread, whatever it is doing; the next task starts a new one. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#pending?.fail(ended());
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = startThread(this.#entry);
    const fail = (error: Error): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#pending?.fail(error);
    };
    worker.on("message", (reply: ThreadReply) => {
      if (this.#worker === worker) this.#pending?.take(reply);
    });
    worker.on("error", (error) => fail(ended(String(error))));
    worker.on("exit", (code) => fail(ended(`exit code ${code}`)));
    return worker;
  }
}

function ended(found?: string): VansError {
  return new VansError("VANS_WORKER_ENDED", "the thread that worked on this ended", {
    ...(found !== undefined && { found }),
    fix: "try again; if it happens again, the server's log says more",
  });
}

function tooSlow(limitSecs: number): VansError {
  return new VansError("VANS_SERVE_TIMEOUT", "this took too long", {
    found: `more than ${limitSecs} s`,
    fix: "send a shorter or smaller clip",
  });
}

function startThread(entry: string): Worker {
  if (!import.meta.url.endsWith(".ts")) return new Worker(new URL(`./${entry}.js`, import.meta.url));
  // From the sources (tests, tsx) a thread has to register the loader itself before it can read TypeScript.
  const api = createRequire(import.meta.url)
    .resolve("tsx/esm/api")
    .replace(/\.cjs$/, ".mjs");
  const loader = pathToFileURL(api).href;
  const file = new URL(`./${entry}.ts`, import.meta.url).href;
  const code = `import(${JSON.stringify(loader)}).then(({ register }) => { register(); return import(${JSON.stringify(file)}); })`;
  return new Worker(code, { eval: true, execArgv: [] });
}
