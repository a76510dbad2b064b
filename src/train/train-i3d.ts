/**
 * Training of a reduced I3D on the playroom's events (Carreira & Zisserman, arXiv 1705.07750): the network whose features
 * the Fréchet video distance compares. The released one knows 400 classes of filmed people, which drawings are not.
 *
 * Classes are `family:event`, the wrong events of a situation included, because generated videos show those too. Batch
 * norms keep the statistics that were measured at the start (`i3d-statistics.ts`) and learn scale and shift alone: batches
 * are too small here for statistics of their own, and the distance needs fixed ones anyway.
 * @module
 */
import { z } from "zod";
import { fold, integer, type Key } from "../base/keys.ts";
import type { I3dJson } from "../metrics/index.ts";
import { i3dModel } from "../metrics/index.ts";
import { i3d, initI3d } from "../models/i3d/index.ts";
import { compileTrainStep, Params } from "../nn/index.ts";
import { compile, type Feeds } from "../runtime/index.ts";
import { crossEntropy, f32, i32, input, mean, type NdArray } from "../tensor/index.ts";
import { ANSWER_FRAMES, candidates, sampleForSeed, WORLD_SIZE, type WorldSample } from "../world/index.ts";
import { measureStatistics } from "./i3d-statistics.ts";
import { firstValues, initFile } from "./initial-weights.ts";
import { optimizerOf } from "./optimizers.ts";
import type { PrepareTask } from "./task.ts";
import { throughVideo } from "./through-video.ts";
import { copyWindow, drawSample, heldOutSamples, stepKey } from "./world-batches.ts";

const sizesSchema = z.strictObject({
  /** Name of the weights in reports of the distance. */
  name: z.string().default("playroom-i3d"),
  stem: z.int().positive().default(16),
  second: z.int().positive().default(32),
  /** Channels of the four branches' ends in the first block; the second block has twice as many. */
  branch: z.int().positive().default(16),
});

const settingsSchema = z.strictObject({
  /** Held-out samples of whose candidates the accuracy is measured. */
  heldOut: z.int().positive().default(64),
});

/** Seeds that are looked through for event names; every event comes up about twenty times among them. */
const CLASS_SEEDS = 800;

let classes: readonly string[] | undefined;

const className = (sample: WorldSample, event: string): string => `${sample.family}:${event}`;

/** All `family:event` of the world that can be seen in an answer, right or wrong, sorted. */
export function eventClasses(): readonly string[] {
  classes ??= [
    ...new Set(
      Array.from({ length: CLASS_SEEDS }, (_, seed) => sampleForSeed(seed)).flatMap((sample) =>
        candidates(sample).map(({ event }) => className(sample, event)),
      ),
    ),
  ].sort();
  return classes;
}

/**
 * `config.json` of the playroom's I3D: the released layers with fewer blocks and channels, for 17 frames of 64×64.
 * Positions: 9×32×32, 9×16×16, 9×8×8, 5×4×4.
 */
export function playroomI3dJson(sizes: Readonly<Record<string, unknown>>): I3dJson {
  const { name, stem, second, branch } = sizesSchema.parse(sizes);
  const mixed = (n: number): [number, number, number, number, number, number] => [
    n,
    n,
    2 * n,
    Math.ceil(n / 4),
    Math.ceil(n / 2),
    Math.ceil(n / 2),
  ];
  return {
    model_type: "i3d",
    name,
    image_size: WORLD_SIZE,
    num_frames: ANSWER_FRAMES,
    batch_norm_eps: 1e-3,
    average_kernel: [2, 4, 4],
    classes: [...eventClasses()],
    stages: [
      { kind: "unit", name: "Conv3d_1a_7x7", channels: stem, kernel: [3, 5, 5], stride: [2, 2, 2] },
      { kind: "pool", name: "MaxPool3d_2a_3x3", kernel: [1, 3, 3], stride: [1, 2, 2] },
      { kind: "unit", name: "Conv3d_2c_3x3", channels: second, kernel: [3, 3, 3], stride: [1, 1, 1] },
      { kind: "pool", name: "MaxPool3d_3a_3x3", kernel: [1, 3, 3], stride: [1, 2, 2] },
      { kind: "mixed", name: "Mixed_3b", channels: mixed(branch) },
      { kind: "pool", name: "MaxPool3d_4a_3x3", kernel: [3, 3, 3], stride: [2, 2, 2] },
      { kind: "mixed", name: "Mixed_4b", channels: mixed(2 * branch) },
    ],
  };
}

/** The classifier's weights. */
const HEAD = "logits.conv3d.weight";

const isStatistic = (name: string): boolean => /\.running_(mean|var)$/.test(name);

