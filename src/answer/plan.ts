/**
 * What a suite needs in memory, stage by stage, before anything is loaded: from configurations, committed tensor tables and
 * the graphs themselves. Neither weights nor network are used.
 *
 * Predicted is the peak of anonymous pages on the CPU, block by block over mapped weights; mapped weights are page cache
 * that the system takes back when it needs to.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { QWEN_VIDEO_PIXELS, smartResize, videoMaxPixels } from "../media/index.ts";
import { decoderLayer, groupedAttention } from "../models/qwen25vl/decoder.ts";
import { embedPatches, mergePatches, towerBlock } from "../models/qwen25vl/vision.ts";
import { visionPlan } from "../models/qwen25vl/vision-plan.ts";
import { umt5Block } from "../models/umt5/encoder.ts";
import { ditBlock, textKeyValue } from "../models/wan/dit-blocks.ts";
import { ditHeadWidth } from "../models/wan/dit-config.ts";
import { latentFrameCount, vaeStride } from "../models/wan/vae-config.ts";
import { decodeLatents } from "../models/wan/vae-decode.ts";
import { encodeMoments } from "../models/wan/vae-encode.ts";
import { decodeChunk, encodeChunk } from "../models/wan/vae-stream.ts";
import { tilesOf, VANS_TILING } from "../models/wan/vae-tiled.ts";
import { Params } from "../nn/index.ts";
import { input, type Tensor } from "../tensor/index.ts";
import {
  elementCount,
  QUANTIZATIONS,
  type QuantizationName,
  type TensorTable,
  tableBytes,
} from "../weights/index.ts";
import { type GraphMemory, graphMemory, heldBytes, type StoredAs } from "./graph-memory.ts";
import { isQuantizable, type QuantizablePart, type QuantizedParts } from "./quantized-parts.ts";
import type { Suite } from "./suite.ts";
import { readSuiteTables, type TablePart } from "./suite-tables.ts";

/** What is planned. */
export interface PlanOptions {
  /** Frames of the answer; 4k + 1. Default the suite's, as for the others. */
  readonly frames?: number | undefined;
  readonly height?: number | undefined;
  readonly width?: number | undefined;
  readonly maxNewTokens?: number | undefined;
  /** Tokens of the prompt, frames included; default: the suite's system prompt, its largest frames and a short question. */
  readonly promptTokens?: number | undefined;
  /** Default `cpu`. */
  readonly device?: "cpu" | "webgpu" | "cuda";
  /** Bytes that are there; nothing fits or fails without. */
  readonly memoryBytes?: number | undefined;
  readonly quantized?: QuantizedParts;
}

/** A stage of an answer. */
export interface PlannedStage {
  readonly stage: "vision" | "prefill" | "decode" | "text-encoder" | "vae-encode" | "dit" | "vae-decode";
  /** Peak of anonymous pages of the whole process while it runs. */
  readonly anonymousBytes: number;
  /** Weights that are mapped and read once or more. */
  readonly mappedBytes: number;
  /** Operations of one run (one token for `decode`, one forward for `dit`). */
  readonly flops: number;
  readonly fits: boolean | undefined;
}

/** A plan for an answer. */
export interface MemoryPlan {
  readonly suite: string;
  readonly device: string;
  readonly settings: { readonly frames: number; readonly height: number; readonly width: number };
  readonly quantized: QuantizedParts;
  /** Bytes of all files on disk. */
  readonly diskBytes: number;
  readonly stages: readonly PlannedStage[];
  /** The largest stage; stages run one after the other and release what they no longer need. */
  readonly peakBytes: number;
  readonly memoryBytes: number | undefined;
  readonly fits: boolean | undefined;
}

/** What Node, the runtime and this package take, graphs of all blocks included; measured (docs/performance.md). */
export const BASE_BYTES = 105e6;
/** The same where little is made on the way: the two graphs of the autoencoder, those of one token. */
const START_BYTES = 88e6;
const F32 = 4;

/**
 * Checks that the video model can draw a size.
 * @throws `VANS_PLAN_SIZE`
 */
