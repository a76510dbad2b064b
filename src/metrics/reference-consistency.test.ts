/** Reference consistency on hand-made scenes and on the playroom. @module */
import { describe, expect, it } from "vitest";
import type { Clip } from "../media/clip.ts";
import { sampleForSeed } from "../world/index.ts";
import { KEPT_LEVELS, KEPT_SHARE, referenceVerdict } from "./reference-consistency.ts";

/** Frames of `size`×`size` whose left `columns` columns have one level and the others another. */
function split(
  size: number,
  ...frames: readonly (readonly [columns: number, left: number, right: number])[]
): Clip {
  const rgb = frames.flatMap(([columns, left, right]) =>
    Array.from({ length: size * size }, (_, i) => (i % size < columns ? left : right)).flatMap((v) => [
      v,
      v,
      v,
    ]),
  );
  return { frameCount: frames.length, height: size, width: size, frameRateHz: 8, rgb: Uint8Array.from(rgb) };
}

describe("referenceVerdict", () => {
  it("keeps a scene that stays, up to noise", () => {
    const input = split(16, [8, 0, 0], [8, 100, 200]);
    expect(referenceVerdict(input, split(16, [8, 100, 200]))).toEqual({
      keptShare: 1,
      perFrame: [1],
      isKept: true,
    });
    expect(referenceVerdict(input, split(16, [8, 100 + KEPT_LEVELS, 200])).keptShare).toBe(1);
    expect(referenceVerdict(input, split(16, [8, 105, 200])).isKept).toBe(true);
  });

  it("looks at the last input frame, and at every answer frame", () => {
    const input = split(16, [8, 0, 0], [8, 100, 200]);
    const verdict = referenceVerdict(input, split(16, [8, 100, 200], [8, 0, 0], [8, 0, 0]));
    expect(verdict).toEqual({ keptShare: 1 / 3, perFrame: [1, 0, 0], isKept: false });
  });

  it("counts the pixels that change", () => {
    // Columns 0 … 7 turn dark; the average over 5 pixels also changes for columns 8 and 9.
    const verdict = referenceVerdict(split(16, [8, 200, 200]), split(16, [8, 0, 200]));
    expect(verdict.keptShare).toBe(6 / 16);
    expect(verdict.isKept).toBe(6 / 16 >= KEPT_SHARE);
  });

  it("one changed channel is enough", () => {
    const input = split(4, [0, 100, 100]);
    const red = { ...input, rgb: input.rgb.map((value, i) => (i % 3 === 0 ? 200 : value)) };
    expect(referenceVerdict(input, red).keptShare).toBe(0);
  });

  it("refuses other sizes and empty clips", () => {
    const shape = expect.objectContaining({ code: "VANS_METRICS_SHAPE" });
    expect(() => referenceVerdict(split(4, [0, 1, 1]), split(8, [0, 1, 1]))).toThrow(shape);
    expect(() => referenceVerdict(split(4, [0, 1, 1]), split(4))).toThrow(shape);
  });

  it("keeps true answers of the playroom and refuses those before another backdrop", () => {
    // 700101 is the hardest: a glass spills its water over the floor.
    const samples = [700_101, 700_102, 700_103, 700_104, 700_106].map(sampleForSeed);
    for (const sample of samples) {
      expect(referenceVerdict(sample.input, sample.output).isKept, sample.id).toBe(true);
      for (const stranger of samples) {
        if (stranger.scene.backdrop === sample.scene.backdrop) continue;
        expect(referenceVerdict(sample.input, stranger.output).isKept, stranger.id).toBe(false);
      }
    }
    expect(new Set(samples.map(({ scene }) => scene.backdrop)).size).toBeGreaterThan(1);
  });
});
