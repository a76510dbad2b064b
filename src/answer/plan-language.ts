/**
 * Stages of the language model and of the text encoder: their graphs, block by block, and what is held beside them.
 * @module
 */
import { QWEN_VIDEO_PIXELS, smartResize, videoMaxPixels } from "../media/index.ts";
import { decoderLayer, groupedAttention } from "../models/qwen25vl/decoder.ts";
import { embedPatches, mergePatches, towerBlock } from "../models/qwen25vl/vision.ts";
import { visionPlan } from "../models/qwen25vl/vision-plan.ts";
import { umt5Block } from "../models/umt5/encoder.ts";
import { Params } from "../nn/index.ts";
import { input, type Tensor } from "../tensor/index.ts";
import { elementCount } from "../weights/index.ts";
import { graphMemory, heldBytes, type StoredAs } from "./graph-memory.ts";
import type { PlanOptions } from "./plan-types.ts";
import {
  F32,
  packedBytes,
  quantizedBytes,
  type Stage,
  storage,
  type Tables,
  weightBytes,
} from "./plan-weights.ts";
import type { QuantizedParts } from "./quantized-parts.ts";
import type { Suite } from "./suite.ts";

/** Frames of the language model at their largest, and the prompt they make. */
function languageSizes(suite: Suite): { grid: readonly [number, number, number]; prompt: number } {
  const { answer } = suite.manifest;
  const { vision } = suite.vlm.config;
  const cell = vision.patchSize * vision.mergeSize;
  const bounds = {
    minPixels: answer.vlmMinPixels ?? QWEN_VIDEO_PIXELS.min,
    maxPixels: answer.vlmMaxPixels ?? videoMaxPixels(answer.vlmFrames),
  };
  // A clip of the suite's own shape; others have as many pixels at most.
  const frame = smartResize({ height: answer.height, width: answer.width }, { ...bounds, factor: cell });
  const times = Math.ceil(answer.vlmFrames / vision.temporalPatchSize);
  const grid = [times, frame.height / vision.patchSize, frame.width / vision.patchSize] as const;
  const words = Math.ceil(answer.systemPrompt.length / 4) + 80;
  return { grid, prompt: (times * grid[1] * grid[2]) / vision.mergeSize ** 2 + words };
}

const bucket = (count: number): number => {
  const step = count <= 256 ? 32 : count <= 1024 ? 64 : 256;
  return Math.max(step, Math.ceil(count / step) * step);
};

/** Vision tower, prompt and decoding of the language model. */
export function languageStages(suite: Suite, tables: Tables, options: PlanOptions): Stage[] {
  const table = tables.get("vlm")!;
  const quantized = options.quantized ?? {};
  const { config } = suite.vlm;
  const { text, vision } = config;
  const stored = storage("vlm", table, quantized);
  const { grid, prompt } = languageSizes(suite);
  const patches = grid[0] * grid[1] * grid[2];
  const patchWidth = vision.channelCount * vision.temporalPatchSize * vision.patchSize ** 2;
  const seen = visionMemory(config, grid, stored);
  const length = bucket(options.promptTokens ?? prompt);
  const capacity = bucket(length + (options.maxNewTokens ?? suite.manifest.answer.maxNewTokens));
  const group = text.headCount / text.kvHeadCount;
  const layer = graphMemory(layerGraph(suite, length, group), stored);
  const width = text.hiddenSize;
  const caches = (count: number): number =>
    text.layerCount * 2 * text.kvHeadCount * count * text.headWidth * F32;
  const masks = group * length * length * F32;
  // The prompt, its spare, their angles, features.
  const held = 2 * length * width * F32 + length * text.headWidth * F32 + patches * width;
  const layerPacked = packedBytes("vlm", table, quantized.vlm, /^model\.layers\.0\./);
  const logits = { weight: table.get("model.embed_tokens.weight")!, bytes: text.vocabularySize * F32 };
  const headTable = new Map([["model.layers.0.head_proj.weight", logits.weight]]);
  const packedHead = quantized.vlm === undefined ? 0 : quantizedBytes(headTable, quantized.vlm);
  // A quantised head is a matrix of its own; a half-typed one is widened in parts.
  const tied =
    quantized.vlm === undefined
      ? logits.weight.dtype === "F32"
        ? 0
        : 6 * 2 ** 20 + 2 * logits.bytes
      : packedHead + logits.bytes;
  return [
    {
      stage: "vision",
      // The frames' patches, and two arrays that take turns between the blocks.
      anonymousBytes: seen.bytes + patches * (patchWidth + 2 * vision.hiddenSize) * F32,
      ...weightBytes("vlm", table, quantized, /^visual\./),
      flops: seen.flops,
    },
    {
      stage: "prefill",
      // While a graph is made, scales are there as they were read and as kernels want them.
      anonymousBytes:
        held + masks + caches(length) + Math.max(heldBytes(layer) + layerPacked, tied + 0.17 * packedHead),
      ...weightBytes("vlm", table, quantized, /^model\./),
      flops: layer.flops * text.layerCount,
    },
    {
      stage: "decode",
      anonymousBytes:
        caches(length) +
        caches(capacity) +
        masks +
        tied +
        packedBytes("vlm", table, quantized.vlm, /^model\.layers\./),
      ...weightBytes("vlm", table, quantized, /^model\./),
      flops:
        2 *
        [...table].reduce(
          (total, [name, { shape }]) => total + (name.startsWith("model.") ? elementCount(shape) : 0),
          0,
        ),
    },
  ];
}

