/**
 * Server-sent events of a job, with what a client missed since its `Last-Event-ID`.
 * @module
 */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { EventLog, LoggedEvent } from "./event-log.ts";
import { isFinal, type Job } from "./job.ts";

/** Milliseconds between signs of life, so that proxies keep the connection. */
const HEARTBEAT_MS = 15_000;

/** The event that a client saw last; 0 for none. */
function lastEventId(context: Context): number {
  const id = Number(context.req.header("last-event-id") ?? 0);
  return Number.isSafeInteger(id) && id > 0 ? id : 0;
}

/** What routes of events heed. */
export const EVENT_HEADERS: Readonly<Record<string, string>> = {
  "last-event-id": "The last event that the client has; the stream begins after it",
};

/** The events of a job from where the client left off; 204 where it has all of them, so that browsers stop asking. */
export async function jobEvents(
  context: Context,
  log: EventLog,
  job: string,
  closing: AbortSignal,
): Promise<Response> {
  const isLast = ({ name, data }: LoggedEvent): boolean => name === "state" && isFinal((data as Job).state);
  const last = await log.last(job);
  if (last && isLast(last) && lastEventId(context) >= last.id) return context.body(null, 204);
  return eventStream(context, { log, job, closing, isLast });
}

/** Streams a job's events until its last one, or until the client or the server goes. */
function eventStream(
  context: Context,
  options: {
    readonly log: EventLog;
    readonly job: string;
    readonly closing: AbortSignal;
    /** True for the event after which nothing comes. */
    isLast(event: LoggedEvent): boolean;
  },
): Response {
  const { log, job, closing, isLast } = options;
  const after = lastEventId(context);
  return streamSSE(context, async (stream) => {
    const waiting: LoggedEvent[] = [];
    let wake = (): void => undefined;
    const stopped = (): boolean => stream.aborted || stream.closed || closing.aborted;
    const wakeNow = (): void => wake();
    stream.onAbort(wakeNow);
    closing.addEventListener("abort", wakeNow);
    const stop = await log.follow(job, after, (event) => {
      waiting.push(event);
      wake();
    });
    try {
      for (;;) {
        for (const event of waiting.splice(0)) {
          if (stopped()) return;
          await stream.writeSSE({
            event: event.name,
            id: String(event.id),
            data: JSON.stringify(event.data),
          });
          if (isLast(event)) return;
        }
        if (stopped()) return;
        const isQuiet = await new Promise<boolean>((done) => {
          const timer = setTimeout(() => done(true), HEARTBEAT_MS);
          wake = () => {
            clearTimeout(timer);
            done(false);
          };
          if (waiting.length > 0 || stopped()) wake();
        });
        if (isQuiet && !stopped()) await stream.write(": still here\n\n");
      }
    } finally {
      stop();
      closing.removeEventListener("abort", wakeNow);
    }
  });
}
