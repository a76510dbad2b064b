/**
 * What all routes of a server share.
 * @module
 */
import type { Answers } from "./answers.ts";
import type { EventLog } from "./event-log.ts";
import type { Example } from "./examples.ts";
import type { JobStore } from "./job-store.ts";
import type { ServeConfig } from "./serve-config.ts";
import type { Uploads } from "./uploads.ts";

/** The parts of a running server. */
export interface ServerContext {
  readonly config: ServeConfig;
  readonly store: JobStore;
  readonly events: EventLog;
  readonly uploads: Uploads;
  readonly answers: Answers;
  readonly examples: readonly (Example & { readonly path: string })[];
  /** Ends open event streams and followers when the server stops. */
  readonly closing: AbortSignal;
}
