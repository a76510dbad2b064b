/**
 * The parts of an evaluation and the metrics that each gives.
 * @module
 */

/** What can be evaluated by itself, in the order in which a sample goes through it. */
export const EVALUATION_PARTS = [
  /** The autoencoder alone. */
  "reconstruction",
  /** The language model alone. */
  "caption",
  /** The video model, told the true caption. */
  "video-from-truth",
  /** The whole answer: the video model, told what the language model wrote. */
  "video",
  /** As `video`, but the video model does not see the clip: a cascade of a captioner and a video model. */
  "no-references",
  /** The video model alone, without a caption: it goes on with the clip. */
  "extension",
  /** The whole answer to a still: the last picture of the clip, from which the answer goes on. */
  "still",
  /** A second question about the same clip, with another right future. */
  "multi-future",
  /** Several answers, of which the one that the suite's own rewards like best is judged. */
  "best-of",
] as const;

/** Name of a part. */
export type EvaluationPart = (typeof EVALUATION_PARTS)[number];

/** Parts that are evaluated unless others are asked for: all but `best-of`, which needs a number of answers. */
export const DEFAULT_PARTS = EVALUATION_PARTS.filter((part) => part !== "best-of");

/** Counts up whenever a metric is added or defined anew, so that older results are not mixed with newer ones. */
export const MEASURES_VERSION = 2;

/** What a metric is. */
export interface MetricDefinition {
  /** The part that it comes from; `all` for what is measured over all parts. */
  readonly part: EvaluationPart | "all";
  /**
   * A share of samples (Wilson interval), a mean over samples, or a statistic of all samples at once (`bleu`, `fvd`), with
   * bootstrap intervals.
   */
  readonly is: "share" | "mean" | "bleu" | "fvd";
  /** Which way is better; undefined where neither is by itself. */
  readonly better?: "higher" | "lower";
  /** What a reader needs to know. */
  readonly about: string;
}

const share = (part: EvaluationPart, about: string) =>
  ({ part, is: "share", better: "higher", about }) as const;
const mean = (part: EvaluationPart, about: string) =>
  ({ part, is: "mean", better: "higher", about }) as const;
/** A mean that should be as the truth's. */
const level = (part: EvaluationPart | "all", about: string) => ({ part, is: "mean", about }) as const;
const bleu = (about: string) => ({ part: "caption", is: "bleu", better: "higher", about }) as const;

const BY_REWARD = "the same by the CLIP that rewards";

