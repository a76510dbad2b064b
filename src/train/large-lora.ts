/**
 * Adapter gradients of models larger than memory: forward block by block, keeping what goes into each block, then backward
 * block by block, each block recomputed from its input. One block's weights and values are resident at a time.
 * @module
 */
import { BlockSessions } from "../models/block-sessions.ts";
import {
  causalMask,
  decoderLayer,
  groupedAttention,
  groupedMask,
  logitsOf,
} from "../models/qwen25vl/decoder.ts";
import type { QwenConfig, VisionGrid } from "../models/qwen25vl/index.ts";
import { ropeTables } from "../models/qwen25vl/rotary-host.ts";
import { visionFeatures } from "../models/qwen25vl/vision.ts";
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
import type { LoraOptions, Params } from "../nn/index.ts";
import {
  concat,
  type FileWeight,
  f32,
  grad,
  input,
  mul,
  type NdArray,
  rmsNorm,
  sum,
  type Tensor,
  type WeightBinding,
} from "../tensor/index.ts";
import { readRows } from "../weights/index.ts";

/** Values by name. */
export type Arrays = Readonly<Record<string, NdArray>>;

/** What a step gives. */
export interface LargeGradients {
  readonly loss: number;
  /** By `<layer>.lora_A.weight` and `<layer>.lora_B.weight`. */
  readonly gradients: Record<string, NdArray>;
}

/** Options of both models. */
export interface LargeLoraOptions {
  /** The base's weights; adapters are given to every call. */
  readonly weights: WeightBinding;
  readonly lora: LoraOptions;
  readonly threads?: number | undefined;
}

const isFactor = (name: string): boolean => /\.lora_[AB]\.weight$/.test(name);

/** Weights of the base only: adapters change and are fed. */
function baseOnly(weights: WeightBinding): WeightBinding {
  return { weight: (name) => (isFactor(name) ? undefined : weights.weight(name)) };
}

/**
 * The gradient graph of a block: outputs `dx` and `d:<factor>` for the gradient `dy` that arrived at its output.
 * @param body the block of the input `x`
 */
export function blockGradientGraph(
  params: Params,
  shape: readonly number[],
  body: (params: Params, x: Tensor) => Tensor,
): Record<string, Tensor> {
  const x = input("x", shape);
  const y = body(params, x);
  const arrived = sum(mul(y, input("dy", y.shape)));
  const names = [...params.tensors.keys()].filter(isFactor);
  const [dx, ...factors] = grad(arrived, [x, ...names.map((name) => params.tensors.get(name)!)]);
  return { dx: dx!, ...Object.fromEntries(names.map((name, i) => [`d:${name}`, factors[i]!])) };
}

function keepGradients(into: Record<string, NdArray>, out: Arrays): void {
  for (const [name, value] of Object.entries(out)) if (name.startsWith("d:")) into[name.slice(2)] = value;
}

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

