/**
 * The Wan video transformer: noisy latents, a timestep and text embeddings to a velocity. References are clean latent
 * frames in front of the noisy ones on the time axis, as in the released VANS.
 * @module
 */
import { VansError } from "../../base/index.ts";
import { linear, type Params } from "../../nn/index.ts";
import {
  add,
  broadcastTo,
  concat,
  constant,
  formatShape,
  geluTanh,
  input,
  linear as linearOp,
  remat,
  reshape,
  silu,
  type Tensor,
  transpose,
} from "../../tensor/index.ts";
import type { Probe } from "../probe.ts";
import { ditBlock, modulate, type TextKeyValue, tableRow, textKeyValue } from "./dit-blocks.ts";
import { type DitConfig, ditHeadWidth } from "./dit-config.ts";
import { ropeTable, type TokenGrid } from "./rope-table.ts";
import { timeFeatures } from "./time-features.ts";

/** The text branch of the transformer, which does not depend on the step: keys and values of every block. */
export interface DitText {
  readonly blocks: readonly TextKeyValue[];
}

/** Inputs of {@link ditForward}. */
export interface DitInputs {
  /** `[B, inChannels, F, h, w]` with F, h, w multiples of the patch. */
  readonly latents: Tensor;
  /** `[B]` or `[1]`, 0 … 1000 (1000·σ). */
  readonly timestep: Tensor;
  /** Text embeddings `[B or 1, L, textWidth]`, zero rows where padded (they are attended to), or their computed branch. */
  readonly context: Tensor | DitText;
}

/** Inputs of {@link ditWithReferences}. */
export interface ReferenceInputs extends Omit<DitInputs, "latents"> {
  /** Clean normalised latents `[B or 1, inChannels, R, h, w]`. */
  readonly references: Tensor;
  /** Noisy latents `[B, inChannels, F, h, w]`. */
  readonly noisy: Tensor;
}

/** How the transformer is traced. */
export interface DitOptions {
  /** Recompute each block's activations in the backward pass instead of keeping them. Default false. */
  readonly remat?: boolean;
  readonly probe?: Probe;
}

/** Text MLP: `[B or 1, L, textWidth]` to `[B or 1, L, width]`. */
export function ditTextTokens(params: Params, config: DitConfig, context: Tensor): Tensor {
  const hidden = geluTanh(linear(params.at("text_embedding", 0), context, { out: config.width }));
  return linear(params.at("text_embedding", 2), hidden, { out: config.width });
}

/**
 * Text MLP and every block's cross-attention keys and values.
 * @param context `[B or 1, L, textWidth]`
 */
export function ditText(
  params: Params,
  config: DitConfig,
  context: Tensor,
  options: Pick<DitOptions, "probe"> = {},
): DitText {
  const tokens = ditTextTokens(params, config, context);
  options.probe?.("text_tokens", tokens);
  const blocks = Array.from({ length: config.layerCount }, (_, i) =>
    textKeyValue(params.at("blocks", i), config, tokens),
  );
  return { blocks };
}

const textName = (block: number, part: keyof TextKeyValue): string => `text.${block}.${part}`;

/** The tensors of a text branch by name, as outputs of the graph that computes it once. */
export function ditTextOutputs(text: DitText): Record<string, Tensor> {
  return Object.fromEntries(
    text.blocks.flatMap(({ key, value }, i) => [
      [textName(i, "key"), key],
      [textName(i, "value"), value],
    ]),
  );
}

/** A text branch as inputs of the step graph, under the names of {@link ditTextOutputs}. */
export function ditTextInputs(config: DitConfig, batch: number, length: number): DitText {
  const shape = [batch, config.headCount, length, ditHeadWidth(config)];
  const blocks = Array.from({ length: config.layerCount }, (_, i) => ({
    key: input(textName(i, "key"), shape),
    value: input(textName(i, "value"), shape),
  }));
  return { blocks };
}

/** The token grid of latents `[B, C, F, h, w]`. */
export function tokenGrid(config: DitConfig, latents: Tensor): TokenGrid {
  const [frames, rows, columns] = config.patchSize.map((size, axis) => latents.size(axis + 2) / size) as [
    number,
    number,
    number,
  ];
  const isWhole = [frames, rows, columns].every(Number.isInteger);
  if (latents.rank !== 5 || latents.size(1) !== config.inChannels || !isWhole) {
    throw new VansError("VANS_DIT_SHAPE", "the latents do not fit the transformer", {
      asked: `[B, ${config.inChannels}, F, h, w] with F, h, w multiples of ${config.patchSize.join(", ")}`,
      found: formatShape(latents.shape),
    });
  }
  return { frames, rows, columns };
}

/** Patches as tokens: a convolution whose stride is its kernel, written as a product. `[B, tokens, width]` */
export function patchTokens(params: Params, config: DitConfig, latents: Tensor, grid: TokenGrid): Tensor {
  const [pf, pr, pc] = config.patchSize;
  const batch = latents.size(0);
  const { frames, rows, columns } = grid;
  const cut = reshape(latents, [batch, config.inChannels, frames, pf, rows, pr, columns, pc]);
  const size = config.inChannels * pf * pr * pc;
  const patches = reshape(transpose(cut, [0, 2, 4, 6, 1, 3, 5, 7]), [batch, frames * rows * columns, size]);
  const scope = params.at("patch_embedding");
  const weight = reshape(scope.get("weight", [config.width, config.inChannels, pf, pr, pc]), [
    config.width,
    size,
  ]);
  return linearOp(patches, weight, scope.get("bias", [config.width]));
}

