/**
 * The worker's side of `worker.ts`: opens a suite once and answers what it is asked. The runtime blocks its thread while
 * it computes, so anything that must stay responsive leaves the computing to such a thread.
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { internalError, isVansError } from "../base/errors.ts";
import type { AnswerEvent, AnswerReport } from "./answer-event.ts";
import { type Answerer, openAnswerer } from "./answerer.ts";
import type { SentError, WorkerCommand, WorkerReply, WorkerStart } from "./worker-protocol.ts";

if (!parentPort) throw internalError("worker-thread.ts is started as a worker only");
const port = parentPort;

const { suite, ...options } = workerData as WorkerStart;
const stops = new Map<number, AbortController>();

function sentError(error: unknown): SentError {
  if (isVansError(error)) {
    const { cause: _, ...details } = error.details;
    // Only the first line: the rest of the message is made from the details.
    const message = error.message.split("\n")[0]!;
    return { name: error.name, message, code: error.code, details: plain(details), stack: error.stack };
  }
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  return { name, message, code: undefined, details: undefined, stack };
}

/** Details hold plain data; whatever else got in is dropped rather than refused. */
function plain<T>(details: T): T {
  return JSON.parse(JSON.stringify(details)) as T;
}

function send(reply: WorkerReply): void {
  port.postMessage(reply, lastUsed(reply));
}

/** Memory that nobody here looks at again and that may move to the caller instead of being copied. */
function lastUsed(reply: WorkerReply): ArrayBuffer[] {
  const clips =
    reply.kind === "report"
      ? reply.report.samples.map((sample) => sample.clip)
      : reply.kind === "event" && reply.event.type === "step" && reply.event.preview
        ? [reply.event.preview]
        : [];
  return clips.map((clip) => clip.rgb.buffer as ArrayBuffer);
}

/** Lets messages in: an abort that waits is seen before the next step begins. */
const breathe = (): Promise<void> => new Promise((done) => setImmediate(done));

async function answerOne(
  answerer: Promise<Answerer>,
  command: Extract<WorkerCommand, { kind: "answer" }>,
): Promise<void> {
  const { id, request } = command;
  const stop = new AbortController();
  stops.set(id, stop);
  try {
    const events: AsyncGenerator<AnswerEvent, AnswerReport> = (await answerer).answer({
      ...request,
      signal: stop.signal,
    });
    for (;;) {
      const next = await events.next();
      if (next.done) return send({ kind: "report", id, report: next.value });
      // The report is sent once, as the last word.
      if (next.value.type !== "done") send({ kind: "event", id, event: next.value });
      await breathe();
    }
  } catch (error) {
    send({ kind: "error", id, error: sentError(error) });
  } finally {
    stops.delete(id);
  }
}

const answerer = openAnswerer(suite, options);
answerer.catch((error: unknown) => {
  send({ kind: "error", id: undefined, error: sentError(error) });
  port.close();
});
port.on("message", (command: WorkerCommand) => {
  if (command.kind === "abort") stops.get(command.id)?.abort();
  else void answerOne(answerer, command);
});
