/**
 * Latents as a small picture without the autoencoder: a linear map from latent channels to colours, fitted on the clip
 * at hand, whose latents and frames are both known. One pixel a latent; good enough to watch an answer take shape.
 * @module
 */
import type { Clip } from "../media/clip.ts";
import { levelsFromSigned } from "../media/index.ts";
import type { NdArray } from "../tensor/index.ts";

/** Keeps the fit sound where channels hardly vary, relative to the mean square of the channels. */
const RIDGE = 1e-3;

/** Maps latents `[1, C, t, h, w]` to a clip `[t, h, w]`. */
export type LatentPreview = (latents: NdArray) => Clip;

/** The sizes of latents of one clip. */
function sizes(latents: NdArray): { channels: number; frames: number; rows: number; columns: number } {
  const [, channels, frames, rows, columns] = latents.shape as [number, number, number, number, number];
  return { channels, frames, rows, columns };
}

/**
 * Fits the map by least squares.
 * @param latents `[1, C, t, h, w]` of the clip
 * @param clip the clip itself; frame `k · (T - 1) / (t - 1)` shows latent frame k
 */
export function fitLatentPreview(latents: NdArray, clip: Clip): LatentPreview {
  const { channels, frames, rows, columns } = sizes(latents);
  const width = channels + 1;
  const gram = new Float64Array(width * width);
  const target = new Float64Array(width * 3);
  const row = new Float64Array(width).fill(1);
  for (let frame = 0; frame < frames; frame++) {
    const shown = frames > 1 ? Math.round((frame * (clip.frameCount - 1)) / (frames - 1)) : 0;
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        for (let c = 0; c < channels; c++)
          row[c] = latents.data[((c * frames + frame) * rows + y) * columns + x]!;
        const colour = cellColour(clip, shown, y / rows, (y + 1) / rows, x / columns, (x + 1) / columns);
        for (let i = 0; i < width; i++) {
          for (let j = 0; j < width; j++) gram[i * width + j]! += row[i]! * row[j]!;
          for (let k = 0; k < 3; k++) target[i * 3 + k]! += row[i]! * colour[k]!;
        }
      }
    }
  }
  let trace = 0;
  for (let i = 0; i < channels; i++) trace += gram[i * width + i]!;
  for (let i = 0; i < channels; i++) gram[i * width + i]! += (RIDGE * trace) / channels + 1e-9;
  solve(gram, target, width);
  return (other) => paint(other, target, clip.frameRateHz);
}

/** Mean colour of a part of a frame, in [-1, 1]. */
function cellColour(
  clip: Clip,
  frame: number,
  top: number,
  bottom: number,
  left: number,
  right: number,
): readonly [number, number, number] {
  const sum: [number, number, number] = [0, 0, 0];
  let count = 0;
  for (let y = Math.floor(top * clip.height); y < Math.ceil(bottom * clip.height); y++) {
    for (let x = Math.floor(left * clip.width); x < Math.ceil(right * clip.width); x++) {
      const at = ((frame * clip.height + y) * clip.width + x) * 3;
      for (let k = 0; k < 3; k++) sum[k]! += clip.rgb[at + k]!;
      count++;
    }
  }
  return sum.map((total) => total / count / 127.5 - 1) as [number, number, number];
}

/** Solves `matrix · x = right` in place (Gauss with pivoting); `right` has 3 columns and becomes x. */
function solve(matrix: Float64Array, right: Float64Array, size: number): void {
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let i = column + 1; i < size; i++)
      if (Math.abs(matrix[i * size + column]!) > Math.abs(matrix[pivot * size + column]!)) pivot = i;
    swapRows(matrix, size, pivot, column);
    swapRows(right, 3, pivot, column);
    for (let i = 0; i < size; i++) {
      if (i === column) continue;
      const factor = matrix[i * size + column]! / matrix[column * size + column]!;
      for (let j = column; j < size; j++) matrix[i * size + j]! -= factor * matrix[column * size + j]!;
      for (let k = 0; k < 3; k++) right[i * 3 + k]! -= factor * right[column * 3 + k]!;
    }
  }
  for (let i = 0; i < size; i++) for (let k = 0; k < 3; k++) right[i * 3 + k]! /= matrix[i * size + i]!;
}

function swapRows(matrix: Float64Array, width: number, a: number, b: number): void {
  if (a === b) return;
  const kept = matrix.slice(a * width, (a + 1) * width);
  matrix.copyWithin(a * width, b * width, (b + 1) * width);
  matrix.set(kept, b * width);
}

function paint(latents: NdArray, weights: Float64Array, frameRateHz: number): Clip {
  const { channels, frames, rows, columns } = sizes(latents);
  const values = new Float32Array(frames * rows * columns * 3);
  const cells = frames * rows * columns;
  for (let cell = 0; cell < cells; cell++) {
    for (let k = 0; k < 3; k++) {
      let value = weights[channels * 3 + k]!;
      for (let c = 0; c < channels; c++) value += weights[c * 3 + k]! * latents.data[c * cells + cell]!;
      values[cell * 3 + k] = value;
    }
  }
  return {
    frameCount: frames,
    height: rows,
    width: columns,
    frameRateHz,
    rgb: levelsFromSigned(values, "round"),
  };
}
