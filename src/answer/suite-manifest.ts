/**
 * `suite.json`: which models belong together, and with which settings they answer.
 * @module
 */
import { z } from "zod";
import { VansError } from "../base/errors.ts";
import { SCHEDULER_NAMES } from "../models/wan/solver.ts";
import { VANS_SYSTEM_PROMPT } from "../text/answer-template.ts";
import { domainSchema } from "./domain-statistics.ts";

/**
 * A path relative to the suite's folder that stays inside it, or `<source>:<path>` for a file of a hub repository that
 * `sources` names.
 */
const file = z
  .string()
  .min(1)
  .refine((path) => !/^([/\\]|[A-Za-z]:)/.test(path) && !path.split(/[/\\:]/).includes(".."), {
    message: "must be a relative path inside the suite's folder, or <source>:<path>",
  });
/** One file, a folder, an index of shards, or several files. */
const files = z.union([file.transform((one) => [one]), z.array(file).min(1)]);
const whole = z.int().positive();

const part = { config: file, weights: files };

/** Files of a hub repository. */
const sourceSchema = z.strictObject({
  repo: z.string().regex(/^[\w.-]+\/[\w.-]+$/, "must be organisation/name"),
  /** Branch, tag or commit; of a branch the commit is noted when it is fetched. */
  revision: z.string().regex(/^[\w][\w./-]*$/),
  files: z.array(file).min(1),
});

const adapterSchema = z.strictObject({
  /** The part that it changes: low-rank factors beside its linear layers, or tensors in place of its own. */
  part: z.enum(["vlm", "vdm"]),
  /** PEFT's `adapter_config.json`, of which `r` and `lora_alpha` are read. Default: rank as the factors have it, alpha the same. */
  config: file.optional(),
  weights: files,
});

/** The field `answer` of a `suite.json`, and the settings inside an answer. */
export const answerSchema = z.strictObject({
  /** What the language model is told before the question. Default: the released VANS prompt. */
  systemPrompt: z.string().default(VANS_SYSTEM_PROMPT),
  /** How questions are written for the language model: as they are asked, or in small letters. */
  questionCase: z.enum(["as-is", "lower"]).default("as-is"),
  /** What the video is guided away from. */
  negativePrompt: z.string().default(""),
  /** Denoising steps; 50 in VANS. */
  steps: whole.max(1000).default(50),
  /** Values above 1 spend more steps at high noise. */
  shift: z.number().positive().default(5),
  guidanceScale: z.number().min(0).default(5),
  scheduler: z.enum(SCHEDULER_NAMES as readonly [(typeof SCHEDULER_NAMES)[number]]).default("euler"),
  seed: z.int().nonnegative().default(0),
  /** Pixels of the video model's frames. */
  height: whole,
  width: whole,
  /** Frames that a clip is resampled to; 4k + 1. */
  inputFrames: whole,
  /** Frames of the answer; 4k + 1. */
  answerFrames: whole,
  /** Frame rate of input and answer. */
  frameRateHz: z.number().positive(),
  /** Frames that the language model sees. */
  vlmFrames: whole.default(6),
  /** Bounds on the area of each of them, in pixels. Default: those of qwen-vl-utils. */
  vlmMinPixels: whole.optional(),
  vlmMaxPixels: whole.optional(),
  /** Latent frames of the clip that condition the video model. */
  referenceLatentFrames: whole.default(6),
  /** The whole clip is encoded, then frames are picked from its latents; the only way so far. */
  referencePick: z.literal("clip-then-pick").default("clip-then-pick"),
  /** 0 always takes the likeliest token. */
  temperature: z.number().min(0).default(0.7),
  topP: z.number().positive().max(1).default(0.9),
  /** 0 keeps all tokens. */
  topK: z.int().nonnegative().default(0),
  repetitionPenalty: z.number().positive().default(1),
  maxNewTokens: whole.default(1024),
  /** How a clip of another shape becomes `width` by `height`. */
  resize: z.enum(["stretch", "centre-crop"]).default("centre-crop"),
  /** A longer clip is spread over the input frames as a whole, or only its end is looked at. */
  inputPick: z.enum(["whole", "end"]).default("whole"),
  /** Encode and decode in VANS's overlapping tiles, which large frames need. */
  tiled: z.boolean().default(false),
  /** Frames that a still image becomes; 1: it is a clip of one frame, as it is. */
  stillFrames: whole.default(1),
});

const manifestSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/, "must be lower-case letters, digits, '.', '_' and '-'"),
  version: z.string().min(1),
  about: z.string().min(1),
  licence: z.string().min(1),
  /** Hub repositories that files come from, by the name that stands before the colon. */
  sources: z.record(z.string().regex(/^[a-z][a-z0-9-]+$/), sourceSchema).default({}),
  vlm: z.strictObject({ ...part, tokenizer: file }),
  vdm: z.strictObject(part),
  vae: z.strictObject(part),
  textEncoder: z.strictObject({ ...part, tokenizer: file, maxLength: whole }),
  /** Not needed for answers; metrics and rewards use it. */
  clip: z.strictObject({ ...part, tokenizer: file }).optional(),
  /** The CLIP that evaluates: another one than `clip`, which rewards. */
  clipEval: z.strictObject({ ...part, tokenizer: file }).optional(),
  /** The network whose features the Fréchet video distance compares. */
  i3d: z.strictObject(part).optional(),
  adapters: z.array(adapterSchema).default([]),
  answer: answerSchema,
  domain: domainSchema.optional(),
  /** Names, types and shapes of all tensors, so that a plan needs no weights. */
  tensors: file.optional(),
  /** A page on data, training, results and limits. */
  card: file.default("README.md"),
});

