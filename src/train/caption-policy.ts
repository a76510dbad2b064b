/**
 * A suite's language model as a policy: prompts from samples, responses drawn from it, and what a replay needs.
 * @module
 */
import { openPart, type Suite } from "../answer/index.ts";
import { VansError } from "../base/errors.ts";
import type { Key } from "../base/keys.ts";
import {
  type CompletionRows,
  completionLogProbs,
  completionRows,
  generate,
  patchify,
  type QwenConfig,
  QwenRunner,
  type VisionGrid,
  visionTokenCount,
} from "../models/qwen25vl/index.ts";
import type { LoraOptions, Params } from "../nn/index.ts";
import { drawableCaption } from "../rewards/index.ts";
import type { Feeds } from "../runtime/index.ts";
import { f32, input, type NdArray, type Tensor, type WeightBinding } from "../tensor/index.ts";
import { expandPads, isWellFormed, loadTokenizer, renderChat, type Tokenizer } from "../text/index.ts";
import type { WorldSample } from "../world/index.ts";
import { throughVideo } from "./through-video.ts";
import { vlmFrames } from "./vlm-config.ts";

/** What the model is asked about a sample. */
export interface CaptionPrompt {
  readonly sample: WorldSample;
  readonly ids: readonly number[];
  /** `[N, …]` */
  readonly patches: NdArray;
  readonly grid: VisionGrid;
}

/** One response of the policy. */
export interface CaptionResponse {
  /** The end token, where there is one, is kept. */
  readonly tokens: Int32Array;
  /** Of the cached decoding that drew them, at the temperature of the drawing. */
  readonly logProbs: Float32Array;
  readonly text: string;
  /** The caption that may be drawn (`drawableCaption`): no thinking reaches the video model. */
  readonly caption: string | null;
  readonly isWellFormed: boolean;
  /** False where the response was cut off at its greatest length. */
  readonly isFinished: boolean;
  /** Mean over its tokens of the entropy of what each was drawn from, in nats. */
  readonly entropy: number;
}

/** How responses are drawn. */
export interface RespondOptions {
  /** Responses to each prompt. */
  readonly samples: number;
  /** 0 takes the likeliest tokens. */
  readonly temperature: number;
  readonly maxNewTokens: number;
  readonly key: Key;
  readonly signal?: AbortSignal | undefined;
}

/** How the model is opened. */
export interface CaptionPolicyOptions {
  /** Adapters to train; without them the suite's own weights, adapter included, are used. */
  readonly lora?: LoraOptions | undefined;
  readonly threads: number;
}

/** The language model of a suite, drawing responses. */
export class CaptionPolicy {
  readonly config: QwenConfig;
  /** The frozen weights, without the adapters that are trained. */
  readonly binding: WeightBinding;
  readonly #suite: Suite;
  readonly #tokenizer: Tokenizer;
  readonly #runner: QwenRunner;
  readonly #banned: readonly number[];

  private constructor(suite: Suite, tokenizer: Tokenizer, runner: QwenRunner, binding: WeightBinding) {
    this.config = suite.vlm.config;
    this.binding = binding;
    this.#suite = suite;
    this.#tokenizer = tokenizer;
    this.#runner = runner;
    // Nothing but text and the end: a drawn picture token would be counted as part of the input.
    const { eosTokenIds } = this.config;
    this.#banned = [...tokenizer.specialIds].filter((id) => !eosTokenIds.includes(id));
  }

  /** @throws `VANS_TRAIN_ADAPTED` where adapters are to be trained on weights that have one already */
  static async open(suite: Suite, options: CaptionPolicyOptions): Promise<CaptionPolicy> {
    const [part, tokenizer] = await Promise.all([openPart(suite, "vlm"), loadTokenizer(suite.vlm.tokenizer)]);
    if (options.lora && part.lora) throw alreadyAdapted(suite, "vlm");
    const binding = options.lora ? withoutAdapters(part.binding) : part.binding;
    const lora = options.lora ?? part.lora;
    const runner = new QwenRunner(suite.vlm.config, { weights: binding, lora, threads: options.threads });
    return new CaptionPolicy(suite, tokenizer, runner, binding);
  }

  /** From now on the policy has these adapters. */
  setAdapters(adapters: Feeds): void {
    this.#runner.setParameters(adapters);
  }

  /** The prompt that answering would use, about the input as a video file shows it. */
  prompt(sample: WorldSample): CaptionPrompt {
    const { systemPrompt, questionCase } = this.#suite.manifest.answer;
    const { patches, grid } = patchify(throughVideo(vlmFrames(sample.input)), this.config.vision);
    const text = questionCase === "lower" ? sample.question.toLowerCase() : sample.question;
    const chat = renderChat(
      [
        { role: "system", content: systemPrompt },
        { role: "user", content: [{ type: "video" }, { type: "text", text }] },
      ],
      { addGenerationPrompt: true },
    );
    const ids = expandPads(
      this.#tokenizer.encode(chat, { addSpecialTokens: false }),
      this.config.videoTokenId,
      [visionTokenCount(grid, this.config.vision)],
    );
    return { sample, ids, patches, grid };
  }

