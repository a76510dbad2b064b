/**
 * What every logged scalar means, in words for the page of curves. Names with `<…>` are patterns. docs/grpo.md is the longer
 * account of policy training; a test holds the two together.
 * @module
 */

/** Groups of curves, in the order in which a page shows them. */
export const SCALAR_GROUPS = [
  "Learning",
  "Rewards",
  "Alarms",
  "Held out",
  "Completions",
  "Ratios and KL",
  "By denoising step",
  "Anchors",
  "Optimizer",
  "Other",
] as const;
export type ScalarGroup = (typeof SCALAR_GROUPS)[number];

/** What is better; null where neither is. */
export type ScalarWish = "up" | "down" | null;

/** One scalar, or a family of them. */
export interface Scalar {
  /** With `<name>` for any name and `<i>` for a number. */
  readonly pattern: string;
  readonly group: ScalarGroup;
  readonly about: string;
  readonly unit?: string;
  readonly wish: ScalarWish;
}

const TABLE: Readonly<
  Record<
    Exclude<ScalarGroup, "Other">,
    readonly (readonly [pattern: string, about: string, wish?: ScalarWish, unit?: string])[]
  >
> = {
  Learning: [
    [
      "loss",
      "What is minimised. In policy training: policy loss + β·KL of the last update, about 0 in the first one, which is right; it does not tell how well it goes, rewards and held-out scalars do.",
    ],
    ["policy_loss", "The loss without its KL term."],
    ["mse", "Mean squared error of what the model predicts, unweighted.", "down"],
    ["l1", "Mean absolute error of the rebuilt frames.", "down"],
    ["teacher", "Distance to the latents of the image autoencoder that this one grew from.", "down"],
    ["family", "Share of clips whose family of objects is named rightly by the vision tower.", "up"],
    ["colour", "Share of clips whose colour is read rightly.", "up"],
    ["state", "Share of clips whose state is read rightly.", "up"],
    ["place", "Share of clips in which the object's place is found.", "up"],
    ["backdrop", "Share of clips whose backdrop is read rightly.", "up"],
    ["distractor", "Share of clips whose other object is named rightly.", "up"],
    ["skipped", "1 where no group had spread and nothing moved in this update.", "down"],
  ],
  Rewards: [
    ["reward", "Mean of the weighted sums of all rewards over the batch.", "up"],
    [
      "reward_std",
      "Deviation of rewards inside a group, averaged over groups; without it nothing is learned.",
    ],
    ["rewards/<name>/mean", "This reward over the whole batch, before its weight.", "up"],
    ["rewards/<name>/std", "Deviation of this reward over the whole batch, before its weight."],
    [
      "frac_reward_zero_std",
      "Share of groups in which all answers got the same reward: they teach nothing.",
      "down",
    ],
    ["advantages_abs_mean", "Mean size of the advantages; it falls as groups lose their spread."],
    ["videos_drawn", "Different captions that the video model drew in this update."],
  ],
  Alarms: [
    [
      "alarm/entropy",
      "1 while the smoothed entropy is below a quarter of that of the first updates: the policy collapses.",
      "down",
    ],
    [
      "alarm/length-drift",
      "1 while the smoothed length differs by more than half from that of the first updates.",
      "down",
    ],
    ["alarm/length-saturated", "1 while too many responses are cut off.", "down"],
    ["alarm/reward-saturated", "1 while nearly all groups are without spread.", "down"],
    ["alarm/kl", "1 while the policy is too far from the reference.", "down"],
    ["alarm/motion", "1 while drawn videos move far less or far more than the true ones.", "down"],
    [
      "alarm/reward-hacking",
      "1 while the held-out metric has fallen and the reward has risen: the reward is being fooled.",
      "down",
    ],
    ["alarm/<name>", "1 while this alarm rings.", "down"],
  ],
  "Held out": [
    ["held.rougeL", "ROUGE-L of greedy captions for held-out questions.", "up"],
    ["held.captionEventAccuracy", "Share of held-out captions that tell the right event.", "up"],
    ["held.templateRate", "Share of held-out answers that keep the template.", "up"],
    ["held.lengthTokens", "Mean length of held-out answers.", null, "tokens"],
    ["held.entropy", "Mean entropy of tokens in held-out answers.", null, "nats"],
    ["held.videoEventAccuracy", "Share of held-out videos that show the right event.", "up"],
    ["held.videoPsnrDb", "Likeness of held-out videos to the truth.", "up", "dB"],
    ["held.identityAccuracy", "Share of held-out videos that keep the user's objects.", "up"],
    ["held.motionEnergy", "How much moves in held-out videos."],
    ["held.motionEnergyTruth", "How much moves in the true videos."],
    [
      "held.motionShare",
      "Motion of the videos as a share of the motion of the truth; 1 is right, 0 is a still.",
    ],
    ["held.captionRetrieval", "Share of held-out clips that find their own caption among all.", "up"],
    ["held.eventClassAccuracy", "Share of held-out clips whose event is classified rightly.", "up"],
    [
      "held.reasoningTokenAccuracy",
      "Share of tokens of held-out reasoning and captions that are the most likely ones.",
      "up",
    ],
    ["held.mse", "Mean squared error of the prediction on held-out samples.", "down"],
    ["held.psnrDb", "Likeness of rebuilt held-out clips.", "up", "dB"],
    ["held.movingPsnrDb", "The same where something moves; 0 for still pictures.", "up", "dB"],
    ["held.stillPsnrDb", "The same where nothing moves.", "up", "dB"],
    [
      "held.eventAccuracy.<name>",
      "Share of held-out videos of this kind or family that show the right event.",
      "up",
    ],
    ["held.<name>", "Measured on held-out samples, with averaged weights."],
  ],
  Completions: [
    ["num_tokens", "Tokens drawn in this update.", null, "tokens"],
    ["completions/mean_length", "Mean length of responses, end token included.", null, "tokens"],
    ["completions/min_length", "Shortest response.", null, "tokens"],
    ["completions/max_length", "Longest response.", null, "tokens"],
    ["completions/mean_terminated_length", "Mean length of those that ended by themselves.", null, "tokens"],
    ["completions/clipped_ratio", "Share of responses that were cut off.", "down"],
    [
      "entropy",
      "Mean entropy of what tokens were drawn from; near 0 the policy explores nothing.",
      null,
      "nats",
    ],
    ["format", "Share of responses that keep the template of thinking and answer.", "up"],
  ],
  "Ratios and KL": [
    [
      "kl",
      "Distance to the reference: nats a token (stage 1) or an element (stage 2); 0 at the first update. For an autoencoder, of its latents to the unit normal.",
    ],
    [
      "clip_ratio/low_mean",
      "Share of tokens whose ratio is cut from below while their advantage is negative.",
    ],
    [
      "clip_ratio/high_mean",
      "Share of tokens whose ratio is cut from above while their advantage is positive.",
    ],
    ["clip_ratio/region_mean", "Share of tokens, or of rows and steps, whose ratio is cut on either side."],
    ["clip_ratio/low_min", "Least share cut from below in one response."],
    ["clip_ratio/high_max", "Greatest share cut from above in one response."],
    ["log_ratio/mean", "Mean log-ratio of new to old policy; 0 with one update a rollout."],
    ["log_ratio/std", "Deviation of the log-ratio; 0 with one update a rollout."],
    [
      "log_ratio/first_max",
      "Greatest replayed log-ratio of the unchanged policy: must be exactly 0.",
      "down",
    ],
    [
      "log_ratio/cached_max",
      "Greatest difference between cached decoding and replay: about 1e-6, below 1e-4.",
      "down",
    ],
    ["log_ratio/max", "Greatest log-ratio of the last update (stage 2)."],
    ["window_first", "First denoising step with noise in this update."],
  ],
  "By denoising step": [
    [
      "log_ratio/mean/step_<i>",
      "Mean log-ratio at this denoising step; off policy about −KL to the old policy.",
    ],
    ["log_ratio/std/step_<i>", "Deviation of the log-ratio at this denoising step; about √(2·KL/d)."],
    ["kl/step_<i>", "KL to the reference at this denoising step."],
    ["clip_ratio/step_<i>", "Share of rows whose ratio is cut at this denoising step."],
  ],
  Anchors: [
    ["anchors/rougeL", "Mean ROUGE-L of the captions that videos are drawn from.", "up"],
    ["anchors/pass_rate", "Share of drawn captions that pass the filter.", "up"],
    ["anchors/passed_over", "Samples without a passing caption that were replaced by others.", "down"],
    ["anchors/from_truth", "Samples without a passing caption that were drawn from the reference.", "down"],
  ],
  Optimizer: [
    ["learningRate", "Learning rate of the update."],
    ["grad_norm", "Global norm of the gradient before it is scaled down."],
    ["gradientNorm", "Global norm of the gradient before it is scaled down."],
  ],
};

/** All explanations; more special patterns first. */
export const SCALARS: readonly Scalar[] = SCALAR_GROUPS.flatMap((group) =>
  group === "Other"
    ? []
    : TABLE[group].map(([pattern, about, wish = null, unit]) => ({
        pattern,
        group,
        about,
        wish,
        ...(unit !== undefined && { unit }),
      })),
);

const MATCHERS = SCALARS.map((scalar) => ({
  scalar,
  matcher: new RegExp(
    `^${scalar.pattern
      .split(/(<name>|<i>)/)
      .map((part) =>
        part === "<name>" ? "[^/]+" : part === "<i>" ? "\\d+" : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"),
      )
      .join("")}$`,
  ),
}));

/** The explanation of a scalar; those of one model in joint training are explained as that model's. Undefined where there is none. */
export function explainScalar(name: string): Scalar | undefined {
  const found = MATCHERS.find(({ matcher }) => matcher.test(name))?.scalar;
  if (found) return found;
  const part = /^(vlm|vdm)\/(.+)$/.exec(name);
  const inner = part ? explainScalar(part[2]!) : undefined;
  if (!part || !inner) return undefined;
  return { ...inner, about: `${part[1] === "vlm" ? "Language model" : "Video model"}: ${inner.about}` };
}
