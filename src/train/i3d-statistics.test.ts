/** Measured statistics bring every unit, also those inside of blocks, to mean 0 and deviation 1. @module */
import { expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { type I3dConfig, i3d, initI3d, mixedStage, poolStage, unitStage } from "../models/i3d/index.ts";
import { Params } from "../nn/index.ts";
import { compile } from "../runtime/index.ts";
import { f32, input, type NdArray, type Tensor } from "../tensor/index.ts";
import { measureStatistics } from "./i3d-statistics.ts";

const config: I3dConfig = {
  stages: [
    unitStage("Conv3d_1a_7x7", 4, 3, 2),
    poolStage("MaxPool3d_2a_3x3", [1, 3, 3], [1, 2, 2]),
    mixedStage("Mixed_3b", [3, 2, 4, 2, 3, 2]),
  ],
  averageKernel: [1, 1, 1],
  classCount: 3,
  epsilon: 1e-3,
};
const LIFT = 20;

it("measures every unit behind the normalised ones before it", async () => {
  const weights: Record<string, NdArray> = { ...initI3d(config, keyFromSeed(5)) };
  const shape = [3, 3, 4, 16, 16];
  // Bright clips: without statistics their mean would run through all layers.
  const videos = f32(
    Float32Array.from(normal(fold(keyFromSeed(5), "videos"), 3 * 3 * 4 * 256), (z) => 0.7 + 0.2 * z),
    shape,
  );
  const statistics = await measureStatistics(config, weights, videos, 1);
  const expected = Object.keys(weights).filter((name) => name.includes("running_"));
  expect(Object.keys(statistics).sort()).toEqual(expected.sort());
  Object.assign(weights, statistics);
  for (const stage of ["Conv3d_1a_7x7", "Mixed_3b"]) {
    // Shifts of the stage's last units lift all values above ReLU.
    const lifted = (name: string): NdArray => {
      const isLast = name.startsWith(stage) && name.endsWith(".bn.bias") && !/b[12]a\./.test(name);
      const { data, shape: size } = weights[name]!;
      return isLast ? f32(new Float32Array(data.length).fill(LIFT), size) : weights[name]!;
    };
    let output: Tensor | undefined;
    const probe = (name: string, value: Tensor): void => {
      if (name === stage) output = value;
    };
    i3d(new Params(), config, input("videos", shape), { probe });
    const exe = await compile({ output: output! }, { threads: 1, weights: { weight: lifted } });
    const { data, shape: found } = (await exe.run({ videos }))["output"]!;
    await exe.release();
    const channels = found[1]!;
    const size = data.length / (found[0]! * channels);
    for (let channel = 0; channel < channels; channel++) {
      const values = Array.from(data).filter((_, i) => Math.floor(i / size) % channels === channel);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      expect(mean).toBeCloseTo(LIFT, 3);
      expect(variance).toBeCloseTo(1, 1);
    }
  }
});
