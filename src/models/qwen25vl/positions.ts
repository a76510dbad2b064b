/**
 * Token rows and their position ids in time, row and column (mRoPE).
 * @module
 */
import { VansError } from "../../base/errors.ts";
import { f32, i32, type NdArray } from "../../tensor/index.ts";
import type { QwenConfig } from "./config.ts";
import type { VisionGrid } from "./patches.ts";

/** Sequences of one length; `mask` is 0 on padding. Both `[B, S]` i32. */
export interface TokenRows {
  readonly ids: NdArray;
  readonly mask: NdArray;
}

/** How {@link padRows} fills shorter sequences. */
export interface PadOptions {
  readonly side: "left" | "right";
  readonly padTokenId: number;
  /** Default: the longest sequence. */
  readonly length?: number | undefined;
}

/**
 * Sequences padded to one length.
 *
 * @example
 * ```ts
 * import { padRows } from "vans/models/qwen25vl";
 * const rows = padRows([[7, 8], [9]], { side: "left", padTokenId: 0 });
 * [...rows.ids.data]; // => [7, 8, 0, 9]
 * [...rows.mask.data]; // => [1, 1, 0, 1]
 * ```
 * @throws `VANS_MODEL_TOO_LONG` where a sequence is longer than `length`
 */
export function padRows(sequences: readonly ArrayLike<number>[], options: PadOptions): TokenRows {
  const longest = sequences.reduce((most, sequence) => Math.max(most, sequence.length), 0);
  const length = options.length ?? longest;
  if (longest > length) {
    throw new VansError("VANS_MODEL_TOO_LONG", "a token sequence does not fit", {
      asked: `at most ${length} tokens`,
      found: `${longest} tokens`,
    });
  }
  const ids = new Int32Array(sequences.length * length).fill(options.padTokenId);
  const mask = new Int32Array(ids.length);
  sequences.forEach((sequence, row) => {
    const start = row * length + (options.side === "left" ? length - sequence.length : 0);
    ids.set(sequence, start);
    mask.fill(1, start, start + sequence.length);
  });
  const shape = [sequences.length, length];
  return { ids: i32(ids, shape), mask: i32(mask, shape) };
}

/**
 * Which `get_rope_index` to follow. They differ in the time ids for fractional seconds per slice, and in where text
 * continues after a video that is longer in time than in space:
 * - `original`: transformers 4.49 to 4.50, the version VANS was made with. Text continues at the largest id + 1.
 * - `transformers-4.57`: seconds per slice are cut to whole numbers first.
 * - `transformers-5`: that too, and text continues at start + max(rows, columns).
 */
export type PositionRule = "original" | "transformers-4.57" | "transformers-5";

/** Options of {@link positionIds}. */
export interface PositionOptions {
  /** Grids of all images and videos, in the order in which they occur, row by row. */
  readonly grids: readonly VisionGrid[];
  /** Seconds of video in one time slice (temporal patch / frame rate); one for all or one a grid. Default 1, as in VANS. */
  readonly secondsPerSlice?: number | readonly number[] | undefined;
  readonly rule?: PositionRule | undefined;
}

/** Position ids and, for each row, what decoding adds to a token's index to get its position. */
export interface Positions {
  /** `[3, B, S]` i32: time, row and column ids. */
  readonly ids: NdArray;
  /** Largest id + 1 - number of tokens, for each row. */
  readonly deltas: Int32Array;
}

/**
 * Position ids of rows of tokens (`get_rope_index`). They are computed on the unpadded tokens; padding gets the id 1.
 * Text counts up on all three axes. A video's tokens keep the time id of their slice and count rows and columns from
 * where the video starts.
 *
 * @throws `VANS_MODEL_VISION_TOKENS` where the video tokens do not fit the grids
 */
export function positionIds(rows: TokenRows, config: QwenConfig, options: PositionOptions): Positions {
  const [batch, length] = rows.ids.shape as [number, number];
  const out = new Int32Array(3 * batch * length).fill(1);
  const deltas = new Int32Array(batch);
  let used = 0;
  for (let row = 0; row < batch; row++) {
    let next = 0;
    let largest = -1;
    let tokens = 0;
    const put = (column: number, time: number, y: number, x: number): void => {
      out[row * length + column] = time;
      out[(batch + row) * length + column] = y;
      out[(2 * batch + row) * length + column] = x;
      largest = Math.max(largest, time, y, x);
      tokens++;
    };
    for (let column = 0; column < length; column++) {
      const at = row * length + column;
      if (rows.mask.data[at] === 0) continue;
      const id = rows.ids.data[at]!;
      if (id !== config.videoTokenId && id !== config.imageTokenId) {
        put(column, next, next, next);
        next++;
        continue;
      }
      const index = used++;
      const grid = options.grids[index];
      const cells = cellsOf(grid, config);
      const run = runLength(rows.ids.data, at, (row + 1) * length);
      if (!cells || run < cells[0] * cells[1] * cells[2]) throw tokenMismatch(index, run, cells);
      const step = timeStep(config, options, index, id);
      let place = column;
      for (let time = 0; time < cells[0]; time++) {
        for (let y = 0; y < cells[1]; y++) {
          for (let x = 0; x < cells[2]; x++) put(place++, next + Math.trunc(time * step), next + y, next + x);
        }
      }
      column = place - 1;
      next = options.rule === "transformers-5" ? next + Math.max(cells[1], cells[2]) : largest + 1;
    }
    deltas[row] = largest + 1 - tokens;
  }
  if (used < options.grids.length) throw tokenMismatch(used, 0, cellsOf(options.grids[used], config));
  return { ids: i32(out, [3, batch, length]), deltas };
}

/** Time ids between two slices. */
function timeStep(config: QwenConfig, options: PositionOptions, index: number, token: number): number {
  if (token === config.imageTokenId) return 0;
  const given = options.secondsPerSlice ?? 1;
  const seconds = typeof given === "number" ? given : (given[index] ?? 1);
  const cut = options.rule === undefined || options.rule === "original" ? seconds : Math.trunc(seconds);
  return cut * config.vision.tokensPerSecond;
}

function cellsOf(grid: VisionGrid | undefined, { vision }: QwenConfig): [number, number, number] | undefined {
  return grid && [grid[0], grid[1] / vision.mergeSize, grid[2] / vision.mergeSize];
}

function runLength(ids: ArrayLike<number>, start: number, end: number): number {
  let at = start;
  while (at < end && ids[at] === ids[start]) at++;
  return at - start;
}

function tokenMismatch(index: number, found: number, cells: readonly number[] | undefined): VansError {
  return new VansError("VANS_MODEL_VISION_TOKENS", `the tokens of video ${index} do not fit its grid`, {
    asked: cells
      ? `${cells[0]! * cells[1]! * cells[2]!} tokens (${cells.join("×")} merge cells)`
      : "no video",
    found: `${found} tokens`,
    fix: "put one video token for every merge cell, and one grid for every video",
  });
}

/**
 * Rotary frequencies of the decoder: theta^(-2j/D) for j = 0 … D/2-1, in f32 as torch computes them.
 * @returns `[D/2]`
 */
export function ropeFrequencies({ text }: Pick<QwenConfig, "text">): NdArray {
  const half = text.headWidth / 2;
  return f32(
    Float32Array.from({ length: half }, (_, j) => 1 / Math.fround(text.ropeTheta ** (j / half))),
    [half],
  );
}
