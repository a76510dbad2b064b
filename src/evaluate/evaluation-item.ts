/**
 * A sample to evaluate, as models see it.
 * @module
 */
import type { Clip } from "../media/clip.ts";
import type { WorldSample } from "../world/index.ts";
import type { EvaluationPart } from "./metric-table.ts";

/** A clip as the models see it. */
export interface SeenInput {
  readonly frames: Clip;
  /** For the language model; default `frames`. */
  readonly vlmFrames?: Clip;
}

/** One sample to evaluate. */
export interface EvaluationItem {
  readonly sample: WorldSample;
  /** Evaluated in the order of `EVALUATION_PARTS`. */
  readonly parts: readonly EvaluationPart[];
  /** The input as the models see it (decoded from its mp4); all parts but `reconstruction` and `still` need it. */
  readonly input?: SeenInput;
  /** The input as a still picture; `still` needs it. */
  readonly still?: SeenInput;
  /** What the language model wrote before, for parts that draw it without `caption`. */
  readonly caption?: string | undefined;
  /** How many answers `best-of` picks from. */
  readonly answers?: number;
}
