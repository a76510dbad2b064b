/**
 * `report.json`: what an evaluation found, as data.
 * @module
 */
import * as z from "zod";
import { EVALUATION_PARTS, METRIC_NAMES } from "./metric-table.ts";
import { SYSTEM_NAMES } from "./systems.ts";

const finite = z.number();

/** A value with its 95 % interval over `n` samples. */
export const estimateSchema = z.strictObject({
  value: finite,
  low: finite,
  high: finite,
  n: z.int().positive(),
});

const metricsSchema = z.partialRecord(z.enum(METRIC_NAMES), estimateSchema);

/** Metrics by name; those of parts that were not evaluated are missing. */
export type MetricEstimates = z.infer<typeof metricsSchema>;

/** What samples are grouped by besides their family. */
export const REPORT_KINDS = ["procedural", "predictive", "all"] as const;

/** Name of a group of samples. */
export type ReportKind = (typeof REPORT_KINDS)[number];

const partCount = z.strictObject({ done: z.int().nonnegative(), of: z.int().nonnegative() });

const targetSchema = z.strictObject({
  /** What is asked, in words. */
  target: z.string(),
  /** `procedural`, `predictive`, or the family. */
  group: z.string(),
  value: finite,
  bound: finite,
  isMet: z.boolean(),
});

/** A target and whether it is met. */
export type TargetResult = z.infer<typeof targetSchema>;

const confusionSchema = z.strictObject({
  family: z.string(),
  part: z.enum(EVALUATION_PARTS),
  /** What comes next in truth. */
  event: z.string(),
  /** What the answer is nearest to. */
  nearest: z.string(),
  count: z.int().positive(),
});

/** How often one event was shown or said for another. */
export type Confusion = z.infer<typeof confusionSchema>;

const differenceSchema = z.strictObject({
  /** The system's value. */
  first: finite,
  reference: finite,
  /** First minus reference, with its paired 95 % interval. */
  value: finite,
  low: finite,
  high: finite,
  /** Samples that both have. */
  n: z.int().positive(),
  /** The difference as a share of the reference's value; null where that is 0. */
  relative: finite.nullable(),
  /** True where the interval excludes 0. */
  excludesZero: z.boolean(),
});

/** A difference of a metric between two systems. */
export type MetricDifference = z.infer<typeof differenceSchema>;

const differencesSchema = z.partialRecord(z.enum(METRIC_NAMES), differenceSchema);

/** Differences by metric. */
export type MetricDifferences = z.infer<typeof differencesSchema>;

/** Two systems on the same samples. */
export const comparisonSchema = z.strictObject({
  system: z.string(),
  /** What it is compared with. */
  reference: z.string(),
  metrics: z.record(z.enum(REPORT_KINDS), differencesSchema),
  families: z.record(z.string(), differencesSchema),
});

/** Two systems on the same samples. */
export type SystemComparison = z.infer<typeof comparisonSchema>;

/** What may be wrong with a system. */
export const ALARM_NAMES = [
  "reward-hacking",
  "static",
  "flicker",
  "short-captions",
  "long-captions",
  "repeated-captions",
] as const;

const alarmSchema = z.strictObject({
  alarm: z.enum(ALARM_NAMES),
  system: z.string(),
  group: z.enum(REPORT_KINDS),
  /** For people. */
  text: z.string(),
  value: finite,
  bound: finite,
});

/** A finding that makes good numbers doubtful. */
export type Alarm = z.infer<typeof alarmSchema>;

const systemSchema = z.strictObject({
  /** Column of the report. */
  name: z.string(),
  about: z.string(),
  suite: z.strictObject({ name: z.string(), version: z.string(), folder: z.string() }),
  /** Which of the ways to answer with a suite it is. */
  system: z.enum(SYSTEM_NAMES),
  metrics: z.record(z.enum(REPORT_KINDS), metricsSchema),
  families: z.record(z.string(), metricsSchema),
});

/** A system as a column of a report. */
export type ReportSystem = z.infer<typeof systemSchema>;

const fvdSchema = z.strictObject({
  weights: z.string(),
  weightsSha256: z.string(),
  fit: z.enum(["stretch", "crop"]),
  sizePx: z.int().positive(),
  batchNormEpsilon: finite,
  divisor: z.enum(["N", "N-1"]),
  tap: z.enum(["logits", "pooled"]),
});

/** The whole of `report.json`. */
export const reportSchema = z.strictObject({
  schemaVersion: z.literal(2),
  suite: z.strictObject({
    name: z.string(),
    version: z.string(),
    folder: z.string(),
    /** SHA-256 of its files by path. */
    hashes: z.record(z.string(), z.string()),
  }),
  data: z.strictObject({
    folder: z.string(),
    /** SHA-256 of `manifest.parquet`. */
    manifestSha256: z.string(),
    /** Samples in the folder. */
    count: z.int().nonnegative(),
    /** Samples that this report is about. */
    evaluated: z.int().nonnegative(),
    firstSeed: z.int().nonnegative(),
    lastSeed: z.int().nonnegative(),
    worldVersion: z.int(),
    /** True where all samples are of the seeds that training never sees. */
    isHeldOut: z.boolean(),
  }),
  /** The suite's answer settings as they were used. */
  settings: z.record(z.string(), z.unknown()),
  device: z.string(),
  /** How many samples each part has results of. */
  parts: z.record(z.enum(EVALUATION_PARTS), partCount),
  metrics: z.record(z.enum(REPORT_KINDS), metricsSchema),
  families: z.record(z.string(), metricsSchema),
  /** What judged; null for what the judging suite lacks. */
  judges: z.strictObject({
    suite: z.string(),
    /** SHA-256 of the weights. */
    clipEval: z.string().nullable(),
    clipReward: z.string().nullable(),
    fvd: fvdSchema.nullable(),
  }),
  /** The suite itself first, then other ways to answer with it, then other suites. */
  systems: z.array(systemSchema),
  /** Every other system against the first baseline, or against the suite where there is none. */
  comparisons: z.array(comparisonSchema),
  alarms: z.array(alarmSchema),
  /** What a reader should know about how this report came about. */
  notes: z.array(z.string()),
  targets: z.array(targetSchema),
  confusions: z.array(confusionSchema),
  timings: z.strictObject({
    /** Seconds of computing by stage, over all samples and workers. */
    stagesSecs: z.record(z.string(), finite),
    /** Seconds of this run from start to report, samples of earlier runs not counted. */
    wallSecs: finite,
    /** Parts of samples that this run computed; the others were there. */
    computed: z.int().nonnegative(),
    workers: z.int().positive(),
  }),
  versions: z.strictObject({
    vans: z.string(),
    node: z.string(),
    onnxruntime: z.string(),
    platform: z.string(),
  }),
  /** What each metric means. */
  definitions: z.record(z.string(), z.string()),
});

/** What an evaluation found. */
export type EvaluationReport = z.infer<typeof reportSchema>;
