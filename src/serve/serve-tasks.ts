/**
 * The thread's side of `task-thread.ts`.
 * @module
 */
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { internalError } from "../base/errors.ts";
import { sentError } from "./sent-error.ts";
import type { ThreadCommand, ThreadReply } from "./task-thread.ts";

/** What a task may use. */
export interface TaskTools<Told> {
  readonly signal: AbortSignal;
  tell(told: Told): void;
}

/** Lets messages in: a stop that waits is seen before the next step begins. */
export const breathe = (): Promise<void> => new Promise((done) => setImmediate(done));

/** Does what the host asks for. */
export function serveTasks<Task, Told, Result>(
  run: (task: Task, tools: TaskTools<Told>) => Promise<Result>,
): void {
  if (!parentPort) throw internalError("this module is started as a thread only");
  standBack();
  const port = parentPort;
  const stops = new Map<number, AbortController>();
  const send = (reply: ThreadReply): void => port.postMessage(reply);
  port.on("message", (command: ThreadCommand) => {
    const { id } = command;
    if (command.kind === "abort") {
      stops.get(id)?.abort();
      return;
    }
    const stop = new AbortController();
    stops.set(id, stop);
    const tools: TaskTools<Told> = { signal: stop.signal, tell: (told) => send({ kind: "told", id, told }) };
    void run(command.task as Task, tools)
      .then(
        (result) => send({ kind: "result", id, result }),
        (error: unknown) => send({ kind: "error", id, error: sentError(error) }),
      )
      .finally(() => stops.delete(id));
  });
}

/** How much less than the server's own thread the others count where all want the same cores. */
const NICENESS = 5;

/**
 * The server's own thread has little to do and must do it at once: this thread, and those that it starts from now on, let it
 * go first. Linux tells threads apart; elsewhere all stay equal.
 */
function standBack(): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(Number(readlinkSync("/proc/thread-self").split("/").at(-1)), NICENESS);
  } catch {
    // Where /proc is not there or the system does not allow it, it goes without.
  }
}
