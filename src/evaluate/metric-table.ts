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
  /** As `video`, but the video model does not see the clip. */
  "no-references",
] as const;

/** Name of a part. */
export type EvaluationPart = (typeof EVALUATION_PARTS)[number];

/** Counts up whenever a metric is added or defined anew, so that older results are not mixed with newer ones. */
export const MEASURES_VERSION = 1;

/** What a metric is. */
export interface MetricDefinition {
  /** The part that it comes from; `all` for what is measured over all parts. */
  readonly part: EvaluationPart | "all";
  /** A share of samples (Wilson interval), or a mean over samples (bootstrap interval). */
  readonly is: "share" | "mean";
  /** What a reader needs to know. */
  readonly about: string;
}

/** All metrics, in the order of the report. */
export const METRICS = {
  templateRate: {
    part: "caption",
    is: "share",
    about: "responses that keep the format [Think]…[/Think][Ans]…[/Ans] to the letter",
  },
  captionEventAccuracy: {
    part: "caption",
    is: "share",
    about:
      "captions with a higher ROUGE-L to the right event's paraphrases than to those of all 4 wrong events",
  },
  reconstructionEventAccuracy: {
    part: "reconstruction",
    is: "share",
    about:
      "truths through the autoencoder that are nearer to the right event, as drawn, than to all 4 wrong ones, as drawn",
  },
  reconstructionEventAccuracySameVae: {
    part: "reconstruction",
    is: "share",
    about:
      "the same against candidates that went through the autoencoder as well: below 1 only where it makes two events equal",
  },
  reconstructionPsnrDb: {
    part: "reconstruction",
    is: "mean",
    about: "truth through the autoencoder against the truth, all pixels of the 17 frames, in dB",
  },
  reconstructionMovingPsnrDb: {
    part: "reconstruction",
    is: "mean",
    about: "the same at the pixels that move",
  },
  videoEventAccuracyFromTruth: {
    part: "video-from-truth",
    is: "share",
    about: "videos drawn from the true caption that are nearer to the right event than to all 4 wrong ones",
  },
  videoEventAccuracy: {
    part: "video",
    is: "share",
    about: "end to end: videos drawn from the model's own caption that are nearer to the right event",
  },
  videoPsnrDbFromTruth: {
    part: "video-from-truth",
    is: "mean",
    about: "videos drawn from the true caption against the truth, both through the autoencoder, in dB",
  },
  videoPsnrDb: { part: "video", is: "mean", about: "the same end to end" },
  identityAccuracy: {
    part: "video",
    is: "share",
    about: "videos whose main object is nearer to its true colour and place than to 3 permuted ones",
  },
  identityAccuracyNoReferences: {
    part: "no-references",
    is: "share",
    about: "the same where all reference latents are zero, the mean of normalised latent space",
  },
  rougeL: {
    part: "caption",
    is: "mean",
    about: "highest ROUGE-L F1 of the caption against the right event's paraphrases",
  },
  bleu4: {
    part: "caption",
    is: "mean",
    about: "sentence BLEU-4 (nltk, smoothing method 1) against the right event's paraphrases",
  },
  captionLengthWords: { part: "caption", is: "mean", about: "words of the caption" },
  motionEnergy: {
    part: "video",
    is: "mean",
    about: "mean absolute difference of neighbouring frames of the video, in levels of 255",
  },
  motionEnergyTruth: {
    part: "video",
    is: "mean",
    about: "the same of the truth through the autoencoder",
  },
  secsPerSample: {
    part: "all",
    is: "mean",
    about: "seconds of computing for one sample in all parts, divided by the workers that share the machine",
  },
} as const satisfies Record<string, MetricDefinition>;

/** Name of a metric. */
export type MetricName = keyof typeof METRICS;

/** All names, in the order of the report. */
export const METRIC_NAMES = Object.keys(METRICS) as [MetricName, ...MetricName[]];

/** The parts that must be there before a part can be evaluated. */
export function withNeededParts(parts: readonly EvaluationPart[]): readonly EvaluationPart[] {
  const needsCaption = parts.includes("video") || parts.includes("no-references");
  return EVALUATION_PARTS.filter((part) => parts.includes(part) || (part === "caption" && needsCaption));
}
