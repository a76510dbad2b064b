/**
 * The Wan autoencoder at work: clips to latents and back, whole, streamed or in tiles.
 * @module
 */
import { throwIfAborted, VansError } from "../../base/index.ts";
import { Params } from "../../nn/index.ts";
import {
  type CompileOptions,
  compile,
  compileStateful,
  type Executable,
  type StatefulExecutable,
} from "../../runtime/index.ts";
import {
  f32,
  input,
  type NdArray,
  type Shape,
  sizeOf,
  type Tensor,
  type WeightBinding,
} from "../../tensor/index.ts";
import { denormalizeLatents, normalizeLatents } from "./vae.ts";
import { frameCount, latentFrameCount, type VaeConfig, vaeStride } from "./vae-config.ts";
import { decodeLatents } from "./vae-decode.ts";
import { encodeMoments } from "./vae-encode.ts";
import { type ChunkPosition, type ChunkTrace, decodeChunk, encodeChunk } from "./vae-stream.ts";
import { cutTile, TileBlend, type Tiling, tilesOf } from "./vae-tiled.ts";

/** How one clip is encoded or decoded. */
export interface VaeRunOptions {
  /**
   * Latent frames at a time; default: the whole clip where its largest activation stays below 256 MB, else 1.
   * Results do not depend on it.
   */
  readonly chunkLatentFrames?: number | undefined;
  /** Overlapping tiles; default none. */
  readonly tiling?: Tiling | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Activations larger than this are streamed, in bytes. */
const WHOLE_CLIP_BYTES = 256 * 2 ** 20;

/** One direction: how to trace it, and how its tensors relate to latents. */
interface Direction {
  readonly name: "encode" | "decode";
  /** Frames of the input that make up a chunk of so many latent frames. */
  readonly inputFrames: (latentFrames: number, position: ChunkPosition) => number;
  readonly inputScale: number;
  readonly outputScale: number;
  readonly whole: (params: Params, x: Tensor) => Tensor;
  readonly chunk: (params: Params, x: Tensor, position: ChunkPosition) => ChunkTrace<Tensor>;
}

/** A chunk's graph with the frames of the clip that runs through it. */
interface ChunkStream {
  readonly key: string;
  readonly run: StatefulExecutable;
}

/** Frames `start` … `end`-1 of a clip `[B, C, T, H, W]`. */
export function sliceFrames(clip: NdArray, start: number, end: number): NdArray {
  const [batch, channels, frames, height, width] = clip.shape as [number, number, number, number, number];
  if (start === 0 && end === frames) return clip;
  const area = height * width;
  const shape = [batch, channels, end - start, height, width];
  const data = new Float32Array(sizeOf(shape));
  const source = clip.data as Float32Array;
  for (let plane = 0; plane < batch * channels; plane++)
    data.set(
      source.subarray((plane * frames + start) * area, (plane * frames + end) * area),
      plane * (end - start) * area,
    );
  return f32(data, shape);
}

/** Clips `[B, C, T, H, W]` one after the other. */
export function joinFrames(clips: readonly NdArray[]): NdArray {
  if (clips.length === 1) return clips[0]!;
  const [batch, channels, , height, width] = clips[0]!.shape as [number, number, number, number, number];
  const area = height * width;
  const frames = clips.reduce((total, clip) => total + clip.shape[2]!, 0);
  const data = new Float32Array(batch * channels * frames * area);
  let start = 0;
  for (const clip of clips) {
    const length = clip.shape[2]! * area;
    for (let plane = 0; plane < batch * channels; plane++)
      data.set(
        (clip.data as Float32Array).subarray(plane * length, (plane + 1) * length),
        plane * frames * area + start,
      );
    start += length;
  }
  return f32(data, [batch, channels, frames, height, width]);
}

/** Ranges of latent frames, `size` at a time. */
function chunkRanges(latentFrames: number, size: number): (readonly [number, number])[] {
  return Array.from({ length: Math.ceil(latentFrames / size) }, (_, i) => [
    i * size,
    Math.min((i + 1) * size, latentFrames),
  ]);
}

/** An autoencoder with its weights. Graphs are compiled for each shape once and kept until {@link Vae.release}. */
export class Vae {
  readonly config: VaeConfig;
  private readonly options: CompileOptions;
  private readonly graphs = new Map<string, Promise<Executable>>();
  /** Graphs of later chunks that no clip is running through. A clip takes one for itself: it holds the clip's frames. */
  private readonly idle = new Map<string, StatefulExecutable[]>();

