/**
 * The vision tower: windowed attention within time slices, full attention in some blocks, a merger in the end.
 * Formulas: transformers `modeling_qwen2_5_vl.py` (Qwen2_5_VisionTransformerPretrainedModel).
 * @module
 */
import { linear, type Params } from "../../nn/index.ts";
import {
  add,
  attention,
  chunk,
  concat,
  constant,
  gather,
  gelu,
  i32,
  linear as linearOp,
  mul,
  remat,
  reshape,
  rmsNorm,
  rope,
  silu,
  type Tensor,
  transpose,
} from "../../tensor/index.ts";
import type { Probe } from "../probe.ts";
import type { QwenConfig, QwenVisionConfig } from "./config.ts";
import type { VisionGrid } from "./patches.ts";
import { type VisionPlan, visionPlan, type WindowDivision, type WindowGroup } from "./vision-plan.ts";

/** How the tower is traced. */
export interface VisionOptions {
  /** Receives `patch_embed`, `block0` …, `merger` (in window order but the first) and `features`. */
  readonly probe?: Probe | undefined;
  /** Recompute each block in the backward pass instead of keeping its activations. */
  readonly remat?: boolean | undefined;
}

/** Rows of a matrix in a new order. */
const reorder = (x: Tensor, rows: Int32Array | undefined): Tensor =>
  rows ? gather(x, constant(i32(rows))) : x;

/**
 * Features of images and videos, one row a merge cell, grid by grid in the order of the patches.
 * @param params the root scope; weights are under `visual`
 * @param patches `[N, channels · temporalPatchSize · patchSize²]` as `patchify` gives them, several grids one after
 *   another
 * @returns `[N / mergeSize², outHiddenSize]`
 */
export function visionFeatures(
  params: Params,
  { vision }: Pick<QwenConfig, "vision">,
  patches: Tensor,
  grids: readonly VisionGrid[],
  options: VisionOptions = {},
): Tensor {
  const plan = visionPlan(grids, vision);
  if (options.probe) options.probe("patch_embed", linearOp(patches, patchWeight(params, vision)));
  let x = embedPatches(params, vision, patches, plan);
  for (let index = 0; index < vision.depth; index++) {
    const from = x;
    const block = (): Tensor => towerBlock(params, vision, index, from, plan);
    x = options.remat ? remat(block) : block();
    options.probe?.(`block${index}`, x);
  }
  return mergePatches(params, vision, x, plan, options.probe);
}

/** The convolution over patches as a matrix. */
function patchWeight(params: Params, vision: QwenVisionConfig): Tensor {
  const { hiddenSize, patchSize, temporalPatchSize, channelCount } = vision;
  const kernel = [hiddenSize, channelCount, temporalPatchSize, patchSize, patchSize];
  return reshape(params.at("visual", "patch_embed", "proj").get("weight", kernel), [hiddenSize, -1]);
}

/** First part of the tower: patches to `[N, hiddenSize]` in the order of the windows. */
export function embedPatches(
  params: Params,
  vision: QwenVisionConfig,
  patches: Tensor,
  plan: VisionPlan,
): Tensor {
  // Reordered before the embedding: patches are an input, so no gradient has to be scattered back.
  return linearOp(reorder(patches, plan.order), patchWeight(params, vision));
}

/** Block `index` of the tower. */
export function towerBlock(
  params: Params,
  vision: QwenVisionConfig,
  index: number,
  x: Tensor,
  plan: VisionPlan,
): Tensor {
  const division = vision.fullAttentionBlocks.includes(index) ? plan.slices : plan.windows;
  return visionBlock(params.at("visual", "blocks", index), vision, x, division);
}

/** Last part of the tower: cells of patches to features, in the order of the grids. */
export function mergePatches(
  params: Params,
  vision: QwenVisionConfig,
  x: Tensor,
  plan: VisionPlan,
  probe?: Probe,
): Tensor {
  const { hiddenSize, mergeSize, outHiddenSize } = vision;
  const merger = params.at("visual", "merger");
  const cellWidth = hiddenSize * mergeSize * mergeSize;
  const normal = rmsNorm(x, merger.at("ln_q").get("weight", [hiddenSize]), vision.epsilon);
  const cells = reshape(normal, [plan.patchCount / (mergeSize * mergeSize), cellWidth]);
  const inner = gelu(linear(merger.at("mlp", 0), cells, { out: cellWidth }));
  const merged = linear(merger.at("mlp", 2), inner, { out: outHiddenSize });
  probe?.("merger", merged);
  const features = reorder(merged, plan.restore);
  probe?.("features", features);
  return features;
}

function visionBlock(params: Params, vision: QwenVisionConfig, x: Tensor, division: WindowDivision): Tensor {
  const { hiddenSize, intermediateSize, epsilon } = vision;
  const norm = (name: string, value: Tensor): Tensor =>
    rmsNorm(value, params.at(name).get("weight", [hiddenSize]), epsilon);
  const attended = add(x, visionAttention(params.at("attn"), vision, norm("norm1", x), division));
  const h = norm("norm2", attended);
  const mlp = params.at("mlp");
  const gate = silu(linear(mlp.at("gate_proj"), h, { out: intermediateSize }));
  const up = linear(mlp.at("up_proj"), h, { out: intermediateSize });
  return add(attended, linear(mlp.at("down_proj"), mul(gate, up), { out: hiddenSize }));
}

function visionAttention(
  params: Params,
  vision: QwenVisionConfig,
  x: Tensor,
  division: WindowDivision,
): Tensor {
  const qkv = linear(params.at("qkv"), x, { out: 3 * vision.hiddenSize });
  const parts = division.groups.map((group) => attendWithin(vision, reorder(qkv, group.rows), group));
  const mixed = reorder(concat(parts, 0), division.restore);
  return linear(params.at("proj"), mixed, { out: vision.hiddenSize });
}

/** Attention inside the windows of one group: `[count · length, 3C]` to `[count · length, C]`. */
function attendWithin(vision: QwenVisionConfig, qkv: Tensor, group: WindowGroup): Tensor {
  const heads = vision.headCount;
  const width = vision.hiddenSize / heads;
  const shape = [group.count, heads, group.length, width];
  const byPart = transpose(reshape(qkv, [group.count, group.length, 3, heads, width]), [2, 0, 3, 1, 4]);
  const [q, k, v] = chunk(byPart, 0, 3).map((part) => reshape(part, shape)) as [Tensor, Tensor, Tensor];
  const [cos, sin] = [constant(group.cos), constant(group.sin)];
  const turn = (x: Tensor): Tensor => rope(x, cos, sin, { interleaved: false });
  const mixed = attention(turn(q), turn(k), v);
  return reshape(transpose(mixed, [0, 2, 1, 3]), [group.count * group.length, vision.hiddenSize]);
}