/** A suite that takes everything from another one but what it says itself. */
const extensionSchema = manifestSchema
  .pick({ name: true, version: true, about: true, licence: true, adapters: true, card: true, domain: true })
  .partial({ version: true, licence: true, domain: true })
  .extend({
    /** Folder of the other suite, relative to this one's. */
    extends: z.string().min(1),
    /** Settings that differ. */
    answer: answerSchema.partial().optional(),
  })
  .strict();

/** The checked content of `suite.json`. */
export type SuiteManifest = z.infer<typeof manifestSchema>;

/** How a suite answers. */
export type AnswerSettings = SuiteManifest["answer"];

/**
 * Checks the content of a `suite.json`.
 *
 * @throws `VANS_SUITE_INVALID` naming every field that is missing or wrong
 */
export function parseSuiteManifest(raw: unknown, path: string): SuiteManifest {
  const manifest = checked(manifestSchema, raw, path);
  const problems = unknownSources(manifest);
  if (problems.length > 0) throw invalid(problems, path);
  return manifest;
}

/** The folder that the content of a `suite.json` says it extends. */
export function extendedSuite(raw: unknown): string | undefined {
  const named = z.object({ extends: z.string() }).safeParse(raw);
  return named.success ? named.data.extends : undefined;
}

/**
 * The manifest of a suite that extends another: parts and settings of `base`, with files found at `toBase` (the way from
 * this suite's folder to the other's), and this suite's own adapters, which replace those of `base`.
 *
 * @throws `VANS_SUITE_INVALID`
 */
export function extendManifest(
  base: SuiteManifest,
  raw: unknown,
  options: { readonly path: string; readonly toBase: string },
): SuiteManifest {
  const own = checked(extensionSchema, raw, options.path);
  const there = (path: string): string => (hubFileOf(path) ? path : `${options.toBase}/${path}`);
  const part = <T extends { config: string; weights: string[]; tokenizer?: string }>(one: T): T => ({
    ...one,
    config: there(one.config),
    weights: one.weights.map(there),
    ...(one.tokenizer !== undefined && { tokenizer: there(one.tokenizer) }),
  });
  const { extends: _, answer, ...said } = own;
  // Only what the file says: defaults of settings that it leaves out are the other suite's.
  const changes = Object.fromEntries(
    Object.entries(answer ?? {}).filter(([name]) => name in ((raw as { answer?: object }).answer ?? {})),
  );
  return {
    ...base,
    ...said,
    vlm: part(base.vlm),
    vdm: part(base.vdm),
    vae: part(base.vae),
    textEncoder: part(base.textEncoder),
    ...(base.clip && { clip: part(base.clip) }),
    ...(base.clipEval && { clipEval: part(base.clipEval) }),
    ...(base.i3d && { i3d: part(base.i3d) }),
    ...(base.tensors !== undefined && { tensors: there(base.tensors) }),
    answer: { ...base.answer, ...changes },
  };
}

function checked<T>(schema: z.ZodType<T>, raw: unknown, path: string): T {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => ({
    field: issue.path.map(String).join(".") || "(the file itself)",
    problem: issue.message,
  }));
  throw invalid(problems, path);
}

interface Problem {
  readonly field: string;
  readonly problem: string;
}

function invalid(problems: readonly Problem[], path: string): VansError {
  return new VansError("VANS_SUITE_INVALID", `${path} does not describe a suite`, {
    found: problems.map(({ field, problem }) => `${field}: ${problem}`).join("; "),
    fix: "compare it with suites/playroom-sft/suite.json",
    data: { path, problems },
  });
}

/** References to sources that are not named, or to files that their source does not list. */
function unknownSources(manifest: SuiteManifest): Problem[] {
  return hubFiles(manifest).flatMap(({ reference, source, path }) => {
    const listed = manifest.sources[source];
    if (!listed) return [{ field: reference, problem: `there is no source "${source}"` }];
    return listed.files.includes(path)
      ? []
      : [{ field: reference, problem: `sources.${source}.files does not list it` }];
  });
}

/** A file of a hub repository that a suite names. */
export interface HubFile {
  /** As `suite.json` writes it. */
  readonly reference: string;
  readonly source: string;
  readonly path: string;
}

/** `qwen:tokenizer.json` as its two halves; undefined for a path in the suite's folder. */
export function hubFileOf(reference: string): HubFile | undefined {
  const match = /^([a-z][a-z0-9-]+):(.+)$/.exec(reference);
  return match ? { reference, source: match[1]!, path: match[2]! } : undefined;
}

/** All hub files that the parts of a suite name. */
function hubFiles(manifest: SuiteManifest): HubFile[] {
  const { vlm, vdm, vae, textEncoder, clip, clipEval, i3d, adapters } = manifest;
  const parts = [vlm, vdm, vae, textEncoder, clip, clipEval, i3d, ...adapters].filter(
    (part) => part !== undefined,
  );
  const named = parts.flatMap((part): (string | undefined)[] => [
    part.config,
    ...part.weights,
    (part as { tokenizer?: string }).tokenizer,
  ]);
  return named.flatMap((reference) => (reference === undefined ? [] : (hubFileOf(reference) ?? [])));
}
