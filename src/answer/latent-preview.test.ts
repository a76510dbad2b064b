/** The preview finds a linear relation between latents and colours where there is one. @module */
import { expect, it } from "vitest";
import { keyFromSeed, uniform } from "../base/keys.ts";
import { f32 } from "../tensor/index.ts";
import { fitLatentPreview } from "./latent-preview.ts";

it("recovers colours that depend linearly on the latents", () => {
  const [channels, frames, rows, columns] = [4, 3, 4, 4];
  const cells = frames * rows * columns;
  const values = uniform(keyFromSeed(1), channels * cells).map((u) => 2 * u - 1);
  const mix = [
    [0.3, -0.2, 0.1, 0.05],
    [0, 0.4, 0.1, -0.1],
    [-0.2, 0.1, 0.3, 0.2],
  ];
  // 9 frames of 32x32: latent frame k is frame 4k, a latent is 8x8 pixels of one colour.
  const clip = { frameCount: 9, height: 32, width: 32, frameRateHz: 8, rgb: new Uint8Array(9 * 32 * 32 * 3) };
  const expected = new Uint8Array(cells * 3);
  for (let cell = 0; cell < cells; cell++) {
    const [frame, y, x] = [Math.floor(cell / 16), Math.floor((cell % 16) / 4), cell % 4];
    mix.forEach((row, k) => {
      const value = row.reduce((sum, weight, c) => sum + weight * values[c * cells + cell]!, 0.1);
      const level = Math.round((value + 1) * 127.5);
      expected[cell * 3 + k] = level;
      for (let dy = 0; dy < 8; dy++)
        for (let dx = 0; dx < 8; dx++)
          clip.rgb[((4 * frame * 32 + 8 * y + dy) * 32 + 8 * x + dx) * 3 + k] = level;
    });
  }
  const latents = f32(values, [1, channels, frames, rows, columns]);
  const shown = fitLatentPreview(latents, clip)(latents);
  expect([shown.frameCount, shown.height, shown.width]).toEqual([3, 4, 4]);
  const worst = Math.max(...expected.map((level, i) => Math.abs(level - shown.rgb[i]!)));
  expect(worst).toBeLessThanOrEqual(2);
});