  /** Responses to each prompt, those of the first prompt first. */
  async respond(
    prompts: readonly CaptionPrompt[],
    options: RespondOptions,
  ): Promise<readonly (readonly CaptionResponse[])[]> {
    const { samples, temperature, signal } = options;
    const seen = [];
    for (const { ids, patches, grid } of prompts)
      seen.push({ ids, grids: [grid], features: await this.#runner.features(patches, [grid], { signal }) });
    const entropies = Array.from({ length: prompts.length * samples }, () => ({ sum: 0, count: 0 }));
    const steps = generate(this.#runner, seen, { ...options, topP: 1, bannedTokenIds: this.#banned });
    let ended: readonly boolean[] = entropies.map(() => false);
    for (;;) {
      const next = await steps.next();
      if (!next.done) {
        const { logits } = next.value;
        const width = logits.shape[1]!;
        ended.forEach((isOver, row) => {
          if (isOver) return;
          const own = logits.data.subarray(row * width, (row + 1) * width) as Float32Array;
          entropies[row]!.sum += entropyOf(own, temperature === 0 ? 1 : temperature);
          entropies[row]!.count++;
        });
        ended = next.value.ended;
        continue;
      }
      const responses = next.value.map(({ tokens, logProbs, stop }, row): CaptionResponse => {
        const text = this.#tokenizer.decode([...tokens], { skipSpecialTokens: true });
        return {
          tokens,
          logProbs,
          text,
          caption: drawableCaption(text),
          isWellFormed: isWellFormed(text),
          isFinished: stop === "token",
          entropy: entropies[row]!.sum / Math.max(1, entropies[row]!.count),
        };
      });
      return prompts.map((_, p) => responses.slice(p * samples, (p + 1) * samples));
    }
  }

  async release(): Promise<void> {
    await this.#runner.release();
  }
}

/** Shapes of a batch of responses. */
export interface ReplaySizes {
  readonly prompts: number;
  /** Responses to each prompt. */
  readonly samples: number;
  /** Places of prompts and of responses. */
  readonly promptLength: number;
  readonly completionLength: number;
}

/** The log-probabilities of given responses as a graph, `[prompts · samples, completionLength]`. */
export function captionLogProbs(
  params: Params,
  config: QwenConfig,
  grid: VisionGrid,
  patchWidth: number,
  sizes: ReplaySizes,
  temperature: number,
): Tensor {
  const rows = sizes.prompts * sizes.samples;
  const length = sizes.promptLength + sizes.completionLength;
  return completionLogProbs(
    params,
    config,
    {
      ids: input("ids", [rows, length], "i32"),
      mask: input("mask", [rows, length], "i32"),
      positionIds: input("positionIds", [3, rows, length], "i32"),
      patches: input("patches", [sizes.prompts * grid[0] * grid[1] * grid[2], patchWidth]),
      grids: Array.from({ length: sizes.prompts }, () => grid),
      rowsPerVideo: sizes.samples,
    },
    { completionLength: sizes.completionLength, temperature },
  );
}

/** Feeds of {@link captionLogProbs}, and which places hold a response. */
export function replayFeeds(
  config: QwenConfig,
  prompts: readonly CaptionPrompt[],
  responses: readonly (readonly CaptionResponse[])[],
  sizes: ReplaySizes,
): { readonly feeds: Feeds; readonly completionMask: NdArray } {
  const longest = Math.max(...prompts.map(({ ids }) => ids.length));
  if (longest > sizes.promptLength)
    throw new VansError("VANS_TRAIN_PROMPT_LENGTH", "a prompt is longer than the batch has places for", {
      asked: `${longest} tokens`,
      found: `settings.promptLength ${sizes.promptLength}`,
      fix: "raise settings.promptLength",
    });
  const rows: CompletionRows = completionRows(
    config,
    prompts.flatMap(({ ids }) => Array.from({ length: sizes.samples }, () => ids)),
    responses.flat().map(({ tokens }) => tokens),
    {
      grids: prompts.flatMap(({ grid }) => Array.from({ length: sizes.samples }, () => grid)),
      promptLength: sizes.promptLength,
      completionLength: sizes.completionLength,
    },
  );
  const patches = joinedRows(prompts.map((prompt) => prompt.patches));
  const { ids, mask, positionIds, completionMask } = rows;
  return { feeds: { ids, mask, positionIds, patches }, completionMask };
}

/** Arrays one after another on their first axis. */
export function joinedRows(parts: readonly NdArray[]): NdArray {
  const total = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return f32(data, [total, ...parts[0]!.shape.slice(1)]);
}

/** True for names of adapter factors. */
export const isAdapterName = (name: string): boolean => /\.lora_[AB]\.weight$/.test(name);

/** Factors with all B at 0: the reference policy, through the very graph of the policy. */
export function adaptersOff(adapters: Feeds): Record<string, NdArray> {
  return Object.fromEntries(
    Object.entries(adapters).map(([name, array]): [string, NdArray] => [
      name,
      name.endsWith(".lora_B.weight") ? f32(new Float32Array(array.data.length), array.shape) : array,
    ]),
  );
}

/** The adapters out of the state of a training step. */
export function adaptersOf(state: Feeds): Record<string, NdArray> {
  return Object.fromEntries(
    Object.entries(state).filter(([name]) => !name.includes(":") && isAdapterName(name)),
  );
}

/** A binding that leaves adapter factors to be fed. */
export function withoutAdapters(binding: WeightBinding): WeightBinding {
  return { weight: (name) => (isAdapterName(name) ? undefined : binding.weight(name)) };
}

/** The refusal to put an adapter on an adapter. */
export function alreadyAdapted(suite: Suite, part: "vlm" | "vdm"): VansError {
  return new VansError("VANS_TRAIN_ADAPTED", `${suite.name} already has an adapter on its ${part}`, {
    why: "the reference policy is the model without adapters",
    fix: "start from the suite that the adapter was trained on, or merge the adapter first",
  });
}

function entropyOf(logits: Float32Array, temperature: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) largest = Math.max(largest, logit / temperature);
  let total = 0;
  let weighted = 0;
  for (const logit of logits) {
    const shifted = logit / temperature - largest;
    const weight = Math.exp(shifted);
    total += weight;
    weighted += weight * shifted;
  }
  return Math.log(total) - weighted / total;
}
