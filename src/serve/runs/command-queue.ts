/**
 * Long work as processes of their own: trainings and evaluations wait in the store's queue, run one at a time, are asked to
 * stop before they are killed, and go on where they were after the server comes back.
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { errorBody } from "../http-error.ts";
import { type ErrorBody, isFinal, type Job, type JobKind } from "../job.ts";
import type { JobStore } from "../job-store.ts";

/** Time that stopped work has to write its checkpoint. */
const STOP_GRACE_MS = 60_000;
/** Lines of errors that are kept. */
const KEPT_LINES = 20;

/** How work of one kind is done. */
export interface CommandQueueOptions {
  readonly store: JobStore;
  readonly kind: JobKind;
  /** Arguments of `vans` for a job. */
  argumentsOf(job: Job): Promise<readonly string[]> | readonly string[];
  /** Every JSON line that the command prints. */
  onEvent?(job: Job, event: Readonly<Record<string, unknown>>): void | Promise<void>;
  /** The process of a job has begun. */
  onProcess?(job: Job, pid: number): void;
  /** A job has begun, ended, or waits again. */
  onState?(job: Job): void | Promise<void>;
  resultOf?(job: Job): unknown;
  readonly closing: AbortSignal;
}

/** A queue of commands. */
export class CommandQueue {
  readonly #options: CommandQueueOptions;
  #running: { readonly id: string; readonly child: ChildProcess } | undefined;
  #isStopping = false;
  #isWaking = false;

  constructor(options: CommandQueueOptions) {
    this.#options = options;
    options.closing.addEventListener("abort", () => this.#running?.child.kill("SIGTERM"), { once: true });
    // The server may not be up yet; what waits from before begins right after it.
    setImmediate(() => this.wake());
  }

  /** Begins the next job where none runs. */
  wake(): void {
    const { store, kind, closing } = this.#options;
    if (this.#running || this.#isWaking || closing.aborted) return;
    const job = store.take(kind);
    if (!job) return;
    this.#isWaking = true;
    this.#run(job)
      .catch((error: unknown) => {
        if (!closing.aborted) store.finish(job.id, "failed", { error: errorBody(error) });
      })
      .then(() => this.#told(job.id))
      .catch(() => undefined)
      .finally(() => {
        this.#isWaking = false;
        this.wake();
      });
  }

  /** Stops a job; a running one writes what it has first. */
  async stop(id: string): Promise<void> {
    const { store } = this.#options;
    const job = store.get(id);
    if (!job || isFinal(job.state)) return;
    if (this.#running?.id !== id) {
      store.finish(id, "cancelled");
      await this.#told(id);
      return;
    }
    this.#isStopping = true;
    const { child } = this.#running;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
    timer.unref();
    child.once("exit", () => clearTimeout(timer));
  }

  async #told(id: string): Promise<void> {
    const job = this.#options.store.get(id);
    if (job) await this.#options.onState?.(job);
  }

  async #run(job: Job): Promise<void> {
    const { store, closing, onEvent, onProcess, resultOf } = this.#options;
    const { command, before } = vansCommand();
    const child = spawn(command, [...before, ...(await this.#options.argumentsOf(job))], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#running = { id: job.id, child };
    this.#isStopping = false;
    await this.#told(job.id);
    if (child.pid !== undefined) onProcess?.(job, child.pid);
    const errors: string[] = [];
    createInterface({ input: child.stderr! }).on("line", (line) => {
      errors.push(line.slice(0, 500));
      if (errors.length > KEPT_LINES) errors.shift();
    });
    let told: Promise<void> = Promise.resolve();
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const event = parsedEvent(line);
      if (event) told = told.then(() => onEvent?.(job, event)).catch(() => undefined);
    });
    const code = await new Promise<number | null>((done) => {
      child.once("error", (error) => {
        errors.push(error.message);
        done(null);
      });
      child.once("close", (status) => done(status));
    });
    await told;
    this.#running = undefined;
    if (code === 0) store.finish(job.id, "done", { result: resultOf?.(job) ?? {} });
    else if (closing.aborted) store.requeue(job.id);
    else if (this.#isStopping) store.finish(job.id, "cancelled");
    else store.finish(job.id, "failed", { error: failure(code, errors) });
  }
}

function parsedEvent(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function failure(code: number | null, lines: readonly string[]): ErrorBody {
  return {
    code: "VANS_SERVE_COMMAND_FAILED",
    message: lines.find((line) => /\bVANS_[A-Z_]+\b|\berror\b/i.test(line)) ?? "the command ended with an error",
    found: `exit ${code ?? "by a signal"}${lines.length > 0 ? `: ${lines.slice(-6).join(" · ")}` : ""}`.slice(0, 1500),
    fix: "the same command on the command line shows everything",
  };
}

/** How `vans` is run: compiled as it is, from sources through tsx. */
export function vansCommand(): { readonly command: string; readonly before: readonly string[] } {
  const isSource = import.meta.url.endsWith(".ts");
  const main = fileURLToPath(new URL(`../../cli/main.${isSource ? "ts" : "js"}`, import.meta.url));
  const loader = isSource
    ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href]
    : [];
  return { command: process.execPath, before: [...loader, main] };
}
