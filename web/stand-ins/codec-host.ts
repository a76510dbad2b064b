/**
 * Media tasks done in this thread: the page's worker is already apart, and the decoder is the browser's own.
 * Takes the place of src/media/codec-host.ts.
 * @module
 */
import { throwIfAborted } from "../../src/base/abort.ts";
import { VansError } from "../../src/base/errors.ts";
import type { CodecReply, CodecTask, SentFrame } from "../../src/media/codec-protocol.ts";
import { encodeMp4 } from "../../src/media/encode-mp4.ts";
import { corrupt, notEncoded } from "../../src/media/media-errors.ts";
import { openMedia, readContainerMetadata } from "../../src/media/open-media.ts";

interface TaskOptions {
  readonly onReply: (reply: CodecReply) => void;
  readonly frames?: Iterable<SentFrame>;
  readonly signal?: AbortSignal | undefined;
}

async function* each(frames: Iterable<SentFrame>): AsyncGenerator<SentFrame> {
  yield* frames;
}

async function run(task: CodecTask, { onReply, frames, signal }: TaskOptions): Promise<void> {
  if (task.kind === "encode") {
    onReply({ kind: "bytes", bytes: await encodeMp4(task, each(frames ?? [])) });
    return;
  }
  if (task.kind === "metadata") {
    onReply({ kind: "text", text: await readContainerMetadata(task.path) });
    return;
  }
  const media = await openMedia(task.path, async () => throwIfAborted(signal));
  try {
    if (task.kind === "probe") return onReply({ kind: "info", info: media.info });
    await media.read(task, async (reply) => {
      throwIfAborted(signal);
      onReply(reply as CodecReply);
    });
  } finally {
    await media.close();
  }
}

/** See src/media/codec-host.ts. */
export async function runCodecTask(task: CodecTask, options: TaskOptions): Promise<void> {
  throwIfAborted(options.signal);
  try {
    await run(task, options);
  } catch (error) {
    if (error instanceof VansError) throw error;
    const found = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    throw task.kind === "encode" ? notEncoded(found) : corrupt(task.path, found);
  }
}

/** There are none. */
export function closeCodecProcesses(): void {}