/** All metrics, in the order of the report. */
export const METRICS = {
  templateRate: share("caption", "responses that keep the format [Think]…[/Think][Ans]…[/Ans] to the letter"),
  captionEventAccuracy: share(
    "caption",
    "captions with a higher ROUGE-L to the right event's paraphrases than to those of all 4 wrong events",
  ),
  rougeL: mean("caption", "ROUGE-L F1 of the caption against the reference caption"),
  rougeLBest: mean(
    "caption",
    "highest ROUGE-L F1 of the caption against all of the right event's paraphrases",
  ),
  bleu1: bleu("corpus BLEU-1 (nltk, no smoothing) of the captions against the reference captions, 0 to 1"),
  bleu2: bleu("corpus BLEU-2, likewise"),
  bleu3: bleu("corpus BLEU-3, likewise"),
  bleu4: bleu("corpus BLEU-4, likewise"),
  bleu4Best: bleu("corpus BLEU-4 with all of the right event's paraphrases as references"),
  captionLengthWords: level("caption", "words of the caption"),
  captionLengthWordsTruth: level("caption", "words of the reference caption"),
  videoEventAccuracyFromTruth: share(
    "video-from-truth",
    "videos drawn from the true caption that are nearer to the right event than to all 4 wrong ones",
  ),
  videoEventAccuracy: share(
    "video",
    "end to end: videos drawn from the model's own caption that are nearer to the right event",
  ),
  identityAccuracy: share(
    "video",
    "videos whose main object is nearer to its true colour and place than to 3 permuted ones",
  ),
  identityAccuracyNoReferences: {
    part: "no-references",
    is: "share",
    about: "the same where all reference latents are zero, the mean of normalised latent space",
  },
  clipV: mean(
    "video",
    "CLIP-V: mean cosine of frames of the video and of the rendered truth, same index; evaluation CLIP",
  ),
  clipVReward: mean("video", BY_REWARD),
  clipT: mean(
    "video",
    "CLIP-T: mean cosine of the video's frames and the reference caption; evaluation CLIP",
  ),
  clipTReward: mean("video", BY_REWARD),
  clipTOwn: mean("video", "CLIP-T against the caption that the video was drawn from; evaluation CLIP"),
  clipTOwnReward: mean("video", BY_REWARD),
  fvd: {
    part: "video",
    is: "fvd",
    better: "lower",
    about: "Fréchet video distance of the videos to the rendered truths",
  },
  fvdFloor: {
    part: "reconstruction",
    is: "fvd",
    better: "lower",
    about:
      "Fréchet video distance of the truths through the autoencoder to the rendered truths: the least that can be asked",
  },
  videoPsnrDb: mean("video", "videos against the truth, both through the autoencoder, in dB"),
  videoSsim: mean("video", "structural similarity of the same"),
  videoPsnrDbFromTruth: mean(
    "video-from-truth",
    "videos drawn from the true caption against the truth, both through the autoencoder, in dB",
  ),
  motionEnergy: level(
    "video",
    "mean absolute difference of neighbouring frames of the video, in levels of 255",
  ),
  motionEnergyTruth: level("video", "the same of the truth through the autoencoder"),
  referenceKept: share("video", "videos that stay in the scene of the clip's last frame"),
  referenceKeptShare: level("video", "mean share of pixels that stay as in the clip's last frame"),
  referenceKeptShareTruth: level("video", "the same of the truth through the autoencoder"),
  multiFutureAccuracy: share(
    "multi-future",
    "pairs of questions about one clip whose two videos are each nearer to the own future than to the other",
  ),
  multiFutureCaptionAccuracy: share("multi-future", "the same of the two captions, by ROUGE-L"),
  reconstructionEventAccuracy: share(
    "reconstruction",
    "truths through the autoencoder that are nearer to the right event, as drawn, than to all 4 wrong ones, as drawn",
  ),
  reconstructionEventAccuracySameVae: share(
    "reconstruction",
    "the same against candidates that went through the autoencoder as well: below 1 only where it makes two events equal",
  ),
  reconstructionPsnrDb: mean(
    "reconstruction",
    "truth through the autoencoder against the truth, all pixels of the 17 frames, in dB",
  ),
  reconstructionMovingPsnrDb: mean("reconstruction", "the same at the pixels that move"),
  reconstructionSsim: mean("reconstruction", "structural similarity of the same, all pixels"),
  clipVCeiling: mean(
    "reconstruction",
    "CLIP-V of the truth through the autoencoder: what a video can reach; evaluation CLIP",
  ),
  clipVCeilingReward: mean("reconstruction", BY_REWARD),
  clipTCeiling: mean(
    "reconstruction",
    "CLIP-T of the truth through the autoencoder and its caption; evaluation CLIP",
  ),
  clipTCeilingReward: mean("reconstruction", BY_REWARD),
  secsPerSample: level(
    "all",
    "seconds of computing for one sample in all parts, divided by the workers that share the machine",
  ),
} as const satisfies Record<string, MetricDefinition>;

/** Name of a metric. */
export type MetricName = keyof typeof METRICS;

/** All names, in the order of the report. */
export const METRIC_NAMES = Object.keys(METRICS) as [MetricName, ...MetricName[]];

/** The parts that must be there before a part can be evaluated. */
export function withNeededParts(parts: readonly EvaluationPart[]): readonly EvaluationPart[] {
  const needsCaption = (["video", "no-references", "multi-future", "best-of"] as const).some((part) =>
    parts.includes(part),
  );
  return EVALUATION_PARTS.filter((part) => parts.includes(part) || (part === "caption" && needsCaption));
}