/** True where a file has everything that the network asks for. */
const isComplete = (given: Readonly<Record<string, NdArray>>, names: Iterable<string>): boolean =>
  [...names].every((name) => given[name] !== undefined);

/** A clip of a batch: a sample and which of its candidates. */
type Pick = readonly [sample: WorldSample, event: number];

/** Prepares the task `i3d`. */
export const prepareI3d: PrepareTask = async (recipe, context) => {
  const settings = settingsSchema.parse(recipe.settings);
  const { config, classes: names } = i3dModel(playroomI3dJson(recipe.model));
  const classOf = new Map(names.map((name, i) => [name, i]));
  const { batch: rows } = recipe;
  const all = new Params();
  const videos = input("videos", [rows, 3, ANSWER_FRAMES, WORLD_SIZE, WORLD_SIZE]);
  const labels = input("labels", [rows], "i32");
  const { logits } = i3d(all, config, videos);
  const fresh = initI3d(config, stepKey(recipe.seed, 0, "i3d-init"));
  const head = fresh[HEAD]!;
  // A guess among all classes at first; He's deviation would make it a confident one.
  fresh[HEAD] = f32(new Float32Array(head.data.length), head.shape);
  const params = new Map([...all.tensors].filter(([name]) => !isStatistic(name)));
  const feedsOf = (picks: readonly Pick[]): Feeds & { readonly labels: NdArray } => {
    const window = { frame: 0, frames: ANSWER_FRAMES, top: 0, left: 0, size: WORLD_SIZE, mirrored: false };
    const size = 3 * ANSWER_FRAMES * WORLD_SIZE * WORLD_SIZE;
    const pixels = new Float32Array(picks.length * size);
    const known = picks.map(([sample, at], i) => {
      const event = candidates(sample)[at]!;
      copyWindow(throughVideo(event.render()), window, pixels, i * size);
      return classOf.get(className(sample, event.event))!;
    });
    return {
      videos: f32(pixels, [picks.length, ...videos.shape.slice(1)]),
      labels: i32(known, [picks.length]),
    };
  };
  const pickOf = (sample: WorldSample, key: Key): Pick => [
    sample,
    integer(fold(key, "event"), candidates(sample).length),
  ];
  const drawnPicks = (root: Key): Pick[] =>
    Array.from({ length: rows }, (_, n) => pickOf(drawSample(fold(root, n)), fold(root, n)));
  const given = await initFile(recipe, context, "i3d");
  const statistics =
    given && isComplete(given, all.tensors.keys())
      ? Object.fromEntries(Object.entries(given).filter(([name]) => isStatistic(name)))
      : await measureStatistics(
          config,
          fresh,
          feedsOf(drawnPicks(stepKey(recipe.seed, 0, "i3d-statistics")))["videos"]!,
          recipe.threads,
        );
  const weightsWith = (trained: Readonly<Record<string, NdArray>>) => ({
    weight: (name: string) => trained[name] ?? statistics[name],
  });
  const step = await compileTrainStep(
    {
      loss: mean(crossEntropy(logits, labels)),
      params,
      optimizer: optimizerOf(recipe, (name, tensor) => tensor.rank > 1 && !name.startsWith("logits.")),
      clipNorm: recipe.optimizer.clipNorm,
      ema: true,
    },
    firstValues(params, context, given, fresh),
    { threads: recipe.threads, stepCount: context.resumed?.step ?? 0, weights: weightsWith({}) },
  );
  return {
    step,
    batch: async (at) => feedsOf(drawnPicks(stepKey(recipe.seed, at, "i3d-batch"))),
    // How often a held-out clip is given its own class, the right events and the wrong ones alike.
    evaluate: async (weights) => {
      const exe = await compile({ logits }, { threads: recipe.threads, weights: weightsWith(weights) });
      const rounds = Math.ceil(settings.heldOut / rows);
      const samples = heldOutSamples(rounds * rows);
      let right = 0;
      for (let r = 0; r < rounds; r++) {
        const chunk = samples.slice(r * rows, (r + 1) * rows);
        const feeds = feedsOf(
          chunk.map((sample, n) => pickOf(sample, stepKey(0, r * rows + n, "i3d-held-out"))),
        );
        const { data } = (await exe.run({ videos: feeds["videos"]! }))["logits"]!;
        for (let n = 0; n < rows; n++) {
          const row = Array.from(data.subarray(n * names.length, (n + 1) * names.length));
          if (row.indexOf(Math.max(...row)) === feeds.labels.data[n]) right++;
        }
      }
      await exe.release();
      return { eventClassAccuracy: right / (rounds * rows) };
    },
    exported: (weights) => ({ ...weights, ...statistics }),
  };
};