const named = (array: NdArray, name: string): Tensor => input(name, array.shape, array.dtype);

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
  { weights, lora, threads }: LargeLoraOptions,
  inputs: VdmStepInputs,
  adapters: Arrays,
): Promise<LargeGradients> {
  const sessions = new BlockSessions({
    weights: baseOnly(weights),
    lora,
    threads,
    keep: false,
    parameters: adapters,
  });
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

/** Inputs of {@link vlmGradients}: one row of tokens. */
export interface VlmStepInputs {
  /** `[1, S]` i32 */
  readonly ids: NdArray;
  /** `[3, 1, S]` i32 */
  readonly positionIds: NdArray;
  /** Patches of the videos that the row shows, and their grids. */
  readonly patches?: NdArray | undefined;
  readonly grids?: readonly VisionGrid[] | undefined;
  /** Positions whose logits the loss looks at. */
  readonly positions: readonly number[];
  readonly feeds: Arrays;
  /** A scalar of the logits `[positions, vocabulary]`. */
  readonly loss: (logits: Tensor, feed: (name: string) => Tensor) => Tensor;
}

/** Inputs of {@link vlmValues}: the loss is not needed. */
export type VlmReadInputs = Omit<VlmStepInputs, "loss"> & {
  /** What is read of the logits. */
  readonly read: (logits: Tensor, feed: (name: string) => Tensor) => Tensor;
};

/** The way forward: what went into each layer, and the hidden states that the logits come from. */
async function vlmForward(
  config: QwenConfig,
  sessions: BlockSessions,
  table: FileWeight | NdArray,
  inputs: Omit<VlmStepInputs, "loss" | "feeds">,
) {
  const { text } = config;
  const { ids, patches, grids = [] } = inputs;
  const length = ids.shape[1]!;
  const width = text.hiddenSize;
  const shape = [1, length, width];
  const rows = await readRows(table, ids.data);
  const places = Array.from(ids.data, (id, i) =>
    id === config.videoTokenId || id === config.imageTokenId ? i : -1,
  ).filter((place) => place >= 0);
  if (patches) {
    const seen = await sessions.run(
      "vision",
      (params) => ({ features: visionFeatures(params, config, named(patches, "patches"), grids) }),
      { patches },
    );
    const features = seen["features"]!.data;
    for (const [i, place] of places.entries())
      rows.data.set(features.subarray(i * width, (i + 1) * width) as never, place * width);
  }
  const tables = ropeTables(config, inputs.positionIds);
  const layer =
    (index: number) =>
    (params: Params, x: Tensor): Tensor => {
      const mask = groupedMask(text, causalMask(length, undefined));
      const angles = { cos: named(tables.cos, "cos"), sin: named(tables.sin, "sin") };
      return decoderLayer(params.at("model", "layers", index), text, x, angles, (heads) =>
        groupedAttention(text, heads, mask),
      );
    };
  const kept: NdArray[] = [];
  let x: NdArray = f32(rows.data as Float32Array, shape);
  for (let index = 0; index < text.layerCount; index++) {
    kept.push(x);
    const body = layer(index);
    x = (
      await sessions.run(`layer ${index}`, (params) => ({ y: body(params, input("x", shape)) }), {
        ...tables,
        x,
      })
    )["y"]!;
  }
  const { positions } = inputs;
  const hidden = new Float32Array(positions.length * width);
  for (const [i, place] of positions.entries())
    hidden.set(x.data.subarray(place * width, (place + 1) * width) as never, i * width);
  return { kept, layer, tables, places, shape, hidden: f32(hidden, [positions.length, width]) };
}

/** Values read of the logits, without gradients. */
export async function vlmValues(
  config: QwenConfig,
  { weights, lora, threads }: LargeLoraOptions,
  table: FileWeight | NdArray,
  inputs: VlmReadInputs,
  adapters: Arrays,
): Promise<NdArray> {
  const sessions = adapted(weights, lora, threads, adapters);
  const { hidden } = await vlmForward(config, sessions, table, inputs);
  const { values } = await sessions.run(
    "values",
    (params) => {
      const logits = endLogits(params, config, named(hidden, "end.hidden"));
      return { values: inputs.read(logits, (name) => named(inputs.feeds[name]!, name)) };
    },
    { ...inputs.feeds, "end.hidden": hidden },
  );
  return values!;
}

function endLogits(params: Params, config: QwenConfig, hidden: Tensor): Tensor {
  const { hiddenSize, epsilon } = config.text;
  return logitsOf(
    params,
    config,
    rmsNorm(hidden, params.at("model", "norm").get("weight", [hiddenSize]), epsilon),
  );
}

function adapted(
  weights: WeightBinding,
  lora: LoraOptions,
  threads: number | undefined,
  parameters: Arrays,
): BlockSessions {
  return new BlockSessions({ weights: baseOnly(weights), lora, threads, keep: false, parameters });
}

/**
 * Loss and adapter gradients of the language model, vision tower included.
 * @param table the embedding as it is stored
 */
export async function vlmGradients(
  config: QwenConfig,
  { weights, lora, threads }: LargeLoraOptions,
  table: FileWeight | NdArray,
  inputs: VlmStepInputs,
  adapters: Arrays,
): Promise<LargeGradients> {
  const sessions = adapted(weights, lora, threads, adapters);
  const { kept, layer, tables, places, shape, hidden } = await vlmForward(config, sessions, table, inputs);
  const { text } = config;
  const [, length, width] = shape as [number, number, number];
  const { patches, grids = [], positions } = inputs;
  const end = await sessions.run(
    "end",
    (params) => {
      const chosen = named(hidden, "end.hidden");
      const loss = inputs.loss(endLogits(params, config, chosen), (name) => named(inputs.feeds[name]!, name));
      return { loss, dx: grad(loss, [chosen])[0]! };
    },
    { ...inputs.feeds, "end.hidden": hidden },
  );
  const arrived = new Float32Array(length * width);
  for (const [i, place] of positions.entries())
    arrived.set(end["dx"]!.data.subarray(i * width, (i + 1) * width) as never, place * width);
  let dy: NdArray = f32(arrived, shape);
  const gradients: Record<string, NdArray> = {};
  for (let index = text.layerCount - 1; index >= 0; index--) {
    const before = kept.pop()!;
    const out = await sessions.run(
      `back ${index}`,
      (params) => blockGradientGraph(params, shape, layer(index)),
      { ...tables, x: before, dy },
    );
    keepGradients(gradients, out);
    dy = out["dx"]!;
  }
  if (patches) keepGradients(gradients, await visionGradients(config, sessions, patches, grids, dy, places));
  return { loss: end["loss"]!.data[0]!, gradients };
}

/** Through the vision tower, its blocks recomputed one by one. */
function visionGradients(
  config: QwenConfig,
  sessions: BlockSessions,
  patches: NdArray,
  grids: readonly VisionGrid[],
  dx: NdArray,
  places: readonly number[],
): Promise<Record<string, NdArray>> {
  const width = config.text.hiddenSize;
  const data = new Float32Array(places.length * width);
  for (const [i, place] of places.entries())
    data.set(dx.data.subarray(place * width, (place + 1) * width) as never, i * width);
  const dy = f32(data, [places.length, width]);
  return sessions.run(
    "back vision",
    (params) => {
      const features = visionFeatures(params, config, named(patches, "patches"), grids, { remat: true });
      const names = [...params.tensors.keys()].filter(isFactor);
      if (names.length === 0) return { nothing: sum(features) };
      const factors = grad(
        sum(mul(features, input("dy", dy.shape))),
        names.map((name) => params.tensors.get(name)!),
      );
      return Object.fromEntries(names.map((name, i) => [`d:${name}`, factors[i]!]));
    },
    { patches, dy },
  );
}

/** Moments of AdamW by parameter. */
export interface AdamWState {
  step: number;
  readonly first: Record<string, Float32Array>;
  readonly second: Record<string, Float32Array>;
}

/**
 * One AdamW step on arrays in memory (Loshchilov & Hutter, arXiv 1711.05101; torch's defaults), after clipping the
 * gradients' norm over all parameters.
 * @returns the norm before clipping
 */
export function adamwStep(
  parameters: Readonly<Record<string, NdArray>>,
  gradients: Readonly<Record<string, NdArray>>,
  state: AdamWState,
  options: {
    readonly rate: number;
    readonly beta1?: number;
    readonly beta2?: number;
    readonly weightDecay?: number;
    readonly clipNorm?: number;
  },
): number {
  const { rate, beta1 = 0.9, beta2 = 0.999, weightDecay = 0.01, clipNorm = 1 } = options;
  const epsilon = 1e-8;
  let square = 0;
  for (const { data } of Object.values(gradients)) for (const value of data) square += value * value;
  const norm = Math.sqrt(square);
  const scale = norm > clipNorm ? clipNorm / (norm + 1e-6) : 1;
  state.step++;
  const [fix1, fix2] = [1 - beta1 ** state.step, 1 - beta2 ** state.step];
  for (const [name, { data: g }] of Object.entries(gradients)) {
    const w = parameters[name]!.data;
    state.first[name] ??= new Float32Array(g.length);
    state.second[name] ??= new Float32Array(g.length);
    const [m, v] = [state.first[name], state.second[name]];
    for (let i = 0; i < g.length; i++) {
      const one = g[i]! * scale;
      m[i] = beta1 * m[i]! + (1 - beta1) * one;
      v[i] = beta2 * v[i]! + (1 - beta2) * one * one;
      w[i] = w[i]! * (1 - rate * weightDecay) - (rate * (m[i]! / fix1)) / (Math.sqrt(v[i]! / fix2) + epsilon);
    }
  }
  return norm;
}
