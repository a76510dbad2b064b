import { expect, it } from "vitest";
import { patchify } from "./index.ts";

const layout = { patchSize: 2, temporalPatchSize: 2, mergeSize: 2 };

function frames(frameCount: number, height: number, width: number) {
  const rgb = Uint8Array.from({ length: frameCount * height * width * 3 }, (_, i) => (i * 37) % 256);
  return { frameCount, height, width, rgb };
}

it("puts every pixel where the merge-cell order says", () => {
  const video = frames(4, 8, 12);
  const { patches, grid } = patchify(video, layout);
  expect(grid).toEqual([2, 4, 6]);
  // Patch 9 of slice 1: cell 2 (row 0, column 2 of 2×3 cells), place 1 (row 0, column 1): patch row 0, column 5.
  const row = 24 + 9;
  const value = (channel: number, frame: number, y: number, x: number) =>
    patches.data[row * 24 + ((channel * 2 + frame) * 2 + y) * 2 + x]!;
  const level = (frame: number, y: number, x: number, channel: number) =>
    video.rgb[((frame * 8 + y) * 12 + x) * 3 + channel]!;
  expect(value(0, 0, 0, 0)).toBeCloseTo((level(2, 0, 10, 0) / 255 - 0.48145466) / 0.26862954, 5);
  expect(value(2, 1, 1, 0)).toBeCloseTo((level(3, 1, 10, 2) / 255 - 0.40821073) / 0.27577711, 5);
});

it("repeats the last frame to fill a time slice", () => {
  const three = frames(3, 4, 4);
  const four = { ...three, frameCount: 4, rgb: new Uint8Array(4 * 48) };
  four.rgb.set(three.rgb);
  four.rgb.set(three.rgb.subarray(96, 144), 144);
  expect(patchify(three, layout).patches.data).toEqual(patchify(four, layout).patches.data);
});

it("refuses sides that cannot be cut", () => {
  expect(() => patchify(frames(2, 6, 4), layout)).toThrow(/multiples of 4[\s\S]*4×6/);
  expect(() => patchify(frames(0, 4, 4), layout)).toThrow(/0 frames/);
});
