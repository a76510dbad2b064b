/**
 * The language model layer by layer: prompts and single tokens go through one small graph a layer, whose weights stay
 * mapped in their files; the cache of keys and values is plain arrays.
 * @module
 */
import type { Feeds } from "../../runtime/index.ts";
import {
  type FileWeight,
  f32,
  input,
  type NdArray,
  reshape,
  rmsNorm,
  type Tensor,
} from "../../tensor/index.ts";
import { readRows } from "../../weights/index.ts";
import { type BlockOptions, BlockSessions } from "../block-sessions.ts";
import { attendBeside, cacheName, type PrefillSizes } from "./cache.ts";
import type { QwenConfig } from "./config.ts";
import { decoderLayer, groupedAttention, HIDDEN_SCORE, logitsOf } from "./decoder.ts";
import { type Decoding, type DecodingStart, MovingInputs, startCache } from "./decoding.ts";
import type { VisionGrid } from "./patches.ts";
import { ropeTables } from "./rotary-host.ts";
import { embedPatches, mergePatches, towerBlock } from "./vision.ts";
import { visionPlan } from "./vision-plan.ts";

/** How a {@link BlockwiseQwen} is compiled. */
export interface BlockwiseQwenOptions extends BlockOptions {
  /** `lm_head.weight` is bound also where the configuration ties it to the embedding (a quantised copy). */
  readonly hasOwnHead?: boolean;
}

/** A language model that runs layer by layer; what `generate` needs of a runner. */
export class BlockwiseQwen {
  readonly config: QwenConfig;
  readonly #table: FileWeight | NdArray;
  readonly #headConfig: Pick<QwenConfig, "text">;
  readonly #blocks: BlockSessions;
  readonly #prefillBlocks: BlockSessions;

  /** @param table the embedding, `model.embed_tokens.weight`, as it is stored */
  constructor(config: QwenConfig, table: FileWeight | NdArray, options: BlockwiseQwenOptions) {
    this.config = config;
    this.#table = table;
    this.#headConfig = options.hasOwnHead ? { text: { ...config.text, tiesEmbeddings: false } } : config;
    this.#blocks = new BlockSessions(options);
    // A prompt is read once; what kernels keep for it would stand beside what they keep for decoding.
    this.#prefillBlocks = new BlockSessions({ ...options, keep: false });
  }

  get fed(): Feeds {
    return this.#blocks.parameters;
  }

