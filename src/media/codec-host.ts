/**
 * Starts codec processes, hands them work one task at a time, and stops those that crash or fall silent.
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import type { CodecReply, CodecRequest, CodecTask, SentFrame } from "./codec-protocol.ts";
import { crashed, timedOut } from "./media-errors.ts";

/** Options of {@link runCodecTask}. */
export interface CodecTaskOptions {
  /** Called for every reply but the last; the next one waits for it. */
  readonly onReply: (reply: CodecReply) => void;
  /** Frames of an `encode` task. */
  readonly frames?: Iterable<SentFrame>;
  /** Seconds without a sign of life after which the process is stopped. */
  readonly silenceSecs: number;
  readonly signal?: AbortSignal | undefined;
}

/** More processes would only wait for each other's cores. */
const MAX_PROCESSES = 2;
/** An idle process is kept this long for the next call (starting one costs some 0.2 s). */
const IDLE_SECS = 20;
/** JavaScript heap of a codec process; a damaged index must not eat the machine. */
const HEAP_MEBIBYTES = 1024;
/**
 * A process that holds more than this after a task is not used again. The codec libraries give back less than they take,
 * some MiB a clip: over thousands of clips one process would eat the machine.
 */
const RESIDENT_BYTES = 640 * 2 ** 20;
const STDERR_KEPT = 2000;
/** On a machine that is busy with training, starting a process has been seen to take half a minute. */
const STARTUP_SECS = 120;

/** Living processes; they end with this one. */
const alive = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

interface Host {
  readonly child: ChildProcess;
  stderr: string;
  /** True once the process has said something. */
  hasSpoken: boolean;
  idleTimer: NodeJS.Timeout | undefined;
  /** Memory that it held after its last task. */
  rssBytes: number;
}

const idle: Host[] = [];
const waiting: (() => void)[] = [];
let running = 0;

/**
 * Runs one task in a codec process and resolves when it is done.
 *
 * @throws the task's own error; VANS_MEDIA_TIMEOUT, VANS_MEDIA_DECODER_CRASHED, VANS_RUN_ABORTED
 */
export async function runCodecTask(task: CodecTask, options: CodecTaskOptions): Promise<void> {
  throwIfAborted(options.signal);
  while (running >= MAX_PROCESSES) await new Promise<void>((resolve) => waiting.push(resolve));
  running++;
  try {
    throwIfAborted(options.signal);
    const host = takeHost();
    try {
      await converse(host, task, options);
      release(host);
    } catch (error) {
      // A task that ended with its own error leaves a sound process; anything else does not.
      if (error instanceof TaskError) {
        release(host);
        throw error.error;
      }
      host.child.kill("SIGKILL");
      throw error;
    }
  } finally {
    running--;
    waiting.shift()?.();
  }
}

/** Stops idle codec processes now rather than after a while. */
export function closeCodecProcesses(): void {
  for (const host of idle.splice(0)) {
    clearTimeout(host.idleTimer);
    host.child.kill();
  }
}

/** Wraps an error that the task itself reported. */
class TaskError extends Error {
  readonly error: VansError;
  constructor(error: VansError) {
    super(error.message);
    this.error = error;
  }
}

function takeHost(): Host {
  for (let host = idle.pop(); host !== undefined; host = idle.pop()) {
    clearTimeout(host.idleTimer);
    if (host.child.connected && host.child.exitCode === null) {
      host.child.ref();
      host.child.channel?.ref();
      return host;
    }
  }
  return startHost();
}

function release(host: Host): void {
  if (host.rssBytes > RESIDENT_BYTES) {
    host.child.kill();
    return;
  }
  host.child.unref();
  host.child.channel?.unref();
  host.idleTimer = setTimeout(() => {
    const index = idle.indexOf(host);
    if (index >= 0) idle.splice(index, 1);
    host.child.kill();
  }, IDLE_SECS * 1000);
  host.idleTimer.unref();
  idle.push(host);
}

