/**
 * Joint-GRPO on models larger than memory: one prompt's group at a time, models opened when they are needed and given back.
 *
 * As the stages for smaller models, with these differences: one update a rollout, so that ratios are exactly 1; the video
 * model's policy is its conditional branch (guidance scale 1), whose gradient goes through one branch; a sample without an
 * anchor of enough ROUGE-L is drawn from its reference caption.
 * @module
 */
import { openPart, VideoModel } from "../answer/index.ts";
import type { Key } from "../base/keys.ts";
import { BlockwiseQwen, generate } from "../models/qwen25vl/index.ts";
import type { LoraOptions } from "../nn/index.ts";
import { drawableCaption } from "../rewards/index.ts";
import { withoutAdapters } from "./caption-policy.ts";
import { openRewards } from "./grpo-rewards.ts";
import type { LargeContext, LargePrompt } from "./large-context.ts";
import type { Arrays, LargeGradients } from "./large-lora.ts";

/** Gradients of a group, and what is logged. */
export interface GroupGradients extends LargeGradients {
  readonly metrics: Record<string, number>;
}

/** What one group is computed with. */
export interface GroupOptions {
  readonly key: Key;
  readonly signal: AbortSignal | undefined;
}

/** A response of the language model. */
export interface Written {
  readonly tokens: Int32Array;
  readonly text: string;
  readonly caption: string | null;
}

/** Responses of the language model to one prompt, with adapters or the suite's own weights. */
export async function respond(
  large: LargeContext,
  prompt: LargePrompt,
  policy: { readonly lora: LoraOptions; readonly adapters: Arrays } | undefined,
  options: GroupOptions & { readonly samples: number },
): Promise<readonly Written[]> {
  const { suite, threads, tokenizer, settings } = large;
  const part = await openPart(suite, "vlm");
  const model = new BlockwiseQwen(suite.vlm.config, part.stored("model.embed_tokens.weight"), {
    threads,
    weights: policy ? withoutAdapters(part.binding) : part.binding,
    lora: policy?.lora ?? part.lora,
    ...(policy && { parameters: policy.adapters }),
  });
  const { eosTokenIds } = suite.vlm.config;
  try {
    const features = await model.features(prompt.patches, [prompt.grid], { signal: options.signal });
    const steps = generate(model, [{ ids: prompt.ids, features, grids: [prompt.grid] }], {
      temperature: 1,
      maxNewTokens: settings.answerTokens,
      bannedTokenIds: [...tokenizer.specialIds].filter((id) => !eosTokenIds.includes(id)),
      ...options,
    });
    for (;;) {
      const next = await steps.next();
      if (!next.done) continue;
      return next.value.map(({ tokens }) => {
        const text = tokenizer.decode([...tokens], { skipSpecialTokens: true });
        return { tokens, text, caption: drawableCaption(text) };
      });
    }
  } finally {
    await model.release();
  }
}

/** Opens the rewards of a stage. */
export async function rewardsOf(large: LargeContext, weights: LargeContext["settings"]["rewards"] & object) {
  const { suite, settings, threads } = large;
  return openRewards(suite, weights, {
    // Only rewards that check events of the playroom ask for it.
    throughAutoencoder: async (clip) => {
      const video = await VideoModel.open(suite, { threads, isBlockwise: true });
      const { all } = await video.references(clip);
      const back = await video.decode(all);
      await video.release();
      return back;
    },
    everyFrames: settings.clipEveryFrames,
    threads,
  });
}

/** How advantages are made of a group's rewards. */
export const advantageSettings = (group: number) =>
  ({ group, advantageOrder: "sum-then-normalize", advantageRule: "flow-grpo" }) as const;
