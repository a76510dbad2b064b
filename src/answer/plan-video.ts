/**
 * Stages of the video model: its transformer, and the autoencoder in both directions.
 * @module
 */
import { ditBlock, textKeyValue } from "../models/wan/dit-blocks.ts";
import { ditHeadWidth } from "../models/wan/dit-config.ts";
import { latentFrameCount, vaeStride } from "../models/wan/vae-config.ts";
import { decodeLatents } from "../models/wan/vae-decode.ts";
import { encodeMoments } from "../models/wan/vae-encode.ts";
import { decodeChunk, encodeChunk } from "../models/wan/vae-stream.ts";
import { tilesOf, VANS_TILING } from "../models/wan/vae-tiled.ts";
import { Params } from "../nn/index.ts";
import { input, type Tensor } from "../tensor/index.ts";
import { elementCount } from "../weights/index.ts";
import { type GraphMemory, graphMemory, heldBytes } from "./graph-memory.ts";
import { F32, packedBytes, type Stage, storage, type Tables, weightBytes } from "./plan-weights.ts";
import type { QuantizedParts } from "./quantized-parts.ts";
import type { Suite } from "./suite.ts";

/** Frames of an answer, and their pixels. */
export interface Size {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

/** One forward of the video transformer, one branch. */
export function ditStage(suite: Suite, tables: Tables, size: Size, quantized: QuantizedParts): Stage {
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

/** The autoencoder, in the tiles and chunks that it runs in. */
export function vaeStage(
  suite: Suite,
  tables: Tables,
  size: Size,
  stage: "vae-encode" | "vae-decode",
): Stage {
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
