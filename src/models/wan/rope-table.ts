/**
 * Rotary tables of the Wan transformer: one angle per pair of head elements, from frame, row and column.
 * @module
 */
import { f32, type NdArray } from "../../tensor/index.ts";

/** Sizes of the token grid: latent frames, patch rows, patch columns. */
export interface TokenGrid {
  readonly frames: number;
  readonly rows: number;
  readonly columns: number;
}

/** Base of the geometric series of frequencies (Wan2.1 `rope_params`). */
const THETA = 10000;

/**
 * Cosine and sine of every token's angles, tokens in the order (frame, row, column).
 *
 * A head's pairs are shared out between the axes as in Wan2.1 `model.py`: rows and columns get `headWidth // 6` pairs
 * each, frames the rest, in the order frames, rows, columns; axis `a` with d elements turns at 10000^(-2j/d).
 * Computed in f64, rounded to f32.
 * @returns both `[1, tokens, headWidth / 2]`
 *
 * @example
 * ```ts
 * import { ropeTable } from "vans/models/wan";
 * ropeTable({ frames: 2, rows: 3, columns: 4 }, 20).cos.shape; // => [1, 24, 10]
 * ```
 */
export function ropeTable(
  grid: TokenGrid,
  headWidth: number,
): { readonly cos: NdArray; readonly sin: NdArray } {
  const side = Math.floor(headWidth / 6);
  const pairs = [headWidth / 2 - 2 * side, side, side] as const;
  const frequencies = pairs.map((count) =>
    Array.from({ length: count }, (_, j) => THETA ** (-j / count)),
  ) as [number[], number[], number[]];
  const tokens = grid.frames * grid.rows * grid.columns;
  const width = headWidth / 2;
  const cos = new Float32Array(tokens * width);
  const sin = new Float32Array(tokens * width);
  let at = 0;
  for (let frame = 0; frame < grid.frames; frame++) {
    for (let row = 0; row < grid.rows; row++) {
      for (let column = 0; column < grid.columns; column++) {
        [frame, row, column].forEach((position, axis) => {
          for (const frequency of frequencies[axis]!) {
            cos[at] = Math.cos(position * frequency);
            sin[at++] = Math.sin(position * frequency);
          }
        });
      }
    }
  }
  const shape = [1, tokens, width];
  return { cos: f32(cos, shape), sin: f32(sin, shape) };
}
