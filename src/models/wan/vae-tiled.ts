/**
 * Encoding and decoding in overlapping tiles that are blended by linear ramps, as the released VANS pipeline does it
 * (DiffSynth, wan_video_vae.py). Attention in the middle sees its tile only, so the result differs from the untiled one.
 * @module
 */
import { VansError } from "../../base/index.ts";
import { f32, type NdArray, sizeOf } from "../../tensor/index.ts";

/** Tile size and stride in latent pixels, as (rows, columns). */
export interface Tiling {
  readonly size: readonly [number, number];
  readonly stride: readonly [number, number];
}

/** What the released VANS pipeline uses: 240x416 pixels every 120x208 (VANS release, models.md §0). */
export const VANS_TILING: Tiling = { size: [30, 52], stride: [15, 26] };

/** One tile: rows and columns from `start` (inclusive) to `end` (exclusive). */
export interface Tile {
  readonly start: readonly [number, number];
  readonly end: readonly [number, number];
}

/** Starts along one axis: every `stride`, without tiles that the one before already covers to the end. */
function startsOf(length: number, size: number, stride: number): number[] {
  const starts: number[] = [];
  for (let start = 0; start < length; start += stride) {
    if (start > 0 && start - stride + size >= length) break;
    starts.push(start);
  }
  return starts;
}

/**
 * The tiles of a plane of latents, row by row.
 *
 * @example
 * ```ts
 * import { tilesOf, VANS_TILING } from "vans/models/wan";
 * tilesOf(44, 80, VANS_TILING).length; // => 6
 * ```
 * @throws `VANS_VAE_TILING` where tiles would leave gaps.
 */
export function tilesOf(height: number, width: number, tiling: Tiling): Tile[] {
  const { size, stride } = tiling;
  if (![0, 1].every((axis) => stride[axis]! >= 1 && stride[axis]! <= size[axis]!)) {
    throw new VansError("VANS_VAE_TILING", "the tiles do not cover the frame", {
      asked: `tiles of ${size.join("x")} every ${stride.join("x")} latents`,
      fix: "the stride is at least 1 and at most the size",
    });
  }
  return startsOf(height, size[0], stride[0]).flatMap((row) =>
    startsOf(width, size[1], stride[1]).map(
      (column): Tile => ({
        start: [row, column],
        end: [Math.min(row + size[0], height), Math.min(column + size[1], width)],
      }),
    ),
  );
}

/** Weights along one axis of a tile: 1, or a ramp (i + 1) / border towards each side that has a neighbour. */
function ramp(length: number, border: number, isFirst: boolean, isLast: boolean): Float32Array {
  const weights = new Float32Array(length).fill(1);
  for (let i = 0; i < Math.min(border, length); i++) {
    if (!isFirst) weights[i] = (i + 1) / border;
    if (!isLast) weights[length - 1 - i] = (i + 1) / border;
  }
  return weights;
}

/** Rows and columns `tile` (in units of `scale` pixels) of a clip `[B, C, T, H, W]`. */
export function cutTile(clip: NdArray, tile: Tile, scale: number): NdArray {
  const [batch, channels, frames, height, width] = clip.shape as [number, number, number, number, number];
  const [top, left] = tile.start.map((s) => s * scale) as [number, number];
  const rows = tile.end[0] * scale - top;
  const columns = tile.end[1] * scale - left;
  const shape = [batch, channels, frames, rows, columns];
  const data = new Float32Array(sizeOf(shape));
  const source = clip.data as Float32Array;
  for (let plane = 0; plane < batch * channels * frames; plane++) {
    for (let row = 0; row < rows; row++) {
      const from = (plane * height + top + row) * width + left;
      data.set(source.subarray(from, from + columns), (plane * rows + row) * columns);
    }
  }
  return f32(data, shape);
}

/** Sums weighted tiles and divides by the sum of the weights. */
export class TileBlend {
  private readonly height: number;
  private readonly width: number;
  private readonly tiling: Tiling;
  private readonly scale: number;
  private readonly weights: Float32Array;
  private sums: { readonly shape: number[]; readonly data: Float32Array } | undefined;

  /**
   * @param height rows of the plane of latents
   * @param width columns of the plane of latents
   * @param scale pixels of the blended tensor for each latent: 8 for frames, 1 for latents
   */
  constructor(height: number, width: number, tiling: Tiling, scale: number) {
    this.height = height;
    this.width = width;
    this.tiling = tiling;
    this.scale = scale;
    this.weights = new Float32Array(height * scale * width * scale);
  }

  /** Adds the result of a tile, `[B, C, T, rows, columns]`. */
  add(tile: Tile, values: NdArray): void {
    const { scale } = this;
    const [batch, channels, frames, rows, columns] = values.shape as [number, number, number, number, number];
    const [height, width] = [this.height * scale, this.width * scale];
    if (!this.sums) {
      const shape = [batch, channels, frames, height, width];
      this.sums = { shape, data: new Float32Array(sizeOf(shape)) };
    }
    const border = [0, 1].map((axis) => (this.tiling.size[axis]! - this.tiling.stride[axis]!) * scale);
    const down = ramp(rows, border[0]!, tile.start[0] === 0, tile.end[0] === this.height);
    const across = ramp(columns, border[1]!, tile.start[1] === 0, tile.end[1] === this.width);
    const { data } = this.sums;
    for (let row = 0; row < rows; row++) {
      const into = (tile.start[0] * scale + row) * width + tile.start[1] * scale;
      for (let column = 0; column < columns; column++) {
        const weight = Math.min(down[row]!, across[column]!);
        this.weights[into + column]! += weight;
        for (let plane = 0; plane < batch * channels * frames; plane++) {
          const value = values.data[(plane * rows + row) * columns + column]!;
          data[plane * height * width + into + column]! += value * weight;
        }
      }
    }
  }

  /** The blended tensor. */
  finish(): NdArray {
    const { shape, data } = this.sums!;
    const area = this.weights.length;
    for (let i = 0; i < data.length; i++) data[i]! /= this.weights[i % area]!;
    return f32(data, shape);
  }
}
