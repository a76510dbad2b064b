/**
 * The codec process: reads one task after another from its parent and does it. Never imported by the rest.
 * @module
 */
import { Worker } from "node:worker_threads";
import { VansError } from "../base/errors.ts";
import type { CodecReply, CodecRequest, CodecTask, SentFrame } from "./codec-protocol.ts";
import { corrupt, notEncoded } from "./media-errors.ts";

const PROGRESS_EVERY_MS = 500;

/** Frames of the running `encode` task, as they come in. */
class FrameQueue {
  readonly #arrived: SentFrame[] = [];
  #wake: (() => void) | undefined;

  push(frame: SentFrame): void {
    this.#arrived.push(frame);
    this.#wake?.();
  }

  async *take(count: number): AsyncGenerator<SentFrame> {
    for (let taken = 0; taken < count; taken++) {
      while (this.#arrived.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
      yield this.#arrived.shift()!;
    }
  }
}

/**
 * A decoder that hangs also blocks this thread, so that it would not notice the end of its parent. This second thread
 * does.
 */
function watchParent(): void {
  const code = `setInterval(() => process.ppid === ${process.ppid} || process.kill(process.pid, "SIGKILL"), 2000)`;
  new Worker(code, { eval: true, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: 8 } }).unref();
}
let isWatching = false;

let frames = new FrameQueue();
let lastProgress = 0;

function reply(message: CodecReply): Promise<void> {
  return new Promise((resolve) => {
    // A parent that has gone away needs no answer: `disconnect` ends this process.
    if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
    else resolve();
  });
}

async function progress(): Promise<void> {
  const now = performance.now();
  if (now - lastProgress < PROGRESS_EVERY_MS) return;
  lastProgress = now;
  await reply({ kind: "progress" });
}

async function run(task: CodecTask, queue: FrameQueue): Promise<void> {
  switch (task.kind) {
    case "probe":
    case "read": {
      if (!isWatching) watchParent();
      isWatching = true;
      const { openMedia } = await import("./open-media.ts");
      const media = await openMedia(task.path, progress);
      try {
        if (task.kind === "probe") return await reply({ kind: "info", info: media.info });
        await media.read(task, (message) => (message.kind === "progress" ? progress() : reply(message)));
      } finally {
        await media.close();
      }
      return;
    }
    case "encode": {
      const { encodeMp4 } = await import("./encode-mp4.ts");
      await reply({ kind: "bytes", bytes: await encodeMp4(task, queue.take(task.frameCount)) });
      return;
    }
    case "metadata": {
      const { readContainerMetadata } = await import("./open-media.ts");
      await reply({ kind: "text", text: await readContainerMetadata(task.path) });
      return;
    }
  }
}

/** Errors of the libraries: a damaged file while reading, a refused picture while writing. */
function unexpected(task: CodecTask, error: unknown): VansError {
  return task.kind === "encode" ? notEncoded(describe(error)) : corrupt(task.path, describe(error));
}

async function answer(task: CodecTask, queue: FrameQueue): Promise<void> {
  try {
    await run(task, queue);
    await reply({ kind: "done", rssBytes: process.memoryUsage.rss() });
  } catch (error) {
    const known = error instanceof VansError ? error : unexpected(task, error);
    const { cause: _, ...details } = known.details;
    await reply({ kind: "error", code: known.code, message: known.message.split("\n")[0]!, details });
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

process.on("message", (message) => {
  const request = message as CodecRequest;
  if (request.frame !== undefined) return frames.push(request.frame);
  frames = new FrameQueue();
  void answer(request.task, frames);
});
// A first sign of life: on a busy machine starting up takes longest.
void reply({ kind: "progress" });
process.on("disconnect", () => process.exit(0));
// Libraries reject promises that nobody waits for when a damaged file surprises them; the task itself reports.
process.on("unhandledRejection", (error) => process.stderr.write(`unhandled: ${describe(error)}\n`));
