/**
 * ROUGE-L of the caption against the right captions, the best of them. `rt1` of the VANS paper (arXiv 2511.16669), as the
 * package rouge_score defines the F1 (see vans/metrics).
 *
 * Range 0 … 1; 0 where the response has no caption that may be drawn. What hacks it: words that all references share
 * ("the", the object's name), and saying the most frequent caption whatever is asked; neither is the right event, which
 * the caption event reward asks for.
 * @module
 */
import { bestRougeL } from "../metrics/index.ts";
import { need, type RewardDefinition } from "./reward.ts";

/** See the file's header. */
export const rougeLReward: RewardDefinition = {
  range: [0, 1],
  reads: ["caption", "referenceCaptions"],
  about: "best ROUGE-L F1 of the caption against the right captions",
  hackedBy: "words that all captions share; the most frequent caption for every question",
  make: () => async (rollout) => {
    const caption = need("rouge-l", rollout, "caption");
    const references = need("rouge-l", rollout, "referenceCaptions");
    return caption === null ? 0 : bestRougeL(references, caption);
  },
};
