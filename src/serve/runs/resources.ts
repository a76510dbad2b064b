/**
 * What a run takes of the machine: measured while it runs under this server, or while somebody looks, and kept beside its log.
 * @module
 */
import { appendFile, readFile } from "node:fs/promises";
import { availableParallelism, freemem, loadavg, totalmem } from "node:os";
import { join } from "node:path";
import { processUse } from "./run-folders.ts";

/** Name of the file in a run's folder. */
export const RESOURCES_NAME = "resources.jsonl";
/** Lines that are shown, at most. */
const MOST_LINES = 2000;

/** One measurement. */
export interface ResourceUse {
  readonly at: string;
  /** Cores in use, on average since the measurement before. */
  readonly cores: number;
  readonly memoryBytes: number;
}

/** The machine as a whole. */
export interface MachineUse {
  readonly cores: number;
  readonly loadOneMinute: number;
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
}

/** The machine now. */
export function machineUse(): MachineUse {
  return {
    cores: availableParallelism(),
    loadOneMinute: loadavg()[0]!,
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
  };
}

/** Measures processes at intervals. */
export class ResourceMeter {
  readonly #last = new Map<number, { readonly atMs: number; readonly cpuSecs: number }>();

  /** A measurement since the one before; undefined for the first one and where the process cannot be seen. */
  async measure(pid: number): Promise<ResourceUse | undefined> {
    const use = await processUse(pid);
    const before = this.#last.get(pid);
    const atMs = Date.now();
    if (!use) {
      this.#last.delete(pid);
      return undefined;
    }
    // Ticks are a hundredth of a second: shorter intervals would only show rounding.
    if (before && atMs - before.atMs < 900) return undefined;
    this.#last.set(pid, { atMs, cpuSecs: use.cpuSecs });
    if (!before) return undefined;
    const cores = Math.max(0, ((use.cpuSecs - before.cpuSecs) * 1000) / (atMs - before.atMs));
    return {
      at: new Date(atMs).toISOString(),
      cores: Number(cores.toFixed(3)),
      memoryBytes: use.memoryBytes,
    };
  }
}

/** Keeps a measurement in a run's folder. */
export async function keepResources(folder: string, use: ResourceUse): Promise<void> {
  await appendFile(join(folder, RESOURCES_NAME), `${JSON.stringify(use)}\n`);
}

/** Measurements of a run; the last ones where there are many. */
export async function readResources(folder: string): Promise<ResourceUse[]> {
  const text = await readFile(join(folder, RESOURCES_NAME), "utf8").catch(() => "");
  return text
    .split("\n")
    .slice(-MOST_LINES - 1)
    .flatMap((line) => {
      try {
        const { at, cores, memoryBytes } = JSON.parse(line) as ResourceUse;
        return typeof at === "string" && Number.isFinite(cores) && Number.isFinite(memoryBytes)
          ? [{ at, cores, memoryBytes }]
          : [];
      } catch {
        return [];
      }
    });
}
