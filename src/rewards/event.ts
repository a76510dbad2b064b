/**
 * The playroom's verifiable rewards: is it the right event? The simulated world knows the right event and four wrong ones
 * of every sample, so no learned judge is needed (event accuracy, see vans/metrics). Ours; not in the VANS paper.
 *
 * - `caption-event`: 1 where the caption is nearer (ROUGE-L over all paraphrases) to the right event than to every wrong
 *   one, else 0. What hacks it: one telling word of the right event in an otherwise meaningless caption.
 * - `video-event`: 1 where the video is nearer (squared error at the pixels where the candidates differ, all of them
 *   through the autoencoder) to the right event than to every wrong one, else 0. What hacks it: anything at all outside of
 *   these pixels, and a blurred mean of right and nearly right; the CLIP rewards and PSNR see that.
 *
 * Ranges 0 … 1; 0 where there is no caption, or nothing was drawn. Ties are wrong.
 * @module
 */
import { captionEventVerdict, videoEventVerdict } from "../metrics/index.ts";
import { candidates } from "../world/index.ts";
import { need, needModel, type RewardDefinition } from "./reward.ts";

/** Of captions; see the file's header. */
export const captionEventReward: RewardDefinition = {
  range: [0, 1],
  reads: ["caption", "sample"],
  about: "1 where the caption says the right event rather than one of the 4 wrong ones",
  hackedBy: "one telling word of the right event among nonsense",
  make: () => async (rollout) => {
    const caption = need("caption-event", rollout, "caption");
    const sample = need("caption-event", rollout, "sample")!;
    if (caption === null) return 0;
    const events = candidates(sample).map(({ paraphrases }) => paraphrases);
    return captionEventVerdict(caption, events).isRight ? 1 : 0;
  },
};

/** Of videos; see the file's header. */
export const videoEventReward: RewardDefinition = {
  range: [0, 1],
  reads: ["video", "sample"],
  about: "1 where the video shows the right event rather than one of the 4 wrong ones",
  hackedBy: "nonsense outside of the pixels that tell the events apart; blurred means of events",
  make: (models) => {
    const shownEvents = needModel("video-event", models, "shownEvents");
    return async (rollout) => {
      const video = need("video-event", rollout, "video");
      const sample = need("video-event", rollout, "sample")!;
      if (video === null) return 0;
      return videoEventVerdict(video, await shownEvents(sample)).isRight ? 1 : 0;
    };
  },
};