export function requireDrawable(
  suite: Suite,
  size: { readonly height: number; readonly width: number },
): void {
  const { space } = vaeStride(suite.vae.config);
  const [, rows, columns] = suite.vdm.config.patchSize;
  const [down, across] = [space * rows, space * columns];
  const isWhole = (value: number, step: number): boolean => value > 0 && value % step === 0;
  if (isWhole(size.height, down) && isWhole(size.width, across)) return;
  const near = (value: number, step: number): number => Math.max(step, Math.round(value / step) * step);
  throw new VansError("VANS_PLAN_SIZE", "the video model cannot draw this size", {
    asked: `${size.width}x${size.height} (width x height)`,
    why: `a token is ${across}x${down} pixels`,
    fix: `use --height ${near(size.height, down)} --width ${near(size.width, across)}`,
  });
}

/** Predicts the memory of one answer. */
export async function planMemory(suite: Suite, options: PlanOptions = {}): Promise<MemoryPlan> {
  const { answer } = suite.manifest;
  const frames = options.frames ?? answer.answerFrames;
  const height = options.height ?? answer.height;
  const width = options.width ?? answer.width;
  requireDrawable(suite, { height, width });
  latentFrameCount(suite.vae.config, frames);
  const tables = await readSuiteTables(suite);
  const quantized = options.quantized ?? {};
  const size = { frames, height, width };
  const onDevice = options.device !== undefined && options.device !== "cpu";
  const stages = [
    ...languageStages(suite, tables, options),
    textStage(suite, tables, quantized),
    vaeStage(suite, tables, size, "vae-encode"),
    ditStage(suite, tables, size, quantized),
    vaeStage(suite, tables, size, "vae-decode"),
  ].map(({ stage, anonymousBytes, mappedBytes, deviceBytes, flops }): PlannedStage => {
    // On a device the weights of a stage are there as a whole.
    const isPlain =
      stage === "vision" || stage.startsWith("vae") || (stage === "decode" && quantized.vlm === undefined);
    const weights = onDevice ? deviceBytes : isPlain ? START_BYTES : BASE_BYTES;
    const bytes = Math.round(anonymousBytes + weights);
    const fits = options.memoryBytes === undefined ? undefined : bytes <= options.memoryBytes;
    return { stage, anonymousBytes: bytes, mappedBytes, flops, fits };
  });
  const peakBytes = Math.max(...stages.map((stage) => stage.anonymousBytes));
  return {
    suite: suite.name,
    device: options.device ?? "cpu",
    settings: size,
    quantized,
    diskBytes: [...tables.values()].reduce((total, table) => total + tableBytes(table), 0),
    stages,
    peakBytes,
    memoryBytes: options.memoryBytes,
    fits: options.memoryBytes === undefined ? undefined : peakBytes <= options.memoryBytes,
  };
}

/**
 * The least change of settings that fits: fewer bits first, then fewer frames, then a smaller picture.
 * @returns undefined where nothing fits
 */
export async function fittingPlan(suite: Suite, options: PlanOptions): Promise<MemoryPlan | undefined> {
  const { answer } = suite.manifest;
  const { space, time } = vaeStride(suite.vae.config);
  const [, rows, columns] = suite.vdm.config.patchSize;
  const asked = {
    frames: options.frames ?? answer.answerFrames,
    height: options.height ?? answer.height,
    width: options.width ?? answer.width,
  };
  const whole = (value: number, step: number): number => Math.max(step, Math.floor(value / step) * step);
  const scales = [1, 0.75, 0.5, 0.375, 0.25];
  const frames = [asked.frames, 1 + time * Math.floor((asked.frames - 1) / time / 2), 1 + time];
  const weights: QuantizedParts[] = [
    options.quantized ?? {},
    { vlm: "8bit", textEncoder: "8bit" },
    { vlm: "4bit", textEncoder: "4bit" },
  ];
  for (const scale of scales)
    for (const count of new Set(frames.filter((one) => one >= 1 && one <= asked.frames)))
      for (const quantized of weights) {
        const plan = await planMemory(suite, {
          ...options,
          quantized,
          frames: count,
          height: whole(asked.height * scale, space * rows),
          width: whole(asked.width * scale, space * columns),
        });
        if (plan.fits) return plan;
      }
  return undefined;
}

