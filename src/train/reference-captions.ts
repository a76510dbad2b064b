/**
 * The captions that a caption of the policy is compared with.
 * @module
 */
import type { WorldSample } from "../world/index.ts";

/** `caption`: the sample's own. `paraphrases`: all that mean its event. `literal`: those of them that name what is seen. */
export const REFERENCE_CAPTIONS = ["caption", "paraphrases", "literal"] as const;
/** See {@link REFERENCE_CAPTIONS}. */
export type ReferenceCaptions = (typeof REFERENCE_CAPTIONS)[number];

/** Right captions of a sample. */
export function referenceCaptions(sample: WorldSample, kind: ReferenceCaptions): readonly string[] {
  if (kind === "caption") return [sample.caption];
  return kind === "literal" ? sample.right.captions.literal : sample.paraphrases;
}
