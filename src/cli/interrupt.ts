/**
 * Ctrl-C: the first one stops the work in an orderly way, the second one ends the program at once.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { EXIT_STOPPED } from "./report-error.ts";

/**
 * Runs work that Ctrl-C (or SIGTERM) stops. Whatever error the work ends with after that counts as stopped: a decoder
 * process, for example, gets the same Ctrl-C and dies of it.
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  stopped = "stopped; nothing was written",
): Promise<T> {
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) {
      // A progress bar may have hidden the cursor.
      if (process.stderr.isTTY) process.stderr.write("\u001b[?25h");
      process.exit(EXIT_STOPPED);
    }
    stop.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    return await work(stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    throw new VansError("VANS_RUN_ABORTED", stopped, { cause: error });
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}
