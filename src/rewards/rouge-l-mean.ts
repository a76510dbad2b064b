/**
 * Mean ROUGE-L of the caption over all right captions, instead of over the one that was drawn for the sample. Where several
 * annotators' captions of an event are known, this is the expectation of `rouge-l` against one of them drawn at random: the
 * same mean, without the noise of the draw. Beyond the VANS paper (arXiv 2511.16669), whose samples have one caption each.
 *
 * Range 0 … 1; 0 where the response has no caption that may be drawn. What hacks it: as `rouge-l`, and a middle wording that
 * is near to all captions and equal to none.
 * @module
 */
import { rougeL } from "../metrics/index.ts";
import { need, type RewardDefinition } from "./reward.ts";

/** See the file's header. */
export const rougeLMeanReward: RewardDefinition = {
  range: [0, 1],
  reads: ["caption", "referenceCaptions"],
  about: "mean ROUGE-L F1 of the caption over the right captions",
  hackedBy: "words that all captions share; a middle wording, near to all of them and equal to none",
  make: () => async (rollout) => {
    const caption = need("rouge-l-mean", rollout, "caption");
    const references = need("rouge-l-mean", rollout, "referenceCaptions");
    if (caption === null || references.length === 0) return 0;
    return references.reduce((sum, reference) => sum + rougeL(reference, caption), 0) / references.length;
  },
};
