import { describe, expect, it } from "vitest";
import { tinyQwen } from "../../../test/models/tiny-qwen.ts";
import { type PositionOptions, padRows, positionIds } from "./index.ts";

const VIDEO = tinyQwen.videoTokenId;
const IMAGE = tinyQwen.imageTokenId;

function columns(ids: readonly number[], options: PositionOptions, length?: number): number[][] {
  const rows = padRows([ids], { side: "left", padTokenId: 0, length });
  const { data } = positionIds(rows, tinyQwen, options).ids;
  const width = rows.ids.shape[1]!;
  return Array.from({ length: width }, (_, i) => [data[i]!, data[width + i]!, data[2 * width + i]!]);
}

describe("position ids", () => {
  it("count text on all axes and a video by slice, row and column", () => {
    const ids = [7, ...Array<number>(4).fill(VIDEO), 8];
    expect(columns(ids, { grids: [[2, 2, 4]] })).toEqual([
      [0, 0, 0],
      [1, 1, 1],
      [1, 1, 2],
      [3, 1, 1],
      [3, 1, 2],
      [4, 4, 4],
    ]);
  });

  it("go on after a long video as the chosen version does", () => {
    const ids = [7, ...Array<number>(6).fill(VIDEO), 8];
    const next = (options: Partial<PositionOptions>) => columns(ids, { grids: [[3, 2, 4]], ...options })[7];
    // Two ids a slice: the last slice has id 1 + 4; the grid is 1 by 2 cells.
    expect(next({})).toEqual([6, 6, 6]);
    expect(next({ rule: "transformers-4.57" })).toEqual([6, 6, 6]);
    expect(next({ rule: "transformers-5" })).toEqual([3, 3, 3]);
    // Half a second a slice: one id a slice, or none where seconds are cut to whole numbers.
    expect(next({ secondsPerSlice: 0.5 })).toEqual([4, 4, 4]);
    expect(next({ secondsPerSlice: 0.5, rule: "transformers-4.57" })).toEqual([3, 3, 3]);
  });

  it("do not depend on padding, and images have no time", () => {
    const ids = [IMAGE, IMAGE, 8, 9];
    const bare = columns(ids, { grids: [[1, 2, 4]], secondsPerSlice: 3 });
    expect(bare[1]).toEqual([0, 0, 1]);
    expect(columns(ids, { grids: [[1, 2, 4]] }, 7).slice(3)).toEqual(bare);
    expect(columns(ids, { grids: [[1, 2, 4]] }, 7)[0]).toEqual([1, 1, 1]);
  });

  it("tell how far decoding is from the token count", () => {
    const rows = padRows([[7, VIDEO, VIDEO, VIDEO, VIDEO, 8], [7]], { side: "left", padTokenId: 0 });
    expect([...positionIds(rows, tinyQwen, { grids: [[1, 4, 4]] }).deltas]).toEqual([4 - 6, 0]);
  });

  it("refuse video tokens that do not fit the grids", () => {
    expect(() => columns([VIDEO, VIDEO, 3], { grids: [[1, 4, 4]] })).toThrow(/4 tokens[\s\S]*2 tokens/);
    expect(() => columns([VIDEO, 3], { grids: [] })).toThrow(/no video/);
    expect(() => columns([3], { grids: [[1, 2, 2]] })).toThrow(/1 tokens[\s\S]*0 tokens/);
    expect(() => padRows([[1, 2, 3]], { side: "left", padTokenId: 0, length: 2 })).toThrow(/at most 2/);
  });
});
