/**
 * A sample as plain data, as `vans world show` prints it.
 * @module
 */
import { candidates, sampleForSeed, type WorldAttributes } from "./sample.ts";

/** All texts of one sample, without its pictures. */
export interface SampleDescription {
  readonly id: string;
  readonly kind: string;
  readonly family: string;
  readonly seed: number;
  readonly worldVersion: number;
  readonly goal: string;
  readonly question: string;
  readonly reasoning: string;
  readonly caption: string;
  readonly event: string;
  readonly attributes: WorldAttributes;
  /** The right event first, then the 4 wrong ones, with all paraphrases. */
  readonly candidates: readonly {
    readonly event: string;
    readonly caption: string;
    readonly paraphrases: readonly string[];
  }[];
}

/**
 * The texts of a seed's sample.
 *
 * @example
 * ```ts
 * import { describeSample } from "vans/world";
 * describeSample(1).candidates.length; // => 5
 * ```
 */
export function describeSample(seed: number): SampleDescription {
  const sample = sampleForSeed(seed);
  const { id, kind, family, worldVersion, goal, question, reasoning, caption, event, attributes } = sample;
  return {
    id,
    kind,
    family,
    seed,
    worldVersion,
    goal,
    question,
    reasoning,
    caption,
    event,
    attributes,
    candidates: candidates(sample).map((one) => ({
      event: one.event,
      caption: one.caption,
      paraphrases: one.paraphrases,
    })),
  };
}
