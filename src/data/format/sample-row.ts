/**
 * One sample of a VNEP dataset: a row of `manifest.parquet`. The columns are fixed, so that any folder that this
 * project makes (simulated, curated, imported) reads alike.
 * @module
 */
import * as z from "zod";

/** Version of the format, kept in the table's metadata. */
export const FORMAT_VERSION = 1;

/** Parquet columns may hand out 64-bit integers as bigint. */
const integer = z.coerce.number().int();
const secs = z.number().nonnegative().nullable().default(null);
const text = z.string().nullable().default(null);

/** A next event that is wrong; only simulated samples have them. */
export const wrongEventSchema = z.object({
  event: z.string(),
  caption: z.string(),
  paraphrases: z.array(z.string()),
});

/** Schema of a row. What is unknown is null. */
export const sampleRowSchema = z.object({
  /** Unique within the dataset. */
  id: z.string().min(1),
  kind: z.enum(["procedural", "predictive"]),
  /** Where it comes from: `coin`, `youcook2`, `activitynet`, `vans-data`, `videos`, `playroom`, … */
  source: z.string(),
  licence: z.string(),
  /** `train`, `evaluation`, or a split of one's own, such as `rl`. */
  split: z.string().min(1),
  /** The source video, the same for all samples cut from it. */
  video: text,
  question: z.string(),
  reasoning: z.string(),
  caption: z.string(),
  /** Clips relative to the folder, with forward slashes. */
  input: z.string(),
  output: z.string(),
  /** Where the clips lie in the source video; ends are exclusive. */
  input_start_secs: secs,
  input_end_secs: secs,
  output_start_secs: secs,
  output_end_secs: secs,
  /** What the whole procedure is for, and the annotated names of the two steps. */
  goal: text,
  input_label: text,
  output_label: text,
  /** Names of steps between input and output, in order. */
  skipped_steps: z.array(z.string()).default([]),
  /** Measures and judgements, by name. */
  scores: z.record(z.string(), z.number()).default({}),
  /** `keep`, `correct` (kept after a correction), or null where nobody judged. */
  verdict: text,
  /** The judge's reasons. */
  reasons: z.array(z.string()).default([]),
  /** Prompts by stage, as `name@hash`, and the models that answered. */
  prompts: z.record(z.string(), z.string()).default({}),
  models: z.record(z.string(), z.string()).default({}),
  /** Facts of simulated samples. */
  family: text,
  seed: integer.nonnegative().nullable().default(null),
  world_version: integer.nullable().default(null),
  event: text,
  paraphrases: z.array(z.string()).default([]),
  wrong_events: z.array(wrongEventSchema).default([]),
});

/** One row. */
export type SampleRow = z.infer<typeof sampleRowSchema>;
/** A row as it may be given: what is left out is null or empty. */
export type SampleRowInput = z.input<typeof sampleRowSchema>;

type ColumnType = "STRING" | "JSON" | "DOUBLE" | "INT32" | "INT64";

/** Parquet columns in order. Lists and records are JSON columns, which Hugging Face `datasets` decodes. */
export const COLUMNS: readonly {
  readonly name: keyof SampleRow;
  readonly type: ColumnType;
  readonly nullable: boolean;
}[] = [
  { name: "id", type: "STRING", nullable: false },
  { name: "kind", type: "STRING", nullable: false },
  { name: "source", type: "STRING", nullable: false },
  { name: "licence", type: "STRING", nullable: false },
  { name: "split", type: "STRING", nullable: false },
  { name: "video", type: "STRING", nullable: true },
  { name: "question", type: "STRING", nullable: false },
  { name: "reasoning", type: "STRING", nullable: false },
  { name: "caption", type: "STRING", nullable: false },
  { name: "input", type: "STRING", nullable: false },
  { name: "output", type: "STRING", nullable: false },
  { name: "input_start_secs", type: "DOUBLE", nullable: true },
  { name: "input_end_secs", type: "DOUBLE", nullable: true },
  { name: "output_start_secs", type: "DOUBLE", nullable: true },
  { name: "output_end_secs", type: "DOUBLE", nullable: true },
  { name: "goal", type: "STRING", nullable: true },
  { name: "input_label", type: "STRING", nullable: true },
  { name: "output_label", type: "STRING", nullable: true },
  { name: "skipped_steps", type: "JSON", nullable: false },
  { name: "scores", type: "JSON", nullable: false },
  { name: "verdict", type: "STRING", nullable: true },
  { name: "reasons", type: "JSON", nullable: false },
  { name: "prompts", type: "JSON", nullable: false },
  { name: "models", type: "JSON", nullable: false },
  { name: "family", type: "STRING", nullable: true },
  { name: "seed", type: "INT64", nullable: true },
  { name: "world_version", type: "INT32", nullable: true },
  { name: "event", type: "STRING", nullable: true },
  { name: "paraphrases", type: "JSON", nullable: false },
  { name: "wrong_events", type: "JSON", nullable: false },
];