/** `deviceBytes`: the weights as they lie on a device, in f32 unless quantised. */
type Stage = Omit<PlannedStage, "fits"> & { readonly deviceBytes: number };
type Tables = ReadonlyMap<TablePart, TensorTable>;

/** How the tensors of a part are stored. */
function storage(
  part: QuantizablePart,
  table: TensorTable,
  quantized: QuantizedParts,
): (name: string) => StoredAs {
  return (name) => {
    if (quantized[part] !== undefined && isQuantizable(part, name)) return "quantized";
    return table.get(name)?.dtype === "F32" ? "f32" : "half";
  };
}

/** Bytes of quantised matrices whose names match: kernels keep a copy of them. */
function packedBytes(
  part: QuantizablePart,
  table: TensorTable,
  to: QuantizationName | undefined,
  chosen: RegExp,
): number {
  if (to === undefined) return 0;
  return quantizedBytes(
    new Map([...table].filter(([name]) => isQuantizable(part, name) && chosen.test(name))),
    to,
  );
}

/** Bytes of matrices once they are quantised, as kernels hold them: with blocks, a sum beside each block's scale. */
function quantizedBytes(table: TensorTable, to: QuantizationName): number {
  const how = QUANTIZATIONS[to];
  let total = 0;
  for (const { shape } of table.values()) {
    const count = elementCount(shape);
    total +=
      (count * how.bits) / 8 + (how.scheme === "rows" ? shape[0]! * F32 : (count / how.blockSize) * 2 * F32);
  }
  return total;
}

/** Bytes of the weights of a part whose names match: mapped from their files, and on a device. */
function weightBytes(
  part: QuantizablePart | "vae",
  table: TensorTable,
  quantized: QuantizedParts,
  chosen: RegExp,
): Pick<Stage, "mappedBytes" | "deviceBytes"> {
  const to = part === "vae" ? undefined : quantized[part];
  const few = (name: string): boolean => part !== "vae" && to !== undefined && isQuantizable(part, name);
  const left = new Map([...table].filter(([name]) => chosen.test(name) && !few(name)));
  const packed = part === "vae" ? 0 : packedBytes(part, table, to, chosen);
  const elements = [...left.values()].reduce((total, { shape }) => total + elementCount(shape), 0);
  return { mappedBytes: tableBytes(left) + packed, deviceBytes: elements * F32 + packed };
}

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