/** Time MLP: e `[B, width]` for the head and its six-row projection `[B, 6, width]` for the blocks. */
export function timeEmbedding(
  params: Params,
  config: DitConfig,
  timestep: Tensor,
  probe: Probe | undefined,
): { e: Tensor; modulation: Tensor } {
  const { width } = config;
  const hidden = silu(
    linear(params.at("time_embedding", 0), timeFeatures(timestep, config.timeWidth), { out: width }),
  );
  const e = linear(params.at("time_embedding", 2), hidden, { out: width });
  probe?.("time_embedding", e);
  const projected = linear(params.at("time_projection", 1), silu(e), { out: 6 * width });
  probe?.("time_projection", projected);
  return { e, modulation: reshape(projected, [timestep.size(0), 6, width]) };
}

/** Tokens back to latents: `[B, tokens, patch·outChannels]` (channel fastest) to `[B, outChannels, F, h, w]`. */
export function unpatchify(config: DitConfig, tokens: Tensor, grid: TokenGrid): Tensor {
  const [pf, pr, pc] = config.patchSize;
  const batch = tokens.size(0);
  const { frames, rows, columns } = grid;
  const cut = reshape(tokens, [batch, frames, rows, columns, pf, pr, pc, config.outChannels]);
  return reshape(transpose(cut, [0, 7, 1, 4, 2, 5, 3, 6]), [
    batch,
    config.outChannels,
    frames * pf,
    rows * pr,
    columns * pc,
  ]);
}

/** The transformer without its first `dropFrames` latent frames in the output. */
function forward(
  params: Params,
  config: DitConfig,
  inputs: DitInputs,
  dropFrames: number,
  options: DitOptions,
): Tensor {
  const { probe } = options;
  const grid = tokenGrid(config, inputs.latents);
  const angles = ropeTable(grid, ditHeadWidth(config));
  const tables = { cos: constant(angles.cos), sin: constant(angles.sin) };
  const { e, modulation } = timeEmbedding(params, config, inputs.timestep, probe);
  const text =
    "blocks" in inputs.context
      ? inputs.context
      : ditText(params, config, inputs.context, { ...(probe && { probe }) });
  let tokens = patchTokens(params, config, inputs.latents, grid);
  probe?.("patch_tokens", tokens);
  const dropped = (dropFrames / config.patchSize[0]) * grid.rows * grid.columns;
  const traced = options.remat ? remat : <T>(body: () => T): T => body();
  for (let i = 0; i < config.layerCount; i++) {
    // Nothing after the last block's self-attention looks at the frames that are dropped.
    const keepFrom = i === config.layerCount - 1 ? dropped : 0;
    const before = tokens;
    tokens = traced(() =>
      ditBlock(params.at("blocks", i), config, before, {
        modulation,
        tables,
        text: text.blocks[i]!,
        keepFrom,
        probe: probe && ((stage, value) => probe(`block${i}.${stage}`, value)),
      }),
    );
  }
  const y = ditHead(params, config, tokens, e);
  probe?.("head", y);
  return unpatchify(config, y, { ...grid, frames: grid.frames - dropFrames / config.patchSize[0] });
}

/** The head: modulated norm and projection, `[B, tokens, width]` to `[B, tokens, patch·outChannels]`. */
export function ditHead(params: Params, config: DitConfig, tokens: Tensor, e: Tensor): Tensor {
  const head = params.at("head");
  const table = add(head.get("modulation", [1, 2, config.width]), reshape(e, [e.size(0), 1, config.width]));
  const normed = modulate(config, tokens, tableRow(table, 0), tableRow(table, 1));
  const patch = config.patchSize[0] * config.patchSize[1] * config.patchSize[2];
  return linear(head.at("head"), normed, { out: patch * config.outChannels });
}

/**
 * Velocity of noisy latents (Wan2.1 `WanModel.forward`), for one timestep per sample.
 * @returns `[B, outChannels, F, h, w]`, an estimate of noise - clean
 * @throws `VANS_DIT_SHAPE`
 */
export function ditForward(
  params: Params,
  config: DitConfig,
  inputs: DitInputs,
  options: DitOptions = {},
): Tensor {
  return forward(params, config, inputs, 0, options);
}

/**
 * Velocity of noisy latents behind clean reference latents. References share the timestep, take frame positions
 * 0 … R-1, and are cut off the output, as in the released VANS (`wan_video_new.py`); because they are cut off, the last
 * block computes only their keys and values.
 * @returns `[B, outChannels, F, h, w]` for the noisy frames
 * @throws `VANS_DIT_SHAPE`
 */
export function ditWithReferences(
  params: Params,
  config: DitConfig,
  inputs: ReferenceInputs,
  options: DitOptions = {},
): Tensor {
  const { references, noisy, ...rest } = inputs;
  const batch = noisy.size(0);
  const [, ...frame] = references.shape;
  const latents = concat([broadcastTo(references, [batch, ...frame]), noisy], 2);
  return forward(params, config, { ...rest, latents }, references.size(2), options);
}
