/** Rewards: one file each, a registry, their weighted sum. @module */

export {
  bestIndex,
  type Candidate,
  CONSENSUS_REWARDS,
  candidateScores,
  TRUTHLESS_REWARDS,
} from "./best-of.ts";
export { CLIP_SCORE_WEIGHT, clipScoreReward } from "./clip-score.ts";
export { clipVideoReward } from "./clip-video.ts";
export { captionEventReward, videoEventReward } from "./event.ts";
export { drawableCaption, formatReward, formatScore } from "./format.ts";
export {
  type CombineRewardsOptions,
  combineRewards,
  PAPER_REWARDS,
  REWARD_NAMES,
  REWARDS,
  type RewardName,
  RewardSet,
  type RewardTable,
  type RewardWeights,
  rewardMetrics,
} from "./registry.ts";
export type { RewardDefinition, RewardModels, Rollout, RolloutField, ScoreOptions } from "./reward.ts";
export { rougeLReward } from "./rouge-l.ts";
export { rougeLMeanReward } from "./rouge-l-mean.ts";
