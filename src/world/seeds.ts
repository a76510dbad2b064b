/**
 * Which seeds training may see.
 * @module
 */
import { VansError } from "../base/errors.ts";

/** Version of the simulated world: the same version and seed give the same sample, byte for byte. */
export const worldVersion = 2;

/** Version of what is drawn and asked. World version 2 changed captions only, so encoded clips of version 1 stay good. */
export const drawingVersion = 1;

/**
 * Captions of seeds from here on are picked by hand, so to speak: always literal. Below, annotators write as they like.
 * The samples of policy training, of looking while training and of evaluation lie above.
 */
export const CURATED_SEED_START = 879_000;

/** Seeds from here on are for evaluation only. */
export const EVALUATION_SEED_START = 900_000;

/**
 * Refuses evaluation seeds. Every training data stream calls it.
 *
 * @throws VansError `VANS_WORLD_EVALUATION_SEED` from {@link EVALUATION_SEED_START} on.
 * @example
 * ```ts
 * import { assertTrainingSeed } from "vans/world";
 * assertTrainingSeed(899_999); // => undefined
 * ```
 */
export function assertTrainingSeed(seed: number): void {
  if (seed < EVALUATION_SEED_START) return;
  throw new VansError("VANS_WORLD_EVALUATION_SEED", `seed ${seed} is kept for evaluation`, {
    asked: `a training sample with seed ${seed}`,
    found: `training seeds are 0 … ${EVALUATION_SEED_START - 1}`,
    fix: "train on a lower seed",
  });
}
