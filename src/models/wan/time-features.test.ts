import { expect, it } from "vitest";
import { compile } from "../../runtime/index.ts";
import { f32, input } from "../../tensor/index.ts";
import { timeFeatures } from "./time-features.ts";

it("is exact to f32 for every timestep up to 1000", async () => {
  const width = 256;
  const timesteps = Float32Array.from({ length: 512 }, (_, i) =>
    i === 0 ? 1000 : 1000 * ((i * 0.61803398875) % 1),
  );
  const graph = await compile({ y: timeFeatures(input("t", [timesteps.length]), width) });
  const { y } = await graph.run({ t: f32(timesteps) });
  await graph.release();
  let worst = 0;
  timesteps.forEach((t, row) => {
    for (let i = 0; i < width / 2; i++) {
      const angle = t * 10000 ** (-i / (width / 2));
      worst = Math.max(
        worst,
        Math.abs(y!.data[row * width + i]! - Math.cos(angle)),
        Math.abs(y!.data[row * width + width / 2 + i]! - Math.sin(angle)),
      );
    }
  });
  expect(worst).toBeLessThan(1e-6);
});