  /** As `QwenRunner.features`. */
  async features(
    patches: NdArray,
    grids: readonly VisionGrid[],
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<NdArray> {
    const { vision } = this.config;
    const plan = visionPlan(grids, vision);
    const name = JSON.stringify(grids);
    const blocks = this.#prefillBlocks;
    const embedded = await blocks.run(
      `vision start ${name}`,
      (params) => ({ x: embedPatches(params, vision, input("patches", patches.shape), plan) }),
      { patches },
      options,
    );
    let x = embedded["x"]!;
    const { shape } = x;
    // Two arrays take turns as input and output of the blocks.
    let spare: NdArray = f32(new Float32Array(x.data.length), shape);
    for (let index = 0; index < vision.depth; index++) {
      const out = await blocks.run(
        `vision ${index} ${name}`,
        (params) => ({ y: towerBlock(params, vision, index, input("x", shape), plan) }),
        { x },
        { ...options, into: { y: spare } },
      );
      [x, spare] = [out["y"]!, x];
    }
    const { features } = await blocks.run(
      `vision end ${name}`,
      (params) => ({ features: mergePatches(params, vision, input("x", shape), plan) }),
      { x },
      options,
    );
    return features!;
  }

  /** As `QwenRunner.prefill`. */
  async prefill(
    sizes: PrefillSizes,
    feeds: Feeds,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<{ readonly logits: NdArray; readonly cache: Feeds }> {
    const { text } = this.config;
    const { prompts, length } = sizes;
    const { ids, mask: tokens, positionIds, features } = feeds;
    const shape = [prompts, length, text.hiddenSize];
    let x = await this.#embedded(ids!, features, shape);
    let spare: NdArray = f32(new Float32Array(x.data.length), shape);
    const { cos, sin } = ropeTables(this.config, positionIds!);
    const mask = this.#promptMask(tokens!, prompts, length);
    const cache: Record<string, NdArray> = {};
    for (let layer = 0; layer < text.layerCount; layer++) {
      const out = await this.#prefillBlocks.run(
        `layer ${layer}`,
        (params) => {
          const kept: Record<string, Tensor> = {};
          const tables = { cos: input("cos", cos.shape), sin: input("sin", sin.shape) };
          kept["y"] = decoderLayer(
            params.at("model", "layers", layer),
            text,
            input("x", shape),
            tables,
            (heads) => {
              kept["keys"] = heads.k;
              kept["values"] = heads.v;
              return groupedAttention(text, heads, input("mask", mask.shape));
            },
          );
          return kept;
        },
        { x, cos, sin, mask },
        { ...options, into: { y: spare } },
      );
      cache[cacheName.keys(layer)] = out["keys"]!;
      cache[cacheName.values(layer)] = out["values"]!;
      [x, spare] = [out["y"]!, x];
    }
    const width = text.hiddenSize;
    const last = new Float32Array(prompts * width);
    for (let row = 0; row < prompts; row++)
      last.set(x.data.subarray((row * length + length - 1) * width, (row + 1) * length * width), row * width);
    return { logits: await this.#logits(f32(last, [prompts, width]), options.signal), cache };
  }

  /** As `QwenRunner.decode`, on the host. */
  async decode(start: DecodingStart): Promise<Decoding> {
    const { text } = this.config;
    const cache = startCache(start);
    const moving = new MovingInputs(start);
    const rows = start.starts.length * start.samples;
    const { capacity } = start;
    const shape = [rows, 1, text.hiddenSize];
    const stored = [rows, text.kvHeadCount, capacity, text.headWidth];
    return {
      step: async (tokenIds, _parameters, signal) => {
        const { ids, positions, mask } = moving.token(tokenIds);
        let x = f32((await readRows(this.#table, ids!.data)).data as Float32Array, shape);
        const three = new Int32Array(3 * rows);
        for (let axis = 0; axis < 3; axis++) three.set(positions!.data as Int32Array, axis * rows);
        const { cos, sin } = ropeTables(this.config, { dtype: "i32", shape: [3, rows, 1], data: three });
        for (let layer = 0; layer < text.layerCount; layer++) {
          const [keysName, valuesName] = [cacheName.keys(layer), cacheName.values(layer)];
          const [keys, values] = [cache[keysName]!, cache[valuesName]!];
          const out = await this.#blocks.run(
            `decode ${layer} ${rows} ${capacity}`,
            (params) => {
              const kept: Record<string, Tensor> = {};
              const tables = { cos: input("cos", cos.shape), sin: input("sin", sin.shape) };
              kept["y"] = decoderLayer(
                params.at("model", "layers", layer),
                text,
                input("x", shape),
                tables,
                (heads) => {
                  kept["keys"] = heads.k;
                  kept["values"] = heads.v;
                  return attendBeside(text, heads, {
                    keys: input("cachedKeys", stored),
                    values: input("cachedValues", stored),
                    mask: input("mask", [rows, 1, 1, capacity]),
                  });
                },
              );
              return kept;
            },
            { x, cos, sin, mask: mask!, cachedKeys: keys, cachedValues: values },
            { signal },
          );
          append(keys, out["keys"]!, moving.at);
          append(values, out["values"]!, moving.at);
          x = out["y"]!;
        }
        moving.open();
        moving.advance();
        return this.#logits(f32(x.data as Float32Array, [rows, text.hiddenSize]), signal);
      },
      end: () => undefined,
    };
  }

  async release(): Promise<void> {
    await this.#blocks.release();
    await this.#prefillBlocks.release();
  }

  #logits(hidden: NdArray, signal: AbortSignal | undefined): Promise<NdArray> {
    const { text } = this.config;
    return this.#blocks
      .run(
        `logits ${hidden.shape.join()}`,
        (params) => {
          const scale = params.at("model", "norm").get("weight", [text.hiddenSize]);
          const normed = rmsNorm(input("hidden", hidden.shape), scale, text.epsilon);
          return {
            logits: reshape(logitsOf(params, this.#headConfig, normed), [
              hidden.shape[0]!,
              text.vocabularySize,
            ]),
          };
        },
        { hidden },
        { signal },
      )
      .then((out) => out["logits"]!);
  }

  /** Embeddings with the vision features in their places, in order. */
  async #embedded(ids: NdArray, features: NdArray | undefined, shape: readonly number[]): Promise<NdArray> {
    const rows = await readRows(this.#table, ids.data);
    const { hiddenSize } = this.config.text;
    const { videoTokenId, imageTokenId } = this.config;
    let next = 0;
    if (features)
      for (let i = 0; i < ids.data.length; i++)
        if (ids.data[i] === videoTokenId || ids.data[i] === imageTokenId) {
          rows.data.set(features.data.subarray(next * hiddenSize, (next + 1) * hiddenSize), i * hiddenSize);
          next++;
        }
    return f32(rows.data as Float32Array, shape);
  }

  /** `[P, 1, group · S, S]`: later tokens and padding hidden, repeated for the queries that share a head. */
  #promptMask(tokens: NdArray, prompts: number, length: number): NdArray {
    const { headCount, kvHeadCount } = this.config.text;
    const group = headCount / kvHeadCount;
    const area = length * length;
    const data = new Float32Array(prompts * group * area);
    for (let row = 0; row < prompts; row++) {
      const at = row * group * area;
      for (let query = 0; query < length; query++)
        for (let k = 0; k < length; k++)
          if (k > query || tokens.data[row * length + k] === 0) data[at + query * length + k] = HIDDEN_SCORE;
      for (let copy = 1; copy < group; copy++) data.copyWithin(at + copy * area, at, at + area);
    }
    return f32(data, [prompts, 1, group * length, length]);
  }
}

/** Writes `[R, heads, 1, D]` into place `at` of `[R, heads, capacity, D]`. */
function append(cache: NdArray, added: NdArray, at: number): void {
  const [rows, heads, capacity, width] = cache.shape as [number, number, number, number];
  for (let block = 0; block < rows * heads; block++)
    cache.data.set(
      added.data.subarray(block * width, (block + 1) * width) as never,
      (block * capacity + at) * width,
    );
}
