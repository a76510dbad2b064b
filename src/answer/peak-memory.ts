/**
 * The peak of a process's anonymous pages (heap, activations, packed weights; not mapped files), from Linux's `/proc`.
 * @module
 */
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";

/** Bytes of anonymous pages that this process holds now (`RssAnon`); undefined where the system does not say. */
export function anonymousBytes(): number | undefined {
  try {
    const match = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"));
    return match ? Number(match[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}

// Runs of the runtime block their thread, so another one looks.
const WATCHER = `
const { workerData } = require("node:worker_threads");
const { readFileSync } = require("node:fs");
const peak = new Float64Array(workerData.shared);
setInterval(() => {
  const match = /^RssAnon:\\s+(\\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"));
  if (match) peak[0] = Math.max(peak[0], Number(match[1]) * 1024);
}, 5);
`;

/** Watches the peak from now on. */
export class PeakWatch {
  readonly #peak: Float64Array;
  readonly #worker: Worker;

  constructor() {
    const shared = new SharedArrayBuffer(8);
    this.#peak = new Float64Array(shared);
    this.#worker = new Worker(WATCHER, { eval: true, workerData: { shared } });
    this.#worker.unref();
  }

  /** Highest value so far, in bytes. */
  get bytes(): number {
    return Math.max(this.#peak[0]!, anonymousBytes() ?? 0);
  }

  /** Forgets what was, to watch a stage by itself. */
  reset(): void {
    this.#peak[0] = 0;
  }

  async stop(): Promise<number> {
    await this.#worker.terminate();
    return this.bytes;
  }
}

/** Bytes that a process may still take: what the system has available, or what its control group allows if that is less. */
export function availableBytes(): number | undefined {
  const read = (path: string): string | undefined => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  };
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(read("/proc/meminfo") ?? "");
  if (!available) return undefined;
  const limit = Number(read("/sys/fs/cgroup/memory.max"));
  const used = Number(read("/sys/fs/cgroup/memory.current"));
  const ofGroup =
    Number.isFinite(limit) && limit > 0 && Number.isFinite(used) ? limit - used : Number.POSITIVE_INFINITY;
  return Math.min(Number(available[1]) * 1024, ofGroup);
}
