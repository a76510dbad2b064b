/**
 * What the process holds, for tests of memory.
 * @module
 */

/** Resident memory in MiB, after a collection. */
export function residentMb(): number {
  if (!globalThis.gc) throw new Error("run with --expose-gc");
  globalThis.gc();
  return process.memoryUsage.rss() / 2 ** 20;
}