function languageStages(suite: Suite, tables: Tables, options: PlanOptions): Stage[] {
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

function textStage(suite: Suite, tables: Tables, quantized: QuantizedParts): Stage {
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

interface Size {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

function ditStage(suite: Suite, tables: Tables, size: Size, quantized: QuantizedParts): Stage {
  const table = tables.get("vdm")!;
  const { config } = suite.vdm;
  const { space } = vaeStride(suite.vae.config);
  const latentFrames = latentFrameCount(suite.vae.config, size.frames);
  const references = suite.manifest.answer.referenceLatentFrames;
  const [, rows, columns] = config.patchSize;
  const tokens =
    ((latentFrames + references) * (size.height / space) * (size.width / space)) / (rows * columns);
  const shape = [1, tokens, config.width];
  const half = ditHeadWidth(config) / 2;
  const length = suite.textEncoder.maxLength;
  const params = new Params().at("blocks", 0);
  const block = graphMemory(
    {
      y: ditBlock(params, config, input("x", shape), {
        modulation: input("modulation", [1, 6, config.width]),
        tables: { cos: input("cos", [1, tokens, half]), sin: input("sin", [1, tokens, half]) },
        text: textKeyValue(params, config, input("text", [1, length, config.width])),
      }),
    },
    // The trained weights of the adapter are in the place of the base's.
    storage("vdm", tables.get("vdmAdapter") ?? table, quantized),
  );
  const latents =
    (latentFrames + references) * config.inChannels * (size.height / space) * (size.width / space) * F32;
  return {
    stage: "dit",
    anonymousBytes:
      // Two arrays of tokens that take turns, their angles, the text as it came and projected, latents in all their forms.
      2 * elementCount(shape) * F32 +
      2 * tokens * half * F32 +
      length * (config.textWidth + config.width) * F32 +
      8 * latents +
      // 15 % more than the graph says was measured from 1,536 tokens on (docs/performance.md).
      1.15 * heldBytes(block) +
      packedBytes("vdm", table, quantized.vdm, /./),
    ...weightBytes("vdm", tables.get("vdmAdapter") ?? table, quantized, /./),
    flops: block.flops * config.layerCount,
  };
}

function vaeStage(suite: Suite, tables: Tables, size: Size, stage: "vae-encode" | "vae-decode"): Stage {
  const table = tables.get("vae")!;
  const { config } = suite.vae;
  const { space, time } = vaeStride(config);
  const isEncode = stage === "vae-encode";
  const frames = isEncode ? suite.manifest.answer.inputFrames : size.frames;
  const [rows, columns] = [size.height / space, size.width / space];
  const tiles = suite.manifest.answer.tiled
    ? tilesOf(rows, columns, VANS_TILING)
    : [{ start: [0, 0] as const, end: [rows, columns] as const }];
  const [first] = tiles as [(typeof tiles)[0]];
  const [tileRows, tileColumns] = [first.end[0] - first.start[0], first.end[1] - first.start[1]];
  const pixels = tileRows * tileColumns * space * space;
  // As the autoencoder decides between a whole clip and a stream of chunks.
  const isWhole = F32 * 2 * config.base_dim * pixels * frames <= WHOLE_CLIP_BYTES;
  const chunkFrames = isWhole ? frames : time;
  const latents = isWhole ? latentFrameCount(config, frames) : 1;
  const shape = isEncode
    ? [1, 3, chunkFrames, tileRows * space, tileColumns * space]
    : [1, config.z_dim, latents, tileRows, tileColumns];
  const x = input("x", shape);
  const trace = wholeOrChunk(suite, x, isEncode, isWhole);
  const chunk: GraphMemory = graphMemory({ y: trace.y, ...trace.kept }, () => "f32");
  const kept = Object.values(trace.kept).reduce(
    (total, tensor) => total + elementCount(tensor.shape) * F32,
    0,
  );
  const clip = 3 * frames * size.height * size.width * F32;
  const tileClip = 3 * frames * tileRows * tileColumns * space * space * F32;
  const chunks = isWhole ? 1 : latentFrameCount(config, frames);
  return {
    stage,
    // The clip and its blend, a tile's frames twice; kept frames once from the chunk before, once for the next (and a
    // third time in the chunk's own peak, as its outputs) and once until the first chunk's are collected.
    anonymousBytes: 2 * clip + 2 * tileClip + 3 * kept + heldBytes(chunk),
    ...weightBytes("vae", table, {}, /./),
    flops: chunk.flops * chunks * tiles.length,
  };
}

/** As in `models/wan/vae-run.ts`. */
const WHOLE_CLIP_BYTES = 256 * 2 ** 20;

function wholeOrChunk(
  suite: Suite,
  x: Tensor,
  isEncode: boolean,
  isWhole: boolean,
): { readonly y: Tensor; readonly kept: Readonly<Record<string, Tensor>> } {
  const { config } = suite.vae;
  const params = new Params();
  if (isWhole)
    return {
      y: isEncode ? encodeMoments(params, config, x).mean : decodeLatents(params, config, x),
      kept: {},
    };
  if (isEncode) {
    const { result, kept } = encodeChunk(params, config, x, "later");
    return { y: result.mean, kept };
  }
  const { result, kept } = decodeChunk(params, config, x, "later");
  return { y: result, kept };
}
