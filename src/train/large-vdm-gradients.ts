/**
 * Adapter gradients of the video transformer, block by block.
 * @module
 */
import {
  ditHead,
  ditTextTokens,
  patchTokens,
  timeEmbedding,
  tokenGrid,
  unpatchify,
} from "../models/wan/dit.ts";
import { ditBlock, textKeyValue } from "../models/wan/dit-blocks.ts";
import { type DitConfig, ditHeadWidth } from "../models/wan/dit-config.ts";
import { ropeTable } from "../models/wan/rope-table.ts";
import type { Params } from "../nn/index.ts";
import { concat, grad, input, type NdArray, type Tensor } from "../tensor/index.ts";
import {
  type Arrays,
  adaptedSessions,
  blockGradientGraph,
  keepGradients,
  type LargeGradients,
  type LargeLoraOptions,
  named,
} from "./large-lora.ts";

/** Inputs of {@link vdmGradients}. */
export interface VdmStepInputs {
  readonly references: NdArray;
  readonly noisy: NdArray;
  readonly timestep: NdArray;
  readonly context: NdArray;
  /** What the loss needs beside the velocity. */
  readonly feeds: Arrays;
  /** A scalar of the velocity; further values through `feed`. */
  readonly loss: (velocity: Tensor, feed: (name: string) => Tensor) => Tensor;
}

/** The body of a block of the video transformer, over inputs of these shapes. */
export function vdmBlock(
  config: DitConfig,
  index: number,
  given: Readonly<Record<"modulation" | "cos" | "sin" | "text", NdArray>>,
  keepFrom: number,
): (params: Params, x: Tensor) => Tensor {
  return (params, x) => {
    const block = params.at("blocks", index);
    return ditBlock(block, config, x, {
      modulation: named(given.modulation, "modulation"),
      tables: { cos: named(given.cos, "cos"), sin: named(given.sin, "sin") },
      text: textKeyValue(block, config, named(given.text, "text")),
      keepFrom,
    });
  };
}

/**
 * Loss and adapter gradients of the video transformer.
 * @param adapters values of all factors
 */
export async function vdmGradients(
  config: DitConfig,
  options: LargeLoraOptions,
  inputs: VdmStepInputs,
  adapters: Arrays,
): Promise<LargeGradients> {
  const sessions = adaptedSessions(options, adapters);
  const { references, noisy, timestep, context } = inputs;
  const latents = [
    noisy.shape[0]!,
    noisy.shape[1]!,
    references.shape[2]! + noisy.shape[2]!,
    ...noisy.shape.slice(3),
  ];
  const grid = tokenGrid(config, input("latents", latents));
  const dropFrames = references.shape[2]! / config.patchSize[0];
  const dropped = dropFrames * grid.rows * grid.columns;
  const start = await sessions.run(
    "start",
    (params) => {
      const joined = concat([named(references, "references"), named(noisy, "noisy")], 2);
      const { e, modulation } = timeEmbedding(params, config, named(timestep, "timestep"), undefined);
      const text = ditTextTokens(params, config, named(context, "context"));
      return { tokens: patchTokens(params, config, joined, grid), e, modulation, text };
    },
    { references, noisy, timestep, context },
  );
  const { e, modulation, text } = start as Record<"e" | "modulation" | "text", NdArray>;
  const given = { modulation, text, ...ropeTable(grid, ditHeadWidth(config)) };
  const keepFrom = (index: number): number => (index === config.layerCount - 1 ? dropped : 0);
  const kept: NdArray[] = [];
  let x = start["tokens"]!;
  for (let index = 0; index < config.layerCount; index++) {
    kept.push(x);
    const body = vdmBlock(config, index, given, keepFrom(index));
    const before = x;
    x = (
      await sessions.run(`block ${index}`, (params) => ({ y: body(params, named(before, "x")) }), {
        ...given,
        x,
      })
    )["y"]!;
  }
  const end = await sessions.run(
    "end",
    (params) => {
      const tokens = named(x, "end.tokens");
      const head = ditHead(params, config, tokens, named(e, "end.time"));
      const velocity = unpatchify(config, head, { ...grid, frames: grid.frames - dropFrames });
      const loss = inputs.loss(velocity, (name) => named(inputs.feeds[name]!, name));
      return { loss, dx: grad(loss, [tokens])[0]! };
    },
    { ...inputs.feeds, "end.tokens": x, "end.time": e },
  );
  const gradients: Record<string, NdArray> = {};
  let dy = end["dx"]!;
  for (let index = config.layerCount - 1; index >= 0; index--) {
    const before = kept.pop()!;
    const body = vdmBlock(config, index, given, keepFrom(index));
    const out = await sessions.run(
      `back ${index}`,
      (params) => blockGradientGraph(params, before.shape, body),
      { ...given, x: before, dy },
    );
    keepGradients(gradients, out);
    dy = out["dx"]!;
  }
  return { loss: end["loss"]!.data[0]!, gradients };
}
