/**
 * What the vision tower needs to know of its grids, computed once on the host: the order of the patches, which of
 * them attend to each other, and their rotary tables.
 * @module
 */
import { VansError } from "../../base/errors.ts";
import { f32, type NdArray } from "../../tensor/index.ts";
import { type QwenVisionConfig, windowCells } from "./config.ts";
import type { VisionGrid } from "./patches.ts";

/** Windows of one size: they run as one batch. */
export interface WindowGroup {
  /** Patches in one window. */
  readonly length: number;
  readonly count: number;
  /** Their patches in the tower's order; undefined where they are all patches in that order. */
  readonly rows: Int32Array | undefined;
  /** Rotary tables `[1 or count, length, headWidth / 2]`. */
  readonly cos: NdArray;
  readonly sin: NdArray;
}

/** A division of all patches into windows. */
export interface WindowDivision {
  readonly groups: readonly WindowGroup[];
  /** Where each patch lies in the concatenation of the groups; undefined for a single group. */
  readonly restore: Int32Array | undefined;
}

/** The host's part of the vision tower for fixed grids. */
export interface VisionPlan {
  readonly patchCount: number;
  /** Position in the input of each patch in the tower's order, window by window; undefined where it is the same. */
  readonly order: Int32Array | undefined;
  /** Position in the tower's order of each merged token; undefined where it is the same. */
  readonly restore: Int32Array | undefined;
  readonly windows: WindowDivision;
  /** One window for each time slice, for the blocks with full attention. */
  readonly slices: WindowDivision;
}

// VisionRotaryEmbedding's default (transformers modeling_qwen2_5_vl.py).
const THETA = 10000;

/** A run of patches in the tower's order. */
interface Span {
  readonly start: number;
  readonly length: number;
}

/**
 * The plan for images and videos that go through the tower together. Patches are put in the order of the reference:
 * grid by grid, time slice by time slice, windows row by row (smaller at the right and bottom edge), merge cells
 * within a window row by row.
 * @throws `VANS_MODEL_GRID` where a grid cannot be merged
 */
export function visionPlan(grids: readonly VisionGrid[], config: QwenVisionConfig): VisionPlan {
  const { mergeSize } = config;
  const patchesPerCell = mergeSize * mergeSize;
  const window = windowCells(config);
  const cellOrder: number[] = [];
  const rows: number[] = [];
  const columns: number[] = [];
  const windows: Span[] = [];
  const slices: Span[] = [];
  let firstCell = 0;
  for (const grid of grids) {
    const [times, gridRows, gridColumns] = grid;
    if (times < 1 || gridRows < 1 || gridRows % mergeSize !== 0 || gridColumns % mergeSize !== 0) {
      throw new VansError("VANS_MODEL_GRID", "the patches of a grid cannot be merged", {
        asked: `rows and columns that are multiples of ${mergeSize}`,
        found: grid.join("×"),
      });
    }
    const cellRows = gridRows / mergeSize;
    const cellColumns = gridColumns / mergeSize;
    for (let time = 0; time < times; time++) {
      const slice = cellOrder.length;
      for (let top = 0; top < cellRows; top += window) {
        for (let left = 0; left < cellColumns; left += window) {
          const start = cellOrder.length;
          for (let y = top; y < Math.min(top + window, cellRows); y++) {
            for (let x = left; x < Math.min(left + window, cellColumns); x++) {
              cellOrder.push(firstCell + (time * cellRows + y) * cellColumns + x);
              for (let inCell = 0; inCell < patchesPerCell; inCell++) {
                rows.push(y * mergeSize + Math.floor(inCell / mergeSize));
                columns.push(x * mergeSize + (inCell % mergeSize));
              }
            }
          }
          windows.push(span(start, cellOrder.length, patchesPerCell));
        }
      }
      slices.push(span(slice, cellOrder.length, patchesPerCell));
    }
    firstCell += times * cellRows * cellColumns;
  }
  const isSame = cellOrder.every((cell, i) => cell === i);
  const tables = rotaryTables(rows, columns, config);
  return {
    patchCount: rows.length,
    order: isSame
      ? undefined
      : Int32Array.from(
          rows,
          (_, i) => cellOrder[Math.floor(i / patchesPerCell)]! * patchesPerCell + (i % patchesPerCell),
        ),
    restore: isSame ? undefined : inverse(cellOrder),
    windows: divide(windows, tables, rows.length),
    slices: divide(slices, tables, rows.length),
  };
}

const span = (startCell: number, endCell: number, patchesPerCell: number): Span => ({
  start: startCell * patchesPerCell,
  length: (endCell - startCell) * patchesPerCell,
});

function inverse(order: ArrayLike<number>): Int32Array {
  const out = new Int32Array(order.length);
  for (let i = 0; i < order.length; i++) out[order[i]!] = i;
  return out;
}

interface Tables {
  readonly width: number;
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** Angles of every patch: first the row's, then the column's, each at 10000^(-4j/headWidth), j = 0 … headWidth/4-1. */
function rotaryTables(rows: readonly number[], columns: readonly number[], config: QwenVisionConfig): Tables {
  const quarter = config.hiddenSize / config.headCount / 4;
  const width = 2 * quarter;
  const cos = new Float32Array(rows.length * width);
  const sin = new Float32Array(rows.length * width);
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < quarter; j++) {
      const frequency = THETA ** (-j / quarter);
      for (const [offset, place] of [
        [j, rows[i]!],
        [quarter + j, columns[i]!],
      ] as const) {
        cos[i * width + offset] = Math.cos(place * frequency);
        sin[i * width + offset] = Math.sin(place * frequency);
      }
    }
  }
  return { width, cos, sin };
}

/** Puts windows of equal size together. */
function divide(spans: readonly Span[], tables: Tables, patchCount: number): WindowDivision {
  const bySize = new Map<number, Span[]>();
  for (const one of spans) bySize.set(one.length, [...(bySize.get(one.length) ?? []), one]);
  const isSingle = bySize.size === 1;
  const groups = [...bySize].map(([length, members]): WindowGroup => {
    const rows = Int32Array.from(members.flatMap(({ start }) => Array.from({ length }, (_, i) => start + i)));
    return {
      length,
      count: members.length,
      rows: isSingle ? undefined : rows,
      cos: groupTable(tables.cos, members, tables.width),
      sin: groupTable(tables.sin, members, tables.width),
    };
  });
  const restore = isSingle
    ? undefined
    : inverse(Int32Array.from(groups.flatMap((group) => [...(group.rows ?? [])])));
  if (restore && restore.length !== patchCount)
    throw new RangeError("internal: windows do not cover all patches");
  return { groups, restore };
}

/** The tables of several windows, or one table where all are equal (windows of whole slices). */
function groupTable(table: Float32Array, members: readonly Span[], width: number): NdArray {
  const parts = members.map(({ start, length }) => table.subarray(start * width, (start + length) * width));
  const first = parts[0]!;
  const isShared = parts.every((part) => part.every((value, i) => value === first[i]));
  const used = isShared ? [first] : parts;
  const data = new Float32Array(used.length * first.length);
  used.forEach((part, i) => {
    data.set(part, i * first.length);
  });
  return f32(data, [used.length, first.length / width, width]);
}
