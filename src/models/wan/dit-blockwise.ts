/**
 * The video transformer block by block. Every block is its own graph over mapped weights; two arrays of tokens take turns
 * as input and output.
 * @module
 */
import { broadcastTo, concat, f32, input, type NdArray } from "../../tensor/index.ts";
import { type BlockOptions, BlockSessions } from "../block-sessions.ts";
import { ditHead, ditTextTokens, patchTokens, timeEmbedding, tokenGrid, unpatchify } from "./dit.ts";
import { ditBlock, textKeyValue } from "./dit-blocks.ts";
import { type DitConfig, ditHeadWidth } from "./dit-config.ts";
import { ropeTable } from "./rope-table.ts";
import type { VelocityRequest } from "./sample.ts";

/** A video transformer that runs block by block; `velocity` fits the sampler. */
export class BlockwiseDit {
  readonly #config: DitConfig;
  readonly #blocks: BlockSessions;

  constructor(config: DitConfig, options: BlockOptions) {
    this.#config = config;
    this.#blocks = new BlockSessions(options);
  }

  /** As `DitRunner.velocity`: velocities of the noisy frames, `[B, C, F, h, w]`. */
  readonly velocity = async (
    request: VelocityRequest,
    options: {
      readonly signal?: AbortSignal | undefined;
      readonly onBlock?: (index: number, secs: number) => void;
    } = {},
  ): Promise<NdArray> => {
    const config = this.#config;
    const { references, noisy, timestep, context } = request;
    const { signal } = options;
    const batch = noisy.shape[0]!;
    const key = [references, noisy, timestep, context].map((part) => part.shape.join()).join(";");
    const named = (array: NdArray, name: string) => input(name, array.shape);
    const latents = [batch, noisy.shape[1]!, references.shape[2]! + noisy.shape[2]!, ...noisy.shape.slice(3)];
    const grid = tokenGrid(config, input("latents", latents));
    const dropFrames = references.shape[2]! / config.patchSize[0];
    const start = await this.#blocks.run(
      `start ${key}`,
      (params) => {
        const before = named(references, "references");
        const [, ...frame] = references.shape;
        const joined = concat([broadcastTo(before, [batch, ...frame]), named(noisy, "noisy")], 2);
        const { e, modulation } = timeEmbedding(params, config, named(timestep, "timestep"), undefined);
        return {
          tokens: patchTokens(params, config, joined, grid),
          e,
          modulation,
          text: ditTextTokens(params, config, named(context, "context")),
        };
      },
      { references, noisy, timestep, context },
      { signal },
    );
    const { cos, sin } = ropeTable(grid, ditHeadWidth(config));
    const dropped = dropFrames * grid.rows * grid.columns;
    let x = start["tokens"]!;
    let spare: NdArray = f32(new Float32Array(x.data.length), x.shape);
    const { e, modulation, text } = start as Record<"e" | "modulation" | "text", NdArray>;
    for (let index = 0; index < config.layerCount; index++) {
      const isLast = index === config.layerCount - 1;
      const keepFrom = isLast ? dropped : 0;
      const began = performance.now();
      const { y } = await this.#blocks.run(
        `block ${index} ${key}`,
        (params) => {
          const block = params.at("blocks", index);
          return {
            y: ditBlock(block, config, named(x, "x"), {
              modulation: named(modulation, "modulation"),
              tables: { cos: named(cos, "cos"), sin: named(sin, "sin") },
              text: textKeyValue(block, config, named(text, "text")),
              keepFrom,
            }),
          };
        },
        { x, modulation, cos, sin, text },
        { signal, ...(!isLast && { into: { y: spare } }) },
      );
      options.onBlock?.(index, (performance.now() - began) / 1000);
      [x, spare] = [y!, x];
    }
    const { velocity } = await this.#blocks.run(
      `end ${key}`,
      (params) => ({
        velocity: unpatchify(config, ditHead(params, config, named(x, "x"), named(e, "e")), {
          ...grid,
          frames: grid.frames - dropFrames,
        }),
      }),
      { x, e },
      { signal },
    );
    return velocity!;
  };

  release(): Promise<void> {
    return this.#blocks.release();
  }
}
