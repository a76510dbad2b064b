/** Stage 2 on the playroom suite with two videos a group and three steps a rollout. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadSuite } from "../answer/index.ts";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { initDit } from "../models/wan/index.ts";
import { f32, type NdArray, sizeOf } from "../tensor/index.ts";
import { readSafetensors } from "../weights/index.ts";
import { greedyCaptions } from "./anchors.ts";
import { adaptersOff, CaptionPolicy, isAdapterName } from "./caption-policy.ts";
import { isVideoModelName } from "./joint-grpo-all-in-one.ts";
import { prepareJointGrpo2 } from "./joint-grpo-stage-2.ts";
import { parseRecipe, type Recipe } from "./recipe.ts";
import { readCheckpoint, runTraining, type TrainEvent } from "./run.ts";
import { VideoPolicy } from "./video-policy.ts";
import { heldOutSamples } from "./world-batches.ts";

const tiny = parseRecipe(
  `
name: tiny-stage-2
task: joint-grpo-2
seed: 4
steps: 2
batch: 1
settings:
  suite: playroom-sft
  group: 2
  rows: 2
  rolloutSteps: 3
  rewards: { clip-video: 1, clip-score: 1 }
  anchorRougeL: 0.05
  loraRank: 2
  loraAlpha: 4
  guidanceScale: 1
  clipEveryFrames: 8
  heldOut: 0
  replayCheckEvery: 1
optimizer: { rate: { peak: 0.001, warmupSteps: 0 }, beta2: 0.999, emaDecay: 0.9 }
logEvery: 1
checkpointEvery: 1
sheetEvery: 1000
threads: 1
`,
  "tiny",
);

let folder: string;
let whole: TrainEvent[];

async function run(
  recipe: Recipe,
  name: string,
  options: { resume?: boolean; untilStep?: number } = {},
): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of runTraining(recipe, prepareJointGrpo2, {
    runFolder: join(folder, name),
    ...options,
  }))
    events.push(event);
  return events;
}

const metricsOf = (events: readonly TrainEvent[]): Readonly<Record<string, number>>[] =>
  events.flatMap((event) => (event.type === "step" ? [event.metrics] : []));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-stage-2-"));
  whole = await run(tiny, "whole");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("replays every trained step with a log-ratio of bitwise 0, and has a gradient", () => {
  const [first, second] = metricsOf(whole);
  expect(first!["log_ratio/max"]).toBe(0);
  expect(first!["kl"]).toBe(0);
  expect(first!["clip_ratio/region_mean"]).toBe(0);
  expect(Math.abs(first!["loss"]!)).toBeLessThan(1e-6);
  expect(first!["grad_norm"]).toBeGreaterThan(1e-4);
  expect(second!["log_ratio/max"]).toBe(0);
  expect(second!["kl"]).toBeGreaterThan(0);
  // All steps but the last are trained and reported one by one.
  for (const index of [0, 1])
    for (const name of ["log_ratio/mean", "log_ratio/std", "kl", "clip_ratio"])
      expect(first).toHaveProperty([`${name}/step_${index}`], expect.any(Number));
  expect(first).not.toHaveProperty(["kl/step_2"]);
});

it("logs rewards and anchors", () => {
  const [first] = metricsOf(whole);
  expect(first!["rewards/clip-video/mean"]).toBeGreaterThan(0.3);
  expect(first!["reward_std"]).toBeGreaterThan(0);
  expect(first!["anchors/rougeL"]).toBeGreaterThanOrEqual(0.05);
});

it("trains exactly the adapters of the attention layers", async () => {
  const { state } = await readCheckpoint(join(folder, "whole", "checkpoint.safetensors"));
  const names = Object.keys(state).filter((name) => !name.includes(":"));
  expect(names).toHaveLength(6 * 2 * 4 * 2);
  expect(names.every((name) => isAdapterName(name) && /(self|cross)_attn\.[qkvo]\./.test(name))).toBe(true);
});

it("continues a stopped run to the same numbers, bit for bit", async () => {
  await run(tiny, "parts", { untilStep: 1 });
  await run(tiny, "parts", { resume: true });
  for (const file of ["checkpoint.safetensors", "weights.safetensors", "log.jsonl"])
    expect(
      (await readFile(join(folder, "parts", file))).equals(await readFile(join(folder, "whole", file))),
      file,
    ).toBe(true);
});

it("a second update on one rollout has ratios of its own, and a window trains its steps alone", async () => {
  const settings = {
    ...tiny.settings,
    updatesPerRollout: 2,
    window: { size: 1, below: 1 },
    stepWeights: "inverse-lambda",
    ratio: "unbiased",
    scheme: "exact-wan",
  };
  const [metrics] = metricsOf(await run({ ...tiny, steps: 1, settings }, "twice"));
  expect(metrics!["log_ratio/max"]).toBeGreaterThan(0);
  expect(metrics).toHaveProperty(["kl/step_0"], expect.any(Number));
  expect(metrics).not.toHaveProperty(["kl/step_1"]);
});

it("an update whose videos all get the same reward is skipped", async () => {
  const settings = { ...tiny.settings, rewards: { "caption-event": 1 }, captions: "reference" };
  const [metrics] = metricsOf(await run({ ...tiny, steps: 1, settings }, "flat"));
  // All videos are drawn from one caption, so what looks at captions alone cannot tell them apart.
  expect(metrics).toMatchObject({ frac_reward_zero_std: 1, skipped: 1, loss: 0 });
  expect(metrics).not.toHaveProperty("grad_norm");
  const { optimizerSteps } = await readCheckpoint(join(folder, "flat", "checkpoint.safetensors"));
  expect(optimizerSteps).toBe(0);
});

it("on its own, from reference captions, it leaves the text as it was", async () => {
  const suite = await loadSuite("playroom-sft");
  const samples = heldOutSamples(2);
  const writer = await CaptionPolicy.open(suite, { threads: 1 });
  const before = await greedyCaptions(writer, samples, 64);
  const settings = { ...tiny.settings, captions: "reference" };
  const [metrics] = metricsOf(await run({ ...tiny, steps: 1, settings }, "alone"));
  expect(metrics!["anchors/rougeL"]).toBe(1);
  expect(metrics!["grad_norm"]).toBeGreaterThan(0);
  // What it made has nothing for the language model, which therefore answers as before.
  const made = await readSafetensors(join(folder, "alone", "weights.safetensors"));
  expect([...made.keys()].every(isVideoModelName)).toBe(true);
  const after = await CaptionPolicy.open(await loadSuite("playroom-sft"), { threads: 1 });
  expect(await greedyCaptions(after, samples, 64)).toEqual(before);
  await writer.release();
  await after.release();
});

it("references and noise of a guided policy: off means the base model, and equal feeds give equal bits", async () => {
  const suite = await loadSuite("playroom-sft");
  const policy = await VideoPolicy.open(suite, {
    loraRank: 2,
    loraAlpha: 4,
    rows: 2,
    guidanceScale: 2.5,
    threads: 1,
  });
  const key = keyFromSeed(9);
  const draw = (name: string, shape: readonly number[]): NdArray =>
    f32(normal(fold(key, name), sizeOf(shape)), shape);
  const fresh = initDit(policy.config, key, { lora: policy.lora });
  const adapters = Object.fromEntries(Object.entries(fresh).filter(([name]) => isAdapterName(name)));
  const moved = Object.fromEntries(
    Object.entries(adapters).map(([name, array]): [string, NdArray] => [name, draw(name, array.shape)]),
  );
  const [, channels, , height, width] = policy.shape;
  const condition = {
    references: draw("references", [1, channels, 6, height, width]),
    context: draw("context", [1, suite.textEncoder.maxLength, policy.config.textWidth]),
    negativeContext: draw("negative", [1, suite.textEncoder.maxLength, policy.config.textWidth]),
  };
  const feeds = policy.feeds(condition, draw("noisy", policy.shape), 700);
  const start = [...(await policy.velocity(adapters, feeds)).data];
  expect([...(await policy.velocity(adapters, feeds)).data]).toEqual(start);
  expect([...(await policy.velocity(moved, feeds)).data]).not.toEqual(start);
  expect([...(await policy.velocity(adaptersOff(moved), feeds)).data]).toEqual(start);
  await policy.release();
});
