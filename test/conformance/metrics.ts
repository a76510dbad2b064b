/**
 * Golden case of metrics: text scores, Fréchet distance, and a reduced I3D.
 * @module
 */
import { runTextMetricsCase } from "../../src/metrics/conformance.ts";
import {
  type I3dConfig,
  type I3dStage,
  i3d,
  type MixedChannels,
  mixedStage,
  poolStage,
  unitStage,
} from "../../src/models/i3d/index.ts";
import { Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import { f32, input, type NdArray, type Tensor } from "../../src/tensor/index.ts";
import { openCase } from "../../src/weights/case-folder.ts";
import { type CaseHandler, type Check, checkRelative, type GoldenCase } from "./case.ts";

export const metrics: CaseHandler = {
  title: "metrics",
  recognises: (golden) =>
    golden.listing.includes("text_pairs.json") ||
    golden.listing.includes("frechet.json") ||
    golden.hasConfig("reduced_i3d"),
  async run(golden) {
    return [...(await textChecks(golden)), ...(await i3dChecks(golden))];
  },
};

/** The runner of texts and features stands beside the metrics; what it used counts as used here. */
async function textChecks(golden: GoldenCase): Promise<Check[]> {
  const opened = await openCase(golden.folder);
  const checks = await runTextMetricsCase(golden.folder, opened);
  const unused = new Set(opened.unused());
  for (const name of golden.io.names()) if (!unused.has(name)) golden.io.get(name);
  return checks;
}

interface ReducedJson {
  readonly stem: number;
  readonly c1: number;
  readonly c3: number;
  readonly mix: readonly MixedChannels[];
  readonly num_classes: number;
}

/** The reduced network of the case: the released one with fewer blocks and channels. */
function reducedConfig(golden: GoldenCase): I3dConfig {
  const { stem, c1, c3, mix, num_classes } = golden.config<ReducedJson>("reduced_i3d");
  const pools = [
    poolStage("MaxPool3d_4a_3x3", [3, 3, 3], [2, 2, 2]),
    poolStage("MaxPool3d_5a_2x2", [2, 2, 2], [2, 2, 2]),
  ];
  const blocks = mix.flatMap((channels, i): I3dStage[] => [
    mixedStage(`Mixed_${i + 3}b`, channels),
    ...pools.slice(i, i + 1),
  ]);
  return {
    stages: [
      unitStage("Conv3d_1a_7x7", stem, 7, 2),
      poolStage("MaxPool3d_2a_3x3", [1, 3, 3], [1, 2, 2]),
      unitStage("Conv3d_2b_1x1", c1, 1),
      unitStage("Conv3d_2c_3x3", c3, 3),
      poolStage("MaxPool3d_3a_3x3", [1, 3, 3], [1, 2, 2]),
      ...blocks,
    ],
    averageKernel: [2, 7, 7],
    classCount: num_classes,
    epsilon: golden.config("batch_norm_eps"),
  };
}

async function i3dChecks(golden: GoldenCase): Promise<Check[]> {
  if (!golden.hasConfig("reduced_i3d")) return [];
  const config = reducedConfig(golden);
  const weights = golden.file("weights_i3d.safetensors");
  // A counter of training steps that evaluation never reads.
  for (const name of weights.names()) if (name.endsWith(".num_batches_tracked")) weights.get(name);
  const checks: Check[] = [];
  for (const key of golden.io.names()) {
    const prefix = /^(i3d\..+\.)video$/.exec(key)?.[1];
    if (prefix === undefined) continue;
    const videos = repeatedPixels(golden.io.get(key));
    const outputs: Record<string, Tensor> = {};
    const probe = (stage: string, value: Tensor): void => {
      if (golden.io.has(`${prefix}${stage}`) || golden.io.has(`${prefix}${stage}.corner`))
        outputs[stage] = value;
    };
    const { pooled, logits } = i3d(new Params(), config, input("videos", videos.shape), { probe });
    const graph = await compile({ ...outputs, pooled, logits }, { weights: weights.binding() });
    const results = await graph.run({ videos });
    await graph.release();
    for (const [stage, value] of Object.entries(results))
      checks.push(...stageChecks(golden, `${prefix}${stage}`, value));
  }
  return checks;
}

// "every pixel repeated 4 x 4"
const REPEAT = 4;

/** Levels `[T, 3, H, W]` as the network's input `[1, 3, T, 4H, 4W]` in [-1, 1]. */
function repeatedPixels({ data, shape }: NdArray): NdArray {
  const [frames, channels, height, width] = shape as [number, number, number, number];
  const [rows, columns] = [height * REPEAT, width * REPEAT];
  const out = new Float32Array(frames * channels * rows * columns);
  let at = 0;
  for (let channel = 0; channel < channels; channel++)
    for (let frame = 0; frame < frames; frame++)
      for (let y = 0; y < rows; y++) {
        const line = ((frame * channels + channel) * height + Math.floor(y / REPEAT)) * width;
        for (let x = 0; x < columns; x++)
          out[at++] = (Math.fround(data[line + Math.floor(x / REPEAT)]! / 255) - 0.5) * 2;
      }
  return f32(out, [1, channels, frames, rows, columns]);
}

/** A stage as a whole, by the means of its channels and by its corner, whichever the case has. */
function stageChecks(golden: GoldenCase, name: string, value: NdArray): Check[] {
  const { io } = golden;
  const tolerance = golden.tolerance("i3d_relative_to_abs_max");
  const checks: Check[] = [];
  const compare = (key: string, actual: () => NdArray): void => {
    if (io.has(key)) checks.push(checkRelative(key, actual(), io.get(key), tolerance));
  };
  compare(name, () => value);
  compare(`${name}.channel_mean`, () => channelMeans(value));
  compare(`${name}.corner`, () => corner(value, io.get(`${name}.corner`).shape));
  return checks;
}

function channelMeans({ data, shape }: NdArray): NdArray {
  const channels = shape[1]!;
  const size = data.length / channels;
  return f32(
    Float32Array.from({ length: channels }, (_, channel) => {
      let total = 0;
      for (let i = 0; i < size; i++) total += data[channel * size + i]!;
      return total / size;
    }),
  );
}

/** The first rows and columns of `[1, C, T, H, W]`, as the golden `[C, T, h, w]` has them. */
function corner({ data, shape }: NdArray, golden: readonly number[]): NdArray {
  const [, channels, frames, height, width] = shape as [number, number, number, number, number];
  const [, , rows, columns] = golden as [number, number, number, number];
  const out: number[] = [];
  for (let plane = 0; plane < channels * frames; plane++)
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++) out.push(data[(plane * height + y) * width + x]!);
  return f32(out);
}
