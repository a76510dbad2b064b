/**
 * The captions that videos are drawn from in stage 2: what the frozen language model writes, if it is near enough to the
 * reference; or, for the rivals, its plain captions or the reference captions themselves.
 * @module
 */
import { z } from "zod";
import { throwIfAborted } from "../base/abort.ts";
import { VansError } from "../base/errors.ts";
import { fold, type Key, keyFromSeed } from "../base/keys.ts";
import { bestRougeL } from "../metrics/index.ts";
import type { WorldSample } from "../world/index.ts";
import type { CaptionPolicy } from "./caption-policy.ts";
import { REFERENCE_CAPTIONS, type ReferenceCaptions, referenceCaptions } from "./reference-captions.ts";
import { poolSamples, type SamplePool } from "./sample-pool.ts";

/** Settings of anchors. */
export const anchorFields = {
  /**
   * Where captions come from: `anchors` are drawn and filtered (the paper), `written` are the language model's greedy ones
   * as they are, `reference` the samples' own (the video model on its own).
   */
  captions: z.enum(["anchors", "written", "reference"]).default("anchors"),
  /** Least ROUGE-L of an anchor against its reference. */
  anchorRougeL: z.number().min(0).max(1).default(0.6),
  /**
   * What the filter compares with: the sample's reference caption (the paper), or the best of all captions of the right
   * event, or of its literal ones.
   */
  anchorReferences: z.enum(REFERENCE_CAPTIONS).default("caption"),
  /** A sample without a passing anchor: the next one of the pool takes its place, or its reference caption is the anchor. */
  anchorFallback: z.enum(["skip", "truth"]).default("skip"),
  /** Captions drawn at once, and how often. */
  anchorDraws: z.int().positive().default(4),
  anchorRounds: z.int().positive().default(2),
  anchorTemperature: z.number().positive().default(1),
};

/** Checked settings of anchors. */
export interface AnchorSettings extends SamplePool {
  readonly captions: "anchors" | "written" | "reference";
  readonly anchorRougeL: number;
  readonly anchorReferences: ReferenceCaptions;
  readonly anchorFallback: "skip" | "truth";
  readonly anchorDraws: number;
  readonly anchorRounds: number;
  readonly anchorTemperature: number;
  readonly maxNewTokens: number;
}

/** A sample and the caption that its videos are drawn from. */
export interface Anchored {
  readonly sample: WorldSample;
  readonly anchor: string;
  /** The filter's measure; 1 for the reference caption itself. */
  readonly rougeL: number;
}

/** Anchors of an update, and how they were found. */
export interface FoundAnchors {
  readonly groups: readonly Anchored[];
  readonly metrics: Record<string, number>;
}

/** Greedy captions; a response without one is answered by its question, as the application does. */
export async function greedyCaptions(
  writer: CaptionPolicy,
  samples: readonly WorldSample[],
  maxNewTokens: number,
): Promise<readonly string[]> {
  const captions: string[] = [];
  for (const sample of samples) {
    const key = keyFromSeed(0);
    const options = { samples: 1, temperature: 0, maxNewTokens, key };
    const [[response] = []] = await writer.respond([writer.prompt(sample)], options);
    captions.push(response?.caption ?? sample.question);
  }
  return captions;
}

/**
 * The next `count` samples of the pool that get a caption.
 * @param at the update
 * @throws `VANS_TRAIN_ANCHORS` where half of the pool gets none, `VANS_RUN_ABORTED`
 */
export async function findAnchors(
  writer: CaptionPolicy,
  settings: AnchorSettings,
  options: {
    readonly seed: number;
    readonly at: number;
    readonly count: number;
    readonly key: Key;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<FoundAnchors> {
  const { seed, at, count, key, signal } = options;
  const { captions, anchorRougeL, anchorFallback } = settings;
  const groups: Anchored[] = [];
  let [drawn, passed, passedOver, fromTruth] = [0, 0, 0, 0];
  /** A caption by the settings' way, or undefined. */
  const anchorOf = async (sample: WorldSample, n: number): Promise<Anchored | undefined> => {
    if (captions === "reference") return { sample, anchor: sample.caption, rougeL: 1 };
    const references = referenceCaptions(sample, settings.anchorReferences);
    const measured = (anchor: string): Anchored => ({
      sample,
      anchor,
      rougeL: bestRougeL(references, anchor),
    });
    if (captions === "written")
      return measured((await greedyCaptions(writer, [sample], settings.maxNewTokens))[0]!);
    for (let round = 0; round < settings.anchorRounds; round++) {
      throwIfAborted(signal);
      const [responses] = await writer.respond([writer.prompt(sample)], {
        samples: settings.anchorDraws,
        temperature: settings.anchorTemperature,
        maxNewTokens: settings.maxNewTokens,
        key: fold(key, "anchor", n, round),
        signal,
      });
      const good = responses!
        .flatMap(({ caption }) => (caption === null ? [] : [measured(caption)]))
        .filter(({ rougeL }) => rougeL >= anchorRougeL);
      drawn += responses!.length;
      passed += good.length;
      if (good[0]) return good[0];
    }
    return undefined;
  };
  // Samples that are passed over are replaced from the far side of the pool's order.
  const spare = Math.floor(settings.samples / 2);
  for (let n = 0; groups.length < count; n++) {
    if (n >= count + spare)
      throw new VansError("VANS_TRAIN_ANCHORS", "no sample gets an anchor caption", {
        why: `the language model's captions stay under ROUGE-L ${anchorRougeL}`,
        fix: "train the language model first, lower settings.anchorRougeL, or set anchorFallback: truth",
      });
    const position = at * count + (n < count ? n : n + spare);
    const sample = poolSamples(settings, seed, position, 1)[0]!;
    const found = await anchorOf(sample, n);
    if (found) groups.push(found);
    else if (anchorFallback === "truth") {
      groups.push({ sample, anchor: sample.caption, rougeL: 1 });
      fromTruth++;
    } else passedOver++;
  }
  const mean = groups.reduce((sum, { rougeL }) => sum + rougeL, 0) / groups.length;
  return {
    groups,
    metrics: {
      "anchors/rougeL": mean,
      "anchors/passed_over": passedOver,
      "anchors/from_truth": fromTruth,
      ...(drawn > 0 && { "anchors/pass_rate": passed / drawn }),
    },
  };
}
