import fc from "fast-check";
import { expect, it } from "vitest";
import { f32 } from "../../tensor/index.ts";
import { cutTile, TileBlend, type Tiling, tilesOf, VANS_TILING } from "./vae-tiled.ts";

const tilings = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
  .map(([a, b]) => [Math.max(a, b), Math.min(a, b)] as const)
  .chain((rows) => fc.tuple(fc.constant(rows), fc.constant([rows[0] + 1, rows[1]] as const)))
  .map(([rows, columns]): Tiling => ({ size: [rows[0], columns[0]], stride: [rows[1], columns[1]] }));

it("cuts the released pipeline's frame into 2x3 tiles", () => {
  const tiles = tilesOf(44, 80, VANS_TILING);
  expect(tiles.map((tile) => tile.start)).toEqual([
    [0, 0],
    [0, 26],
    [0, 52],
    [15, 0],
    [15, 26],
    [15, 52],
  ]);
  expect(tiles.at(-1)!.end).toEqual([44, 80]);
});

it("puts cut tiles together again, whatever the tiling", () => {
  fc.assert(
    fc.property(
      tilings,
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 20 }),
      (tiling, height, width) => {
        const shape = [1, 2, 2, height * 2, width * 2];
        const clip = f32(
          Float32Array.from({ length: 16 * height * width }, (_, i) => Math.sin(i)),
          shape,
        );
        const blend = new TileBlend(height, width, tiling, 2);
        for (const tile of tilesOf(height, width, tiling)) blend.add(tile, cutTile(clip, tile, 2));
        const back = blend.finish();
        expect(back.shape).toEqual(shape);
        for (let i = 0; i < clip.data.length; i++)
          expect(Math.abs(back.data[i]! - clip.data[i]!)).toBeLessThan(1e-6);
      },
    ),
    { numRuns: 40 },
  );
});

it("refuses tiles with gaps", () => {
  expect(() => tilesOf(8, 8, { size: [4, 4], stride: [5, 4] })).toThrow(/do not cover/);
});
