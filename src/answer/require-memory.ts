/**
 * Memory that is there, beside what a suite needs.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { availableBytes } from "./peak-memory.ts";
import { planMemory } from "./plan.ts";
import type { QuantizedParts } from "./quantized-parts.ts";
import type { Suite } from "./suite.ts";

/**
 * Refuses what would end in the middle of a stage.
 * @throws `VANS_MEMORY_TOO_SMALL`
 */
export async function requireMemory(
  suite: Suite,
  options: { readonly memoryBytes?: number; readonly quantized?: QuantizedParts },
): Promise<void> {
  const memoryBytes = options.memoryBytes ?? availableBytes();
  if (memoryBytes === undefined) return;
  const { stages } = await planMemory(suite, { memoryBytes, quantized: options.quantized ?? {} });
  const worst = stages
    .filter((stage) => stage.fits === false)
    .sort((a, b) => b.anonymousBytes - a.anonymousBytes)[0];
  if (!worst) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new VansError("VANS_MEMORY_TOO_SMALL", `${suite.name} does not fit into the memory that is there`, {
    asked: `${gigabytes(worst.anonymousBytes)} for the stage ${worst.stage}`,
    found: `${gigabytes(memoryBytes)} available`,
    fix: `vans plan --suite ${suite.folder} --memory ${(memoryBytes / 1e9).toFixed(1)}GB finds settings that fit`,
    data: { stage: worst.stage, neededBytes: worst.anonymousBytes, memoryBytes },
  });
}