  /**
   * @param weights by original names
   */
  constructor(config: VaeConfig, weights: WeightBinding, options: Omit<CompileOptions, "weights"> = {}) {
    this.config = config;
    this.options = { ...options, weights };
  }

  private get encoder(): Direction {
    const { config } = this;
    const { space } = vaeStride(config);
    return {
      name: "encode",
      inputFrames: (latentFrames, position) =>
        position === "first" ? frameCount(config, latentFrames) : latentFrames * vaeStride(config).time,
      inputScale: space,
      outputScale: 1,
      whole: (params, x) => normalizeLatents(config, encodeMoments(params, config, x).mean),
      chunk: (params, x, position) => {
        const { result, kept } = encodeChunk(params, config, x, position);
        return { result: normalizeLatents(config, result.mean), kept };
      },
    };
  }

  private get decoder(): Direction {
    const { config } = this;
    return {
      name: "decode",
      inputFrames: (latentFrames) => latentFrames,
      inputScale: 1,
      outputScale: vaeStride(config).space,
      whole: (params, x) => decodeLatents(params, config, denormalizeLatents(config, x)),
      chunk: (params, x, position) => decodeChunk(params, config, denormalizeLatents(config, x), position),
    };
  }

  /**
   * Normalised latents of a clip (the posterior's mean, as the video transformer takes them).
   * @param video `[B, 3, T, H, W]` in [-1, 1]
   * @returns `[B, z_dim, (T-1)/4 + 1, H/8, W/8]`
   * @throws `VANS_VAE_FRAME_COUNT`, `VANS_VAE_SIZE`, `VANS_VAE_TILING`, `VANS_RUN_ABORTED`
   */
  async encode(video: NdArray, options: VaeRunOptions = {}): Promise<NdArray> {
    return this.blended(this.encoder, video, options);
  }

  /**
   * The clip of normalised latents, clamped to [-1, 1].
   * @param latents `[B, z_dim, t, h, w]`
   * @returns `[B, 3, 4(t-1) + 1, 8h, 8w]`
   * @throws `VANS_VAE_TILING`, `VANS_RUN_ABORTED`
   */
  async decode(latents: NdArray, options: VaeRunOptions = {}): Promise<NdArray> {
    return clamp(await this.blended(this.decoder, latents, options));
  }

  /** As {@link decode}, frames as they are done: the first alone, then 4 for every latent frame. Not for tiles. */
  async *decodeStream(
    latents: NdArray,
    options: Omit<VaeRunOptions, "tiling"> = {},
  ): AsyncGenerator<NdArray, void> {
    const size = options.chunkLatentFrames ?? 1;
    for await (const frames of this.streamed(this.decoder, latents, size, options.signal))
      yield clamp(frames);
  }

