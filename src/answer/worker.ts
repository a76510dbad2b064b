/**
 * Answering in a worker thread, so that the caller's own thread stays free for a progress bar, a server, or Ctrl-C.
 * @module
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import type { AnswerEvent, AnswerReport } from "./answer-event.ts";
import type { AnswerRequest } from "./answer-request.ts";
import type { AnswererOptions } from "./answerer.ts";
import type { SentError, WorkerCommand, WorkerReply, WorkerStart } from "./worker-protocol.ts";

/** How a worker is opened. */
export interface WorkerOptions extends AnswererOptions {
  /** Name of a bundled suite or path of a folder. Default `playroom`. */
  readonly suite?: string | undefined;
}

/** An answer that a worker is busy with. */
interface Pending {
  readonly queue: AnswerEvent[];
  report?: AnswerReport;
  error?: Error;
  wake: () => void;
}

/** Starts a worker with a suite. Suites that cannot be opened are reported by the first answer. */
export function openWorker(options: WorkerOptions = {}): AnswerWorker {
  return new AnswerWorker(options);
}

/** A suite that answers in a thread of its own. Close it when done. */
export class AnswerWorker {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #failure: Error | undefined;
  #count = 0;

  constructor(options: WorkerOptions) {
    const { suite, device, memory, quantized, threads } = options;
    const start: WorkerStart = {
      suite,
      ...(device !== undefined && { device }),
      ...(memory !== undefined && { memory }),
      ...(quantized !== undefined && { quantized }),
      ...(threads !== undefined && { threads }),
    };
    this.#worker = startThread(start);
    this.#worker.on("message", (reply: WorkerReply) => this.#take(reply));
    this.#worker.on("error", (error) => this.#fail(error));
    this.#worker.on("exit", (code) => {
      this.#fail(
        new VansError("VANS_WORKER_ENDED", "the answering thread ended", { found: `exit code ${code}` }),
      );
    });
    // Idle, it keeps no program alive.
    this.#worker.unref();
  }

  /** As {@link answer}; events and errors are those of the worker. */
  async *answer(request: AnswerRequest): AsyncGenerator<AnswerEvent, AnswerReport> {
    const { signal, ...rest } = request;
    throwIfAborted(signal);
    if (this.#failure) throw this.#failure;
    const id = this.#count++;
    const pending: Pending = { queue: [], wake: () => undefined };
    this.#pending.set(id, pending);
    const abort = (): void => this.#send({ kind: "abort", id });
    signal?.addEventListener("abort", abort);
    this.#worker.ref();
    try {
      this.#send({ kind: "answer", id, request: rest });
      for (;;) {
        for (const event of pending.queue.splice(0)) yield event;
        if (pending.error) throw pending.error;
        if (pending.report) {
          yield { type: "done", report: pending.report };
          return pending.report;
        }
        await new Promise<void>((wake) => {
          pending.wake = wake;
          if (pending.queue.length > 0 || pending.error || pending.report) wake();
        });
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      // Left early: the worker should not go on for nobody.
      if (!pending.report && !pending.error) abort();
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#worker.unref();
    }
  }

  /** Ends the thread, whatever it is doing, and frees its memory. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #send(command: WorkerCommand): void {
    this.#worker.postMessage(command);
  }

  #take(reply: WorkerReply): void {
    if (reply.kind === "error" && reply.id === undefined) {
      this.#fail(receivedError(reply.error));
      return;
    }
    const pending = this.#pending.get(reply.id!);
    if (!pending) return;
    if (reply.kind === "event") pending.queue.push(reply.event);
    else if (reply.kind === "report") pending.report = reply.report;
    else pending.error = receivedError(reply.error);
    pending.wake();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const pending of this.#pending.values()) {
      pending.error ??= this.#failure;
      pending.wake();
    }
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

function receivedError(sent: SentError): Error {
  const error = sent.code
    ? new VansError(sent.code, sent.message, sent.details ?? {})
    : Object.assign(new Error(sent.message), { name: sent.name });
  if (sent.stack !== undefined) error.stack = sent.stack;
  return error;
}

/**
 * Answers one question in a worker of its own; see {@link answer}. For several questions keep one {@link openWorker}.
 */
export async function* answerInWorker(
  options: AnswerRequest & WorkerOptions,
): AsyncGenerator<AnswerEvent, AnswerReport> {
  const { suite, device, memory, quantized, threads, ...request } = options;
  const worker = openWorker({
    suite,
    ...(device !== undefined && { device }),
    ...(memory !== undefined && { memory }),
    ...(quantized !== undefined && { quantized }),
    ...(threads !== undefined && { threads }),
  });
  try {
    return yield* worker.answer(request);
  } finally {
    await worker.close();
  }
}
