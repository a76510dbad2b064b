/**
 * Adapter gradients of the language model, layer by layer, its vision tower included.
 * @module
 */
import type { BlockSessions } from "../models/block-sessions.ts";
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
import type { Params } from "../nn/index.ts";
import {
  type FileWeight,
  f32,
  grad,
  input,
  mul,
  type NdArray,
  rmsNorm,
  sum,
  type Tensor,
} from "../tensor/index.ts";
import { readRows } from "../weights/index.ts";
import {
  type Arrays,
  adaptedSessions,
  blockGradientGraph,
  isFactor,
  keepGradients,
  type LargeGradients,
  type LargeLoraOptions,
  named,
} from "./large-lora.ts";

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
    putRows(rows.data as Float32Array, seen["features"]!, places, width);
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
  return { kept, layer, tables, places, shape, hidden: rowsAt(x, inputs.positions, width) };
}

/** Values read of the logits, without gradients. */
export async function vlmValues(
  config: QwenConfig,
  options: LargeLoraOptions,
  table: FileWeight | NdArray,
  inputs: VlmReadInputs,
  adapters: Arrays,
): Promise<NdArray> {
  const sessions = adaptedSessions(options, adapters);
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

/** Rows of a `[..., width]` array at some places, in their order. */
function rowsAt({ data }: NdArray, places: readonly number[], width: number): NdArray {
  const rows = new Float32Array(places.length * width);
  for (const [i, place] of places.entries())
    rows.set(data.subarray(place * width, (place + 1) * width) as never, i * width);
  return f32(rows, [places.length, width]);
}

/** Puts rows at some places of a `[..., width]` array. */
function putRows(into: Float32Array, { data }: NdArray, places: readonly number[], width: number): void {
  for (const [i, place] of places.entries())
    into.set(data.subarray(i * width, (i + 1) * width) as never, place * width);
}

/**
 * Loss and adapter gradients of the language model, vision tower included.
 * @param table the embedding as it is stored
 */
export async function vlmGradients(
  config: QwenConfig,
  options: LargeLoraOptions,
  table: FileWeight | NdArray,
  inputs: VlmStepInputs,
  adapters: Arrays,
): Promise<LargeGradients> {
  const sessions = adaptedSessions(options, adapters);
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
  putRows(arrived, end["dx"]!, positions, width);
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
  const dy = rowsAt(dx, places, config.text.hiddenSize);
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
