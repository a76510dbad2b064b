/**
 * Work over a network that must not wait for ever.
 * @module
 */

/** Silence lasted too long. */
export class Silent extends Error {}

/**
 * Does work that is given up when nothing was heard for `mostMs`, or when `signal` says so. The work gets a signal of its own
 * and should end by it; where it does not (a request whose end is never told, which happens), it is left behind all the same.
 *
 * @param work calls `alive` whenever something is heard, and looks at `signal` before it changes anything
 * @throws {@link Silent}; the signal's reason; what the work throws
 */
export async function withinSilence<T>(
  { mostMs, signal }: { readonly mostMs: number; readonly signal?: AbortSignal | undefined },
  work: (signal: AbortSignal, alive: () => void) => Promise<T>,
): Promise<T> {
  // One controller rather than AbortSignal.any, whose signals Node 20 may collect before they fire.
  const own = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let onAbort = (): void => undefined;
  const givenUp = new Promise<never>((_, reject) => {
    const end = (reason: unknown): void => {
      own.abort(reason);
      reject(reason);
    };
    onAbort = () => end(signal?.reason);
    timer = setTimeout(() => end(new Silent(`nothing was heard for ${mostMs} ms`)), mostMs);
  });
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort);
  try {
    return await Promise.race([givenUp, work(own.signal, () => timer?.refresh())]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