  /** Gives the compiled graphs back. */
  async release(): Promise<void> {
    const graphs = await Promise.all(this.graphs.values());
    const idle = [...this.idle.values()].flat();
    this.graphs.clear();
    this.idle.clear();
    for (const graph of [...graphs, ...idle]) await graph.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  private async blended(direction: Direction, clip: NdArray, options: VaeRunOptions): Promise<NdArray> {
    checkRank(clip);
    if (!options.tiling) return this.plain(direction, clip, options);
    const [height, width] = clip.shape.slice(3).map((size) => Math.floor(size / direction.inputScale)) as [
      number,
      number,
    ];
    const blend = new TileBlend(height, width, options.tiling, direction.outputScale);
    for (const tile of tilesOf(height, width, options.tiling))
      blend.add(tile, await this.plain(direction, cutTile(clip, tile, direction.inputScale), options));
    return blend.finish();
  }

  private async plain(direction: Direction, clip: NdArray, options: VaeRunOptions): Promise<NdArray> {
    const latentFrames = this.latentFramesOf(direction, clip.shape);
    const size = options.chunkLatentFrames ?? (this.isSmall(direction, clip.shape) ? latentFrames : 1);
    if (size < latentFrames) {
      const chunks: NdArray[] = [];
      for await (const chunk of this.streamed(direction, clip, size, options.signal)) chunks.push(chunk);
      return joinFrames(chunks);
    }
    const executable = await this.compiled(`${direction.name}:${clip.shape.join()}`, () => ({
      y: direction.whole(new Params(), input("x", clip.shape)),
    }));
    return (await executable.run({ x: clip }, { signal: options.signal }))["y"]!;
  }

  /** A compiled graph, traced and compiled at its first use. */
  private compiled(key: string, trace: () => Readonly<Record<string, Tensor>>): Promise<Executable> {
    let executable = this.graphs.get(key);
    if (!executable) {
      executable = compile(trace(), this.options);
      this.graphs.set(key, executable);
      executable.catch(() => this.graphs.delete(key));
    }
    return executable;
  }

  /** Runs a clip through in chunks; the frames that blocks keep stay in the runtime. */
  private async *streamed(
    direction: Direction,
    clip: NdArray,
    size: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<NdArray, void> {
    checkRank(clip);
    if (!Number.isInteger(size) || size < 1)
      throw new VansError("VANS_VAE_CHUNK", "a chunk has at least one latent frame", { asked: String(size) });
    let kept: Record<string, NdArray> = {};
    let stream: ChunkStream | undefined;
    let at = 0;
    try {
      for (const [start, end] of chunkRanges(this.latentFramesOf(direction, clip.shape), size)) {
        throwIfAborted(signal);
        const position = start === 0 ? "first" : "later";
        const frames = direction.inputFrames(end - start, position);
        const chunk = sliceFrames(clip, at, at + frames);
        at += frames;
        const key = `${direction.name} ${position}:${chunk.shape.join()}`;
        const trace = (): Record<string, Tensor> => {
          const traced = direction.chunk(new Params(), input("x", chunk.shape), position);
          return { y: traced.result, ...traced.kept };
        };
        if (position === "first") {
          const first = await this.compiled(key, trace);
          const { y, ...past } = await first.run({ x: chunk }, { signal });
          kept = past;
          yield y!;
          continue;
        }
        // Chunks of one length share a graph; the last may be shorter and then takes over what the others kept.
        if (stream && stream.key !== key) {
          kept = await stream.run.read();
          await this.giveBack(stream);
          stream = undefined;
        }
        if (!stream) {
          const idle = this.idle.get(key)?.pop();
          if (idle) idle.load(kept, true);
          const run = idle ?? (await compileStateful(trace(), kept, { ...this.options, ownsState: true }));
          stream = { key, run };
          kept = {};
        }
        yield (await stream.run.step({ x: chunk }, { signal }))["y"]!;
      }
    } finally {
      if (stream) await this.giveBack(stream);
    }
  }

  /** Keeps a chunk's graph for the next clip, unless the frames that it holds are large. */
  private async giveBack({ key, run }: ChunkStream): Promise<void> {
    const { inputs } = run.graph;
    const held = run.stateNames.reduce((bytes, name) => bytes + 4 * sizeOf(inputs.get(name)!.shape), 0);
    if (held > WHOLE_CLIP_BYTES) return run.release();
    this.idle.set(key, [...(this.idle.get(key) ?? []), run]);
  }

  private latentFramesOf(direction: Direction, shape: Shape): number {
    return direction.name === "encode" ? latentFrameCount(this.config, shape[2]!) : shape[2]!;
  }

  /** Whether the largest activation of the whole clip (the first level's, at full size) is small. */
  private isSmall(direction: Direction, shape: Shape): boolean {
    const [batch, , frames, height, width] = shape as [number, number, number, number, number];
    const scale = vaeStride(this.config).space / direction.inputScale;
    const pixels =
      height *
      scale *
      width *
      scale *
      (direction.name === "encode" ? frames : frameCount(this.config, frames));
    // Before the decoder's last convolution of the level above, the full-size clip has twice the base channels.
    return 4 * batch * 2 * this.config.base_dim * pixels <= WHOLE_CLIP_BYTES;
  }
}

function checkRank(clip: NdArray): void {
  if (clip.shape.length !== 5)
    throw new VansError("VANS_VAE_SHAPE", "the autoencoder takes clips of five axes", {
      asked: "[batch, channels, frames, rows, columns]",
      found: `[${clip.shape.join(", ")}]`,
    });
}

function clamp(clip: NdArray): NdArray {
  return f32(
    (clip.data as Float32Array).map((value) => Math.min(1, Math.max(-1, value))),
    clip.shape,
  );
}
