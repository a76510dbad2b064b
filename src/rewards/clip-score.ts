/**
 * CLIPScore of the drawn video against the caption that it was drawn from: mean over frames of `w · max(cosine, 0)`
 * (Hessel et al., arXiv 2104.08718, who take w = 2.5 for one picture). `rc2` of the VANS paper (arXiv 2511.16669), where
 * the caption is the anchor of the frozen language model; without it the video model learns to hold still.
 *
 * Here w = 1: the paper's code is not public and its weights are all 1, so cosines of both CLIP rewards stay on one scale.
 *
 * Range 0 … 1; 0 where nothing was drawn. What hacks it: showing the end of the event from the first frame on; patterns
 * that please this CLIP. It is blind to what the input showed, which the similarity to the reference video asks for.
 * @module
 */
import { need, needModel, type RewardDefinition } from "./reward.ts";

/** The factor on the cosine; 2.5 in the CLIPScore paper. */
export const CLIP_SCORE_WEIGHT = 1;

/** See the file's header. */
export const clipScoreReward: RewardDefinition = {
  range: [0, CLIP_SCORE_WEIGHT],
  reads: ["video", "caption"],
  about: "mean over frames of the positive CLIP cosine of frame and caption",
  hackedBy: "the outcome from the first frame on; patterns that please the rewarding CLIP",
  make: (models) => {
    const clip = needModel("clip-score", models, "clip");
    return async (rollout, options) => {
      const video = need("clip-score", rollout, "video");
      const caption = need("clip-score", rollout, "caption");
      if (video === null || caption === null) return 0;
      const { perFrame } = await clip.clipT(video, caption, options);
      const total = perFrame.reduce((sum, cosine) => sum + Math.max(cosine, 0), 0);
      return (CLIP_SCORE_WEIGHT * total) / perFrame.length;
    };
  },
};
