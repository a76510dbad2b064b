/**
 * What all routes of a server share.
 * @module
 */
import type { Answers } from "./answers.ts";
import type { EventLog } from "./event-log.ts";
import type { Example } from "./examples.ts";
import type { JobQueue } from "./job-queue.ts";
import type { JobStore } from "./job-store.ts";
import type { ServeConfig } from "./serve-config.ts";
import type { Uploads } from "./uploads.ts";

/** The parts of a running server. */
export interface ServerContext {
  readonly config: ServeConfig;
  readonly store: JobStore;
  /** Runs jobs; a part of the API that has jobs of its own names their runner with `queue.serve`. */
  readonly queue: JobQueue;
  readonly events: EventLog;
  readonly uploads: Uploads;
  readonly answers: Answers;
  readonly examples: readonly (Example & { readonly path: string })[];
  /** Ends open event streams and followers when the server stops. */
  readonly closing: AbortSignal;
  /** Adds something to do before the server has stopped: ending a process, closing a file. */
  onClose(hook: () => Promise<void> | void): void;
}
