/**
 * CLIP similarity of the drawn video to the reference video: mean over aligned frames of the cosine (CLIP-V, see
 * vans/metrics). `rv1` and `rv2` of the VANS paper (arXiv 2511.16669).
 *
 * Range -1 … 1, in practice 0.4 … 1; 0 where nothing was drawn, below every real video. What hacks it: holding
 * still, for most of a scene does not change; patterns that please this CLIP, which is why another CLIP evaluates.
 * @module
 */
import { need, needModel, type RewardDefinition } from "./reward.ts";

/** See the file's header. */
export const clipVideoReward: RewardDefinition = {
  range: [-1, 1],
  reads: ["video", "referenceVideo"],
  about: "mean CLIP cosine of drawn and reference frames of the same index",
  hackedBy: "a scene that holds still; patterns that please the rewarding CLIP",
  make: (models) => {
    const clip = needModel("clip-video", models, "clip");
    return async (rollout, options) => {
      const video = need("clip-video", rollout, "video");
      const reference = need("clip-video", rollout, "referenceVideo")!;
      return video === null ? 0 : (await clip.clipV(video, reference, options)).value;
    };
  },
};
