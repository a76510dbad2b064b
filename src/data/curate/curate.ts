/**
 * All stages in a row over a folder of listed videos, or some of them, and the dataset at the end.
 * @module
 */
import { join } from "node:path";
import { VansError } from "../../base/errors.ts";
import { removeAbandonedFiles } from "../../weights/atomic-file.ts";
import { type AskCounts, Asker, type AskLimits, costUsd } from "../providers/asker.ts";
import type { Provider } from "../providers/provider.ts";
import { RequestCache } from "../providers/request-cache.ts";
import { annotateSchema, annotateStage } from "./annotate-stage.ts";
import { type Account, assemble } from "./assemble.ts";
import { reviewSchema, reviewStage } from "./review-stage.ts";
import { type SelectSettings, selectSchema, selectStage } from "./select-stage.ts";
import { type SplitSettings, splitSchema, splitStage } from "./split-stage.ts";
import { readResult, runStage, STAGES, type Stage, type StageEvent, type StageName } from "./stage.ts";
import { readVideoList } from "./video-list.ts";

/** What to run. */
export interface CurateOptions extends AskLimits, SplitSettings, Omit<SelectSettings, "asker"> {
  readonly folder: string;
  /** Stages to run, in their order. Default: all. */
  readonly stages?: readonly StageName[] | undefined;
  /** Judges and writes; without one only `split`, the cheap `select` and the rules of `review` work. */
  readonly provider?: Provider | undefined;
  /** Samples for one pair. Default 1. */
  readonly questions?: number | undefined;
  /** Only the estimate of what requests will cost; needs a finished `split`. */
  readonly estimateOnly?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What requests will cost at most, by what is known so far. */
export interface CostEstimate {
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Undefined where the price is not known. */
  readonly usd: number | undefined;
  /** Spent so far on this dataset. */
  readonly spentUsd: number;
  readonly budgetUsd: number | undefined;
}

/** Progress of curation. */
export type CurateEvent =
  | StageEvent
  | { readonly type: "stage"; readonly stage: StageName; readonly videos: number }
  | { readonly type: "estimate"; readonly estimate: CostEstimate }
  | {
      readonly type: "requests";
      readonly counts: AskCounts;
      readonly spentUsd: number;
      readonly lost: number;
    }
  | { readonly type: "dataset"; readonly folder: string; readonly account: Account };

/** Tokens of one request of each stage: prompt, pictures, answer. */
const REQUEST_TOKENS = {
  select: { input: 500 + 12 * 270, output: 120 },
  annotate: { input: 700 + 12 * 270, output: 400 },
  review: { input: 800 + 12 * 270, output: 200 },
} as const;

/**
 * Curates a folder. Killed at any moment it loses at most the items in hand; run again, it goes on; several processes
 * may run at once on the same folder.
 *
 * @throws VansError of the stages, of `Asker.ask`, `VANS_DATA_VIDEOS_NOT_FOUND`, `VANS_RUN_ABORTED`
 */
export async function* curate(options: CurateOptions): AsyncGenerator<CurateEvent> {
  const { folder, provider, signal } = options;
  const stages = STAGES.filter((name) => (options.stages ?? STAGES).includes(name));
  const cache = new RequestCache(join(folder, "cache"));
  const asker =
    provider === undefined
      ? undefined
      : new Asker(provider, cache, {
          concurrency: options.concurrency,
          requestsPerMinute: options.requestsPerMinute,
          attempts: options.attempts,
          backoffSecs: options.backoffSecs,
          budgetUsd: options.budgetUsd,
          signal,
        });
  let videos = 0;
  for await (const _ of readVideoList(folder)) videos++;
  // A local model works alone; requests over the net wait for each other's answers.
  const parallel =
    provider === undefined || provider.name === "local" ? 1 : Math.max(1, options.concurrency ?? 4);
  const run = async function* <T>(stage: Stage<T>, atATime: number): AsyncGenerator<CurateEvent> {
    yield { type: "stage", stage: stage.name, videos };
    yield* runStage(folder, stage, { parallel: atATime, signal });
  };
  if (stages.includes("split") && options.estimateOnly !== true) yield* run(splitStage(folder, options), 1);
  const asking = stages.filter((name) => name !== "split");
  if (asker !== undefined && asking.length > 0) {
    yield { type: "estimate", estimate: await estimateCost(folder, asking, asker, options) };
    if (options.estimateOnly === true) return;
  } else if (options.estimateOnly === true) {
    throw new VansError("VANS_DATA_PROVIDER_NEEDED", "an estimate needs a provider", {
      fix: "choose one: --provider gemini or --provider openai",
    });
  }
  if (stages.includes("select")) {
    await requireStage(folder, "split");
    yield* run(selectStage(folder, { ...options, asker }), parallel);
  }
  if (stages.includes("annotate")) {
    await requireStage(folder, "select");
    yield* run(annotateStage(folder, { asker, questions: options.questions, signal }), parallel);
  }
  if (stages.includes("review")) {
    await requireStage(folder, "annotate");
    yield* run(reviewStage(folder, { asker, signal }), parallel);
  }
  await removeAbandonedFiles(folder);
  if (asker !== undefined) {
    const lost = await cache.lostRequests();
    yield { type: "requests", counts: asker.counts, spentUsd: await asker.spentUsd(), lost };
  }
  if (stages.includes("review")) yield { type: "dataset", folder, account: await assemble(folder) };
}

const SCHEMAS = {
  split: splitSchema,
  select: selectSchema,
  annotate: annotateSchema,
  review: reviewSchema,
} as const;

/** @throws VansError `VANS_DATA_NOT_FINISHED` */
async function requireStage(folder: string, name: StageName): Promise<void> {
  for await (const video of readVideoList(folder)) {
    const schema = SCHEMAS[name] as Stage<unknown>["schema"];
    if ((await readResult(folder, { name, schema }, video.id)) !== undefined) continue;
    throw new VansError("VANS_DATA_NOT_FINISHED", `the stage ${name} is not finished`, {
      found: `no result for ${video.id}`,
      fix: `run it first: vans data ${name} ${folder}`,
      data: { stage: name, video: video.id },
    });
  }
}

/** What the stages would ask at most: results and answers that are there cost nothing. */
async function estimateCost(
  folder: string,
  stages: readonly StageName[],
  asker: Asker,
  options: CurateOptions,
): Promise<CostEstimate> {
  const { questions = 1, budgetUsd } = options;
  let requests = 0;
  const tokens = { input: 0, output: 0 };
  const add = (count: number, each: { readonly input: number; readonly output: number }): void => {
    requests += count;
    tokens.input += count * each.input;
    tokens.output += count * each.output;
  };
  for await (const video of readVideoList(folder)) {
    const has = async (name: StageName): Promise<boolean> =>
      (await readResult(folder, { name, schema: SCHEMAS[name] as Stage<unknown>["schema"] }, video.id)) !==
      undefined;
    const split = (await readResult(folder, { name: "split", schema: splitSchema }, video.id))?.value;
    const segments = split?.segments.length ?? 0;
    const isGiven = video.given !== undefined;
    const pairs = Math.max(0, segments - 1);
    if (stages.includes("select") && !isGiven && !(await has("select"))) add(segments, REQUEST_TOKENS.select);
    if (stages.includes("annotate") && !(await has("annotate"))) add(pairs, REQUEST_TOKENS.annotate);
    if (stages.includes("review") && !(await has("review"))) add(pairs * questions, REQUEST_TOKENS.review);
  }
  return {
    requests,
    inputTokens: tokens.input,
    outputTokens: tokens.output,
    usd: asker.provider.price === undefined ? undefined : costUsd(asker.provider, tokens),
    spentUsd: await asker.spentUsd(),
    budgetUsd,
  };
}
