/**
 * The peak of a process's anonymous pages (heap, activations, packed weights; not mapped files), from Linux's `/proc`.
 * @module
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
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

/**
 * Bytes that this process may still take: what the system has available, what its control groups and theirs allow
 * (`systemd-run -p MemoryMax=…`, containers), what its own limit of data allows (`prlimit --data`), whichever is least.
 * Page cache counts as available: mapped weights are given back.
 *
 * @param root where `/proc` and `/sys` lie; for tests
 * @returns undefined where the system does not say
 */
export function availableBytes(root = "/"): number | undefined {
  const read = (path: string): string => {
    try {
      return readFileSync(join(root, path), "utf8");
    } catch {
      return "";
    }
  };
  const kilobytes = (text: string, name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN) * 1024;
  const available = kilobytes(read("proc/meminfo"), "MemAvailable");
  if (Number.isNaN(available)) return undefined;
  const limits = [available];
  const dataLimit = /^Max data size\s+(\d+)/m.exec(read("proc/self/limits"))?.[1];
  const data = kilobytes(read("proc/self/status"), "VmData");
  if (dataLimit !== undefined && !Number.isNaN(data)) limits.push(Number(dataLimit) - data);
  for (const { limit, stat, used } of memoryGroups(read("proc/self/cgroup"))) {
    const most = read(limit).trim();
    const held = new RegExp(`^${used} (\\d+)$`, "m").exec(read(stat))?.[1];
    if (/^\d+$/.test(most) && held !== undefined) limits.push(Number(most) - Number(held));
  }
  return Math.max(0, Math.min(...limits));
}

/** Files of the control groups that a process is in, from its own up to the outermost, of both versions. */
function memoryGroups(groups: string): { limit: string; stat: string; used: string }[] {
  const found = [];
  for (const line of groups.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined || (controllers !== "" && !controllers!.split(",").includes("memory"))) continue;
    const isFirst = controllers !== "";
    const base = isFirst ? "sys/fs/cgroup/memory" : "sys/fs/cgroup";
    for (let at = path; ; at = dirname(at)) {
      found.push({
        limit: join(base, at, isFirst ? "memory.limit_in_bytes" : "memory.max"),
        stat: join(base, at, "memory.stat"),
        used: isFirst ? "total_rss" : "anon",
      });
      if (at === "/") break;
    }
  }
  return found;
}
