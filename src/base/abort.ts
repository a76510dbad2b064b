/**
 * Cancellation: long work takes an `AbortSignal` and stops within one step.
 * @module
 */
import { VansError } from "./errors.ts";

/** Throws `VANS_RUN_ABORTED` if the signal has been triggered. Call it between steps of long work. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  const reason: unknown = signal.reason;
  throw new VansError("VANS_RUN_ABORTED", "the work was cancelled", {
    cause: reason instanceof Error ? reason : undefined,
  });
}
