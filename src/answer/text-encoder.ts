/**
 * Captions to text embeddings, as the video model takes them.
 * @module
 */
import { BlockwiseUmt5, umt5Encode } from "../models/umt5/index.ts";
import { Params } from "../nn/index.ts";
import { type CompileOptions, compile, type Executable, type Feeds } from "../runtime/index.ts";
import { f32, i32, input, type NdArray } from "../tensor/index.ts";
import { cleanPrompt, loadTokenizer, type Tokenizer } from "../text/index.ts";
import type { RunOptions } from "./language-model.ts";
import type { PartOptions } from "./quantized-parts.ts";
import type { Suite } from "./suite.ts";
import { openPart } from "./suite-weights.ts";

/** Embeddings of one text. */
export interface EncodedText {
  /** `[1, maxLength, width]`, zero rows at padding. */
  readonly context: NdArray;
  /** True where the end of the text did not fit. */
  readonly isCut: boolean;
}

/** Texts whose embeddings are kept. */
const KEPT_TEXTS = 16;

/** The text encoder of a suite. */
export class TextEncoder {
  readonly #suite: Suite;
  readonly #tokenizer: Tokenizer;
  readonly #options: CompileOptions;
  readonly #blockwise: BlockwiseUmt5 | undefined;
  readonly #known = new Map<string, EncodedText>();
  #graph: Promise<Executable> | undefined;

  private constructor(
    suite: Suite,
    tokenizer: Tokenizer,
    options: CompileOptions,
    blockwise: BlockwiseUmt5 | undefined,
  ) {
    this.#blockwise = blockwise;
    this.#suite = suite;
    this.#tokenizer = tokenizer;
    this.#options = options;
  }

  static async open(
    suite: Suite,
    { isBlockwise = false, quantized, ...options }: PartOptions,
  ): Promise<TextEncoder> {
    const [{ binding, stored }, tokenizer] = await Promise.all([
      openPart(suite, "textEncoder", { quantized: quantized?.textEncoder }),
      loadTokenizer(suite.textEncoder.tokenizer),
    ]);
    const bound = { ...options, weights: binding };
    const blockwise = isBlockwise
      ? new BlockwiseUmt5(suite.textEncoder.config, stored("shared.weight"), {
          ...bound,
          keep: quantized?.textEncoder === undefined,
        })
      : undefined;
    return new TextEncoder(suite, tokenizer, bound, blockwise);
  }

  /** Cleans a text as Wan does and encodes it at the suite's fixed length. */
  async encode(text: string, options: RunOptions = {}): Promise<EncodedText> {
    const before = this.#known.get(text);
    if (before) return before;
    const { maxLength, config } = this.#suite.textEncoder;
    const clean = cleanPrompt(text);
    const { ids, mask, count } = this.#tokenizer.encodeFixed(clean, maxLength, config.padTokenId);
    const isCut = count === maxLength && this.#tokenizer.encode(clean).length > maxLength;
    const shape = [1, maxLength];
    const feeds = { ids: i32(ids, shape), mask: f32(Float32Array.from(mask), shape) };
    const context = this.#blockwise
      ? await this.#blockwise.encode(feeds.ids, feeds.mask, options)
      : (await this.#whole(feeds, options))["context"]!;
    const encoded = { context, isCut };
    if (this.#known.size >= KEPT_TEXTS) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(text, encoded);
    return encoded;
  }

  async #whole(feeds: Feeds, options: RunOptions): Promise<Record<string, NdArray>> {
    this.#graph ??= this.#compile();
    return (await this.#graph).run(feeds, options);
  }

  #compile(): Promise<Executable> {
    const { maxLength, config } = this.#suite.textEncoder;
    const shape = [1, maxLength];
    const context = umt5Encode(new Params(), config, input("ids", shape, "i32"), input("mask", shape));
    return compile({ context }, this.#options);
  }

  /** Gives the compiled graph back; embeddings of known texts stay. */
  async release(): Promise<void> {
    await this.#blockwise?.release();
    const graph = this.#graph;
    this.#graph = undefined;
    await (await graph)?.release();
  }
}
