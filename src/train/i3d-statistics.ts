/**
 * First running statistics of an I3D's batch norms, measured layer by layer on real clips, so that every layer starts
 * with inputs of mean 0 and deviation 1: data-dependent initialisation (Salimans & Kingma, arXiv 1602.07868).
 * @module
 */
import {
  type I3dConfig,
  type I3dMixedStage,
  type I3dStage,
  type I3dUnitStage,
  i3d,
} from "../models/i3d/index.ts";
import { Params } from "../nn/index.ts";
import { compile } from "../runtime/index.ts";
import { f32, input, type NdArray, type Tensor } from "../tensor/index.ts";

/** Lifts values above ReLU, so that they can be seen before it. */
const LIFT = 1000;
/** No layer is scaled up by more than one over the root of this. */
const LEAST_VARIANCE = 1e-4;

/** The stages that lead to each unit, the unit itself last; a branch of a block is a chain of stages of its own. */
function chainsTo(stages: readonly I3dStage[]): (readonly I3dStage[])[] {
  return stages.flatMap((stage, i) => {
    const before = stages.slice(0, i);
    if (stage.kind === "pool") return [];
    if (stage.kind === "unit") return [[...before, stage]];
    return branchesOf(stage).map((branch) => [...before, ...branch]);
  });
}

/** Chains of a block's units, under the names that they have in the checkpoint. */
function branchesOf({ name, channels: [a, b, c, d, e, f] }: I3dMixedStage): I3dStage[][] {
  const unit = (branch: string, channels: number, side: 1 | 3): I3dUnitStage => ({
    kind: "unit",
    name: `${name}.${branch}`,
    channels,
    kernel: [side, side, side],
    stride: [1, 1, 1],
  });
  const [b1a, b2a] = [unit("b1a", b, 1), unit("b2a", d, 1)];
  const pool: I3dStage = { kind: "pool", name: `${name}.b3a`, kernel: [3, 3, 3], stride: [1, 1, 1] };
  return [
    [unit("b0", a, 1)],
    [b1a],
    [b1a, unit("b1b", c, 3)],
    [b2a],
    [b2a, unit("b2b", e, 3)],
    [pool, unit("b3b", f, 1)],
  ];
}

/**
 * `running_mean` and `running_var` of every unit, by their names in the checkpoint.
 *
 * @param weights values of all parameters; scales and shifts of the norms should be 1 and 0
 * @param videos `[N, 3, T, H, W]` in [-1, 1]
 */
export async function measureStatistics(
  config: I3dConfig,
  weights: Readonly<Record<string, NdArray>>,
  videos: NdArray,
  threads: number,
): Promise<Record<string, NdArray>> {
  const measured: Record<string, NdArray> = {};
  for (const stages of chainsTo(config.stages)) {
    const { name, channels } = stages.at(-1) as I3dUnitStage;
    const vector = (value: number): NdArray => f32(new Float32Array(channels).fill(value), [channels]);
    const lifted: Record<string, NdArray> = {
      [`${name}.bn.bias`]: vector(LIFT),
      [`${name}.bn.running_var`]: vector(1 - config.epsilon),
    };
    let output: Tensor | undefined;
    // The rest of the network is traced but not asked for.
    const open: I3dConfig = { ...config, stages, averageKernel: [1, 1, 1], classCount: 1 };
    const probe = (stage: string, value: Tensor): void => {
      if (stage === name) output = value;
    };
    i3d(new Params(), open, input("videos", videos.shape), { probe });
    const exe = await compile(
      { output: output! },
      { threads, weights: { weight: (key) => lifted[key] ?? measured[key] ?? weights[key] } },
    );
    const { data, shape } = (await exe.run({ videos }))["output"]!;
    await exe.release();
    const { mean, variance } = channelMoments(data, shape[0]!, channels);
    measured[`${name}.bn.running_mean`] = f32(mean, [channels]);
    measured[`${name}.bn.running_var`] = f32(
      variance.map((value) => Math.max(value, LEAST_VARIANCE)),
      [channels],
    );
  }
  return measured;
}

/** Mean and variance of each channel of `[N, C, …]`, the lift taken off. */
function channelMoments(
  data: ArrayLike<number>,
  count: number,
  channels: number,
): { mean: Float32Array<ArrayBuffer>; variance: Float32Array<ArrayBuffer> } {
  const size = data.length / (count * channels);
  const mean = new Float64Array(channels);
  const square = new Float64Array(channels);
  for (let i = 0; i < data.length; i++) {
    const channel = Math.floor(i / size) % channels;
    const value = data[i]! - LIFT;
    mean[channel]! += value / (count * size);
    square[channel]! += (value * value) / (count * size);
  }
  return {
    mean: Float32Array.from(mean),
    variance: Float32Array.from(square, (value, channel) => value - mean[channel]! ** 2),
  };
}
