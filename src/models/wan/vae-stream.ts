/**
 * Encoder and decoder on a clip that arrives in chunks: each block keeps the frames that the next chunk needs.
 * The result equals that of the whole clip; the memory does not grow with its length.
 * @module
 */
import type { Params } from "../../nn/index.ts";
import { broadcastTo, concat, full, input, slice, type Tensor } from "../../tensor/index.ts";
import type { TimeMemory } from "./vae-blocks.ts";
import type { VaeConfig } from "./vae-config.ts";
import { decodeLatents } from "./vae-decode.ts";
import { encodeMoments, type Moments } from "./vae-encode.ts";

/** Which chunk is traced: the clip's first starts from nothing, the others from what the one before kept. */
export type ChunkPosition = "first" | "later";

/** A chunk's result, and the frames it keeps: each entry is an output, and for later chunks an input too. */
export interface ChunkTrace<T> {
  readonly result: T;
  readonly kept: Readonly<Record<string, Tensor>>;
}

/** A memory that reads graph inputs named `past:…` and collects the outputs of the same names. */
class ChunkMemory implements TimeMemory {
  readonly isStart: boolean;
  readonly kept: Record<string, Tensor> = {};

  constructor(position: ChunkPosition) {
    this.isStart = position === "first";
  }

  before(name: string, x: Tensor | undefined, count: number, like: Tensor): Tensor | undefined {
    const [batch, channels, , height, width] = like.shape as [number, number, number, number, number];
    const shape = [batch, channels, count, height, width];
    const key = `past:${name}`;
    const past = this.isStart ? undefined : input(key, shape);
    const frames = x?.size(2) ?? 0;
    if (x && frames >= count) this.kept[key] = slice(x, 2, frames - count);
    else {
      // Made where it runs: as a constant it would be written into the graph, at the size of the kept frames.
      const none = [batch, channels, count - frames, height, width];
      const older = past ? slice(past, 2, frames) : broadcastTo(full([1, 1, 1, 1, 1], 0), none);
      this.kept[key] = x ? concat([older, x], 2) : older;
    }
    return past;
  }
}

/**
 * Encodes one chunk: the first frame alone (or with whole groups of 4 behind it), then groups of 4 frames.
 * @param video `[B, 3, T, H, W]`
 */
export function encodeChunk(
  params: Params,
  config: VaeConfig,
  video: Tensor,
  position: ChunkPosition,
): ChunkTrace<Moments> {
  const memory = new ChunkMemory(position);
  const result = encodeMoments(params, config, video, { memory });
  return { result, kept: memory.kept };
}

/**
 * Decodes one chunk of latent frames.
 * @param latents `[B, z_dim, t, h, w]`, not normalised
 */
export function decodeChunk(
  params: Params,
  config: VaeConfig,
  latents: Tensor,
  position: ChunkPosition,
): ChunkTrace<Tensor> {
  const memory = new ChunkMemory(position);
  const result = decodeLatents(params, config, latents, { memory });
  return { result, kept: memory.kept };
}
