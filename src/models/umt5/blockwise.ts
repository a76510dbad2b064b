/**
 * The text encoder block by block: the embedding's rows are read from the file, one block is resident at a time.
 * @module
 */
import { type FileWeight, f32, input, mul, type NdArray, reshape } from "../../tensor/index.ts";
import { readRows } from "../../weights/index.ts";
import { type BlockOptions, BlockSessions } from "../block-sessions.ts";
import type { Umt5Config } from "./config.ts";
import { UMT5_HIDDEN_SCORE, umt5Block, umt5Norm } from "./encoder.ts";
import { bucketTable } from "./position-bucket.ts";

/** A text encoder that runs block by block. */
export class BlockwiseUmt5 {
  readonly #config: Umt5Config;
  readonly #table: FileWeight | NdArray;
  readonly #blocks: BlockSessions;

  /** @param table the embedding, `shared.weight` */
  constructor(config: Umt5Config, table: FileWeight | NdArray, options: BlockOptions) {
    this.#config = config;
    this.#table = table;
    this.#blocks = new BlockSessions(options);
  }

  /**
   * Text embeddings as `umt5Encode` gives them.
   * @param ids `[1, L]` i32
   * @param mask `[1, L]` f32, 1 on real tokens
   * @returns `[1, L, width]`
   * @throws `VANS_RUN_ABORTED`
   */
  async encode(
    ids: NdArray,
    mask: NdArray,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<NdArray> {
    const config = this.#config;
    const [batch, length] = ids.shape as [number, number];
    const shape = [batch, length, config.width];
    let x = f32((await readRows(this.#table, ids.data)).data as Float32Array, shape);
    let spare = f32(new Float32Array(x.data.length), shape);
    const buckets = bucketTable(config, length);
    const keyMask = f32(
      Float32Array.from(mask.data, (value) => (1 - value) * UMT5_HIDDEN_SCORE),
      [batch, 1, 1, length],
    );
    for (let index = 0; index < config.layerCount; index++) {
      const { y } = await this.#blocks.run(
        `block ${index} ${ids.shape.join()}`,
        (params) => ({
          y: umt5Block(
            params,
            config,
            index,
            input("x", shape),
            input("buckets", [length, length], "i32"),
            input("keyMask", [batch, 1, 1, length]),
          ),
        }),
        { x, buckets, keyMask },
        { ...options, into: { y: spare } },
      );
      [x, spare] = [y!, x];
    }
    const { context } = await this.#blocks.run(
      `end ${ids.shape.join()}`,
      (params) => ({
        context: mul(
          umt5Norm(params, config, input("x", shape)),
          reshape(input("mask", [batch, length]), [batch, length, 1]),
        ),
      }),
      { x, mask },
      options,
    );
    return context!;
  }

  release(): Promise<void> {
    return this.#blocks.release();
  }
}