function startHost(): Host {
  const isSource = import.meta.url.endsWith(".ts");
  const entry = fileURLToPath(
    new URL(isSource ? "./codec-process.ts" : "./codec-process.js", import.meta.url),
  );
  const child = fork(entry, [], {
    // From the sources (tests, tsx) the child needs the same loader; the built package does not.
    execArgv: [...(isSource ? ["--import", sourceLoader()] : []), `--max-old-space-size=${HEAP_MEBIBYTES}`],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  alive.add(child);
  child.on("exit", () => alive.delete(child));
  const host: Host = { child, stderr: "", hasSpoken: false, idleTimer: undefined, rssBytes: 0 };
  child.stderr?.on("data", (chunk: Buffer) => {
    host.stderr = (host.stderr + chunk.toString("utf8")).slice(-STDERR_KEPT);
  });
  // The pipe must not keep the program alive when the process is idle.
  (child.stderr as unknown as { unref?: () => void } | null)?.unref?.();
  return host;
}

function sourceLoader(): string {
  return pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
}

function converse(host: Host, task: CodecTask, options: CodecTaskOptions): Promise<void> {
  const { child } = host;
  const what = task.kind === "encode" ? "the video encoder" : "the video decoder";
  return new Promise<void>((resolve, reject) => {
    let watchdog: NodeJS.Timeout | undefined;
    let signs = 0;
    const settle = (finish: () => void): void => {
      clearTimeout(watchdog);
      signs = -1;
      child.off("message", onMessage);
      child.off("exit", onExit);
      child.off("error", onError);
      options.signal?.removeEventListener("abort", onAbort);
      finish();
    };
    const awaitSign = (): void => {
      clearTimeout(watchdog);
      const seen = ++signs;
      const limitSecs = host.hasSpoken ? options.silenceSecs : Math.max(options.silenceSecs, STARTUP_SECS);
      watchdog = setTimeout(() => {
        // If our own thread was busy, signs of life may be waiting unread: read them before judging.
        setImmediate(() =>
          setImmediate(() => seen === signs && settle(() => reject(timedOut(what, limitSecs)))),
        );
      }, limitSecs * 1000);
    };
    const onMessage = (message: unknown): void => {
      const reply = message as CodecReply;
      host.hasSpoken = true;
      awaitSign();
      if (reply.kind === "done") {
        host.rssBytes = reply.rssBytes;
        settle(resolve);
        return;
      }
      if (reply.kind === "error") {
        const error = new VansError(reply.code, reply.message, reply.details);
        settle(() => reject(new TaskError(error)));
        return;
      }
      try {
        options.onReply(reply);
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const onExit = (code: number | null, signal: NodeJS.Signals | null): void => {
      const last = host.stderr.trim().split("\n").at(-1) ?? "";
      const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
      settle(() => reject(crashed(what, last === "" ? how : `${how}; last words: ${last.slice(0, 300)}`)));
    };
    const onError = (error: Error): void => settle(() => reject(crashed(what, error.message)));
    const onAbort = (): void => {
      settle(() => {
        try {
          throwIfAborted(options.signal);
        } catch (error) {
          reject(error);
        }
      });
    };
    child.on("message", onMessage);
    child.on("exit", onExit);
    child.on("error", onError);
    options.signal?.addEventListener("abort", onAbort);
    awaitSign();
    sendAll(child, task, options.frames ?? []).catch((error: unknown) => {
      // A send that fails because the process died is reported by its exit.
      if (child.connected) settle(() => reject(error));
    });
  });
}

async function sendAll(child: ChildProcess, task: CodecTask, frames: Iterable<SentFrame>): Promise<void> {
  await send(child, { task });
  for (const frame of frames) await send(child, { frame });
}

function send(child: ChildProcess, message: CodecRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    child.send(message, (error) => (error === null ? resolve() : reject(error)));
  });
}
