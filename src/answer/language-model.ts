/**
 * The language model at work: it looks at frames, reads the question, writes reasoning and caption.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { Key } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import {
  BlockwiseQwen,
  generate,
  patchify,
  QwenRunner,
  type VisionGrid,
  visionTokenCount,
} from "../models/qwen25vl/index.ts";
import type { NdArray } from "../tensor/index.ts";
import {
  type AnswerDelta,
  AnswerStream,
  expandPads,
  loadTokenizer,
  renderChat,
  StreamDecoder,
  type Tokenizer,
} from "../text/index.ts";
import type { PartOptions } from "./quantized-parts.ts";
import type { Suite } from "./suite.ts";
import type { AnswerSettings } from "./suite-manifest.ts";
import { openPart } from "./suite-weights.ts";

/** What the model sees of a clip; questions about the same clip share it. */
export interface Sight {
  /** `[tokens, width]` */
  readonly features: NdArray;
  readonly grid: VisionGrid;
}

/** How a response is written. */
export type WritingSettings = Pick<
  AnswerSettings,
  "systemPrompt" | "questionCase" | "temperature" | "topP" | "topK" | "repetitionPenalty" | "maxNewTokens"
>;

/** Where a stage runs, and how it stops. */
export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
}

/** The vision-language model of a suite. */
export class LanguageModel {
  readonly #runner: QwenRunner | BlockwiseQwen;
  readonly #tokenizer: Tokenizer;
  readonly #banned: readonly number[];

  private constructor(runner: QwenRunner | BlockwiseQwen, tokenizer: Tokenizer) {
    this.#runner = runner;
    this.#tokenizer = tokenizer;
    this.#banned = bannedTokens(runner, tokenizer);
  }

  static async open(
    suite: Suite,
    { isBlockwise = false, quantized, ...options }: PartOptions,
  ): Promise<LanguageModel> {
    const [{ binding, stored, lora }, tokenizer] = await Promise.all([
      openPart(suite, "vlm", { quantized: quantized?.vlm }),
      loadTokenizer(suite.vlm.tokenizer),
    ]);
    const { config } = suite.vlm;
    const bound = { ...options, weights: binding, lora };
    const runner = isBlockwise
      ? new BlockwiseQwen(config, stored("model.embed_tokens.weight"), {
          ...bound,
          hasOwnHead: quantized?.vlm !== undefined,
        })
      : new QwenRunner(config, bound);
    return new LanguageModel(runner, tokenizer);
  }

  /** Features of frames whose sides are multiples of a merge cell. */
  async see(frames: Clip, options: RunOptions = {}): Promise<Sight> {
    const { patches, grid } = patchify(frames, this.#runner.config.vision);
    return { features: await this.#runner.features(patches, [grid], options), grid };
  }

  /**
   * Writes a response, yielding its text piece by piece with the tags taken out; returns the whole text.
   *
   * @throws `VANS_MODEL_TOO_LONG` where question and frames leave no room for an answer
   */
  async *write(
    sight: Sight,
    question: string,
    settings: WritingSettings,
    key: Key,
    options: RunOptions = {},
  ): AsyncGenerator<AnswerDelta, string> {
    const ids = this.#prompt(sight, question, settings);
    const { temperature, topP, topK, repetitionPenalty } = settings;
    const tokens = generate(this.#runner, [{ ids, features: sight.features, grids: [sight.grid] }], {
      temperature,
      topP,
      ...(topK > 0 && { topK }),
      repetitionPenalty,
      maxNewTokens: this.#roomFor(ids.length, settings.maxNewTokens),
      bannedTokenIds: this.#banned,
      key,
      ...options,
    });
    const characters = new StreamDecoder(this.#tokenizer);
    const parts = new AnswerStream();
    let text = "";
    for await (const step of tokens) {
      const piece = characters.push(step.tokens[0]!);
      text += piece;
      yield* parts.push(piece);
    }
    const rest = characters.finish();
    text += rest;
    yield* parts.push(rest);
    yield* parts.finish();
    return text;
  }

  /** Gives compiled graphs back; they are made again when needed. */
  release(): Promise<void> {
    return this.#runner.release();
  }

  /** The released VANS's prompt: its system text, then the video and the question. */
  #prompt(sight: Sight, question: string, settings: WritingSettings): number[] {
    const { config } = this.#runner;
    const asked = settings.questionCase === "lower" ? question.toLowerCase() : question;
    const chat = renderChat(
      [
        { role: "system", content: settings.systemPrompt },
        {
          role: "user",
          content: [{ type: "video" }, { type: "text", text: this.#tokenizer.withoutSpecialTokens(asked) }],
        },
      ],
      { addGenerationPrompt: true },
    );
    const ids = this.#tokenizer.encode(chat, { addSpecialTokens: false });
    return expandPads(ids, config.videoTokenId, [visionTokenCount(sight.grid, config.vision)]);
  }

  /** New tokens that fit behind a prompt. */
  #roomFor(promptLength: number, asked: number): number {
    const { maxPositions } = this.#runner.config.text;
    const room = maxPositions - promptLength;
    if (room >= Math.min(asked, LEAST_ANSWER)) return Math.min(asked, room);
    throw new VansError("VANS_MODEL_TOO_LONG", "the question leaves no room for an answer", {
      asked: `${promptLength} tokens of frames and question, and ${asked} of answer`,
      found: `the model reads at most ${maxPositions}`,
      fix: "ask a shorter question",
      data: { promptLength, maxPositions },
    });
  }
}

/** Tokens below which an answer is not worth starting. */
const LEAST_ANSWER = 32;

/** Ids that are no text: special tokens that do not end an answer, and rows of the table without a token. */
function bannedTokens(runner: QwenRunner | BlockwiseQwen, tokenizer: Tokenizer): number[] {
  const { eosTokenIds, text } = runner.config;
  const banned = [...tokenizer.specialIds].filter((id) => !eosTokenIds.includes(id));
  for (let id = 0; id < text.vocabularySize; id++)
    if (id >= tokenizer.vocabSize || tokenizer.tokenOf(id) === undefined) banned.push(id);
  return banned;
}
