/**
 * Memory, watched from outside in processes of their own: training and compiling do not grow, and blocks that are
 * recomputed really lower the peak.
 * @module
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);

/** Seconds of work each, but whole minutes where training runs beside it on the same cores. */
const TIMEOUT_MS = 900_000;

async function child<T>(name: string, ...args: string[]): Promise<T> {
  const script = fileURLToPath(new URL(`./children/${name}.ts`, import.meta.url));
  const { stdout } = await run(process.execPath, ["--expose-gc", "--import", "tsx", script, ...args]);
  return JSON.parse(stdout.trim().split("\n").at(-1)!) as T;
}

interface Growth {
  readonly grownMb: number;
  readonly live: number;
}

describe("memory", { timeout: TIMEOUT_MS }, () => {
  it("does not grow over 1,000 training steps", async () => {
    const { grownMb, live, first, last } = await child<Growth & { first: number; last: number }>(
      "thousand-steps",
    );
    expect(last).toBeLessThan(first / 10);
    expect(live).toBe(0);
    // Measured 0 to 4 MiB (once 16, beside the other tests). One kept copy of the state a step would be 300 MiB.
    expect(grownMb).toBeLessThan(16);
  });

  it("does not grow without bound over 200 graphs compiled, run and released", async () => {
    const { grownMb, live } = await child<Growth>("compile-cycles");
    expect(live).toBe(0);
    // Measured 23 MiB at twice the depth, all of it before the hundredth graph. A kept session would be 1 MiB and more each.
    expect(grownMb).toBeLessThan(48);
  });

  it("remat: the peak falls, the bits stay", async () => {
    interface Chain {
      readonly peakMb: number;
      readonly nodes: number;
      readonly digest: string;
    }
    const kept = await child<Chain>("deep-chain");
    const recomputed = await child<Chain>("deep-chain", "remat");
    expect(recomputed.digest).toBe(kept.digest);
    expect(recomputed.nodes).toBeGreaterThan(kept.nodes);
    // Measured 120 against 305 MiB. The runtime merges equal subgraphs; were the copies merged, the peaks would be equal.
    expect(recomputed.peakMb).toBeLessThan(0.65 * kept.peakMb);
  });
});