/** The vision tower block by block: its largest graph, and the operations of all. */
function visionMemory(
  { vision }: Suite["vlm"]["config"],
  grid: readonly [number, number, number],
  stored: (name: string) => StoredAs,
): { readonly bytes: number; readonly flops: number } {
  const plan = visionPlan([grid], vision);
  const width = vision.channelCount * vision.temporalPatchSize * vision.patchSize ** 2;
  const x = input("x", [plan.patchCount, vision.hiddenSize]);
  const params = new Params();
  const graphs = [
    embedPatches(params, vision, input("patches", [plan.patchCount, width]), plan),
    ...Array.from({ length: vision.depth }, (_, index) => towerBlock(params, vision, index, x, plan)),
    mergePatches(params, vision, x, plan),
  ].map((y) => graphMemory({ y }, stored));
  return {
    // Two fifths more than the graphs say was measured at three sizes (docs/performance.md).
    bytes: 1.42 * Math.max(...graphs.map(heldBytes)),
    flops: graphs.reduce((total, one) => total + one.flops, 0),
  };
}

function layerGraph(suite: Suite, length: number, group: number): Record<string, Tensor> {
  const { text } = suite.vlm.config;
  const kept: Record<string, Tensor> = {};
  const half = text.headWidth / 2;
  const tables = { cos: input("cos", [1, length, half]), sin: input("sin", [1, length, half]) };
  const params = new Params().at("model", "layers", 0);
  kept["y"] = decoderLayer(params, text, input("x", [1, length, text.hiddenSize]), tables, (heads) => {
    kept["keys"] = heads.k;
    kept["values"] = heads.v;
    return groupedAttention(text, heads, input("mask", [1, 1, group * length, length]));
  });
  return kept;
}

/** The text encoder at its full length. */
export function textStage(suite: Suite, tables: Tables, quantized: QuantizedParts): Stage {
  const table = tables.get("textEncoder")!;
  const { config, maxLength } = suite.textEncoder;
  const stored = storage("textEncoder", table, quantized);
  const shape = [1, maxLength, config.width];
  const block = graphMemory(
    {
      y: umt5Block(
        new Params(),
        config,
        0,
        input("x", shape),
        input("buckets", [maxLength, maxLength], "i32"),
        input("keyMask", [1, 1, 1, maxLength]),
      ),
    },
    stored,
  );
  return {
    stage: "text-encoder",
    anonymousBytes:
      2 * elementCount(shape) * F32 +
      heldBytes(block) +
      packedBytes("textEncoder", table, quantized.textEncoder, /block\.0\./),
    ...weightBytes("textEncoder", table, quantized, /^(?!shared\.weight$)/),
    flops: block.flops * config.layerCount,
  };
}
