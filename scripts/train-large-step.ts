/**
 * One adapter step of a large recipe, block by block with recomputation, on a full-size suite: loss, gradients, AdamW, the
 * adapter written in the names of other programs and loaded again. Prints seconds and the peak of anonymous pages.
 *
 * Run: npx tsx scripts/train-large-step.ts --recipe vans-3b-sft-vdm --suite /tmp/random-3b [--frames 9 --height 128 --width 128]
 *      [--prompt 200 --answer 32] [--frame 112x112] [--out out/large-adapter]
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PeakWatch } from "../src/answer/peak-memory.ts";
import { loadSuite } from "../src/answer/suite.ts";
import { neededTensors, openPart, partNaming } from "../src/answer/suite-weights.ts";
import { fold, keyFromSeed, normal, uniform } from "../src/base/keys.ts";
import { padRows, patchify, positionIds, qwenParameters } from "../src/models/qwen25vl/index.ts";
import {
  addNoise,
  ditParameters,
  latentFrameCount,
  trainingGrid,
  trainingWeight,
} from "../src/models/wan/index.ts";
import {
  crossEntropy,
  f32,
  i32,
  mean,
  mul,
  type NdArray,
  neg,
  reshape,
  sub,
  type Tensor,
} from "../src/tensor/index.ts";
import { flowPolicyLoss } from "../src/train/flow-policy-loss.ts";
import { packCoefficients, stepCoefficients } from "../src/train/flow-sde.ts";
import { type AdamWState, adamwStep } from "../src/train/large-adamw.ts";
import { largeLora, largeSettings, planTraining } from "../src/train/large-plan.ts";
import { vdmGradients } from "../src/train/large-vdm-gradients.ts";
import { vlmGradients } from "../src/train/large-vlm-gradients.ts";
import { readRecipe } from "../src/train/recipe.ts";
import { tokenPolicyLoss } from "../src/train/token-policy-loss.ts";
import { exportAdapter, matchAdapter, openWeights } from "../src/weights/index.ts";

const { values } = parseArgs({
  options: {
    recipe: { type: "string", default: "vans-3b-sft-vdm" },
    suite: { type: "string", default: "vans-3b" },
    frames: { type: "string" },
    height: { type: "string" },
    width: { type: "string" },
    prompt: { type: "string", default: "64" },
    answer: { type: "string", default: "32" },
    frame: { type: "string", default: "112x112" },
    layers: { type: "string" },
    out: { type: "string" },
  },
});
const watch = new PeakWatch();
const path = `recipes/${values.recipe}.yaml`;
const recipe = await readRecipe(path);
const settings = largeSettings.parse(recipe.settings);
const suite = await loadSuite(values.suite, { needsFiles: false });
const trains = recipe.task === "vdm" || recipe.task === "joint-grpo-2" ? "vdm" : "vlm";
const isPolicy = recipe.task.startsWith("joint-grpo");
const lora = largeLora(trains, settings.loraRank, settings.loraAlpha);
const key = keyFromSeed(recipe.seed);
const random = (name: string, shape: readonly number[], scale = 1): NdArray =>
  f32(
    normal(
      fold(key, name),
      shape.reduce((a, b) => a * b, 1),
    ).map((value) => value * scale),
    shape,
  );

const shapes =
  trains === "vdm" ? ditParameters(suite.vdm.config, { lora }) : qwenParameters(suite.vlm.config, { lora });
const adapters: Record<string, NdArray> = {};
for (const [name, shape] of shapes) {
  if (!name.includes(".lora_")) continue;
  // A as PEFT sets it; B small but not 0, so that both factors get a gradient in the first step.
  const size = shape.reduce((a, b) => a * b, 1);
  adapters[name] = name.includes("lora_A")
    ? f32(
        uniform(fold(key, name), size).map((u) => (2 * u - 1) / Math.sqrt(shape[1]!)),
        shape,
      )
    : random(name, shape, 0.001);
}
const { binding: weights, stored } = await openPart(suite, trains);
watch.reset();
const started = performance.now();
let tokens = 0;
let result: Awaited<ReturnType<typeof vdmGradients>>;
let override: { frames?: number; height?: number; width?: number; tokens?: number; answerTokens?: number } =
  {};
if (trains === "vdm") {
  const { answer } = suite.manifest;
  const [frames, height, width] = [
    Number(values.frames ?? settings.frames ?? answer.answerFrames),
    Number(values.height ?? settings.height ?? answer.height),
    Number(values.width ?? settings.width ?? answer.width),
  ];
  override = { frames, height, width };
  const latentFrames = latentFrameCount(suite.vae.config, frames);
  const references = answer.referenceLatentFrames;
  const shape = [1, 16, latentFrames, height / 8, width / 8];
  tokens = ((latentFrames + references) * height * width) / 256;
  const [clean, noise] = [random("clean", shape), random("noise", shape)];
  const grid = trainingGrid({ shift: 5 });
  const sigma = 0.8;
  const noisy = f32(addNoise(clean.data as Float32Array, noise.data as Float32Array, sigma), shape);
  const target = f32(
    Float32Array.from(noise.data, (value, i) => value - clean.data[i]!),
    shape,
  );
  const coefficients = packCoefficients([
    stepCoefficients("wan", { sigmas: [1, 0.9, 0.8, 0.6, 0], index: 1 }),
  ]);
  const weight = trainingWeight(grid, 1000 * sigma);
  const loss = (velocity: Tensor, feed: (name: string) => Tensor): Tensor => {
    if (isPolicy)
      return flowPolicyLoss(
        {
          x: feed("x"),
          next: feed("next"),
          velocity,
          coefficients: feed("coefficients"),
          advantages: feed("advantages"),
        },
        { clip: 0.001, beta: 0, advantageClamp: 5 },
      ).loss;
    const error = sub(velocity, feed("target"));
    return mul(mean(mul(error, error)), weight);
  };
  const feeds: Record<string, NdArray> = isPolicy
    ? { x: noisy, next: random("next", shape), coefficients, advantages: f32([1]) }
    : { target };
  const given = {
    references: random("references", [1, 16, references, height / 8, width / 8]),
    noisy,
    timestep: f32([1000 * sigma]),
    context: random("context", [1, 512, suite.vdm.config.textWidth]),
  };
  result = await vdmGradients(
    suite.vdm.config,
    { weights, lora, threads: 2 },
    { ...given, feeds, loss },
    adapters,
  );
} else {
  const { config } = suite.vlm;
  const [height, width] = values.frame.split("x").map(Number) as [number, number];
  const rgb = Uint8Array.from({ length: 6 * height * width * 3 }, (_, i) => (i * 31) % 256);
  const { patches, grid } = patchify({ frameCount: 6, height, width, rgb } as never, config.vision);
  const seen = (grid[0] * grid[1] * grid[2]) / config.vision.mergeSize ** 2;
  const [prompt, answer] = [Number(values.prompt), Number(values.answer)];
  const word = (i: number): number => 1000 + ((i * 7919) % 100_000);
  const ids = [
    ...Array.from({ length: prompt }, (_, i) => word(i)),
    config.visionStartTokenId,
    ...new Array<number>(seen).fill(config.videoTokenId),
    config.visionEndTokenId,
    ...Array.from({ length: answer }, (_, i) => word(500 + i)),
  ];
  tokens = ids.length;
  override = { tokens, answerTokens: answer };
  const rows = padRows([ids], { side: "left", padTokenId: config.padTokenId, length: tokens });
  const places = Array.from({ length: answer - 1 }, (_, i) => tokens - answer + i);
  const labels = i32(places.map((place) => ids[place + 1]!));
  const count = places.length;
  const loss = (logits: Tensor, feed: (name: string) => Tensor): Tensor => {
    const each = crossEntropy(logits, feed("labels"));
    if (!isPolicy) return mean(each);
    const logProb = reshape(neg(each), [1, count]);
    return tokenPolicyLoss(
      { logProb, mask: feed("mask"), advantages: feed("advantages"), referenceLogProb: feed("reference") },
      { kind: "grpo", epsilonLow: 0.001, epsilonHigh: 0.001, beta: 0.004 },
    ).loss;
  };
  const feeds: Record<string, NdArray> = isPolicy
    ? {
        labels,
        mask: f32(new Float32Array(count).fill(1), [1, count]),
        advantages: f32([1.5]),
        reference: f32(new Float32Array(count).fill(-12), [1, count]),
      }
    : { labels };
  result = await vlmGradients(
    config,
    { weights, lora, threads: 2 },
    stored("model.embed_tokens.weight"),
    {
      ids: rows.ids,
      positionIds: positionIds(rows, config, { grids: [grid], secondsPerSlice: [1] }).ids,
      patches,
      grids: [grid],
      positions: places,
      feeds,
      loss,
    },
    adapters,
  );
}
const state: AdamWState = { step: 0, first: {}, second: {} };
const norm = adamwStep(adapters, result.gradients, state, { rate: recipe.optimizer.rate.peak });
const stepSecs = (performance.now() - started) / 1000;
const peakAnonBytes = watch.bytes;

const folder = values.out ?? (await mkdtemp(join(tmpdir(), "vans-large-adapter-")));
const naming = trains === "vlm" ? "peft" : "diffsynth";
const adapter = {
  rank: settings.loraRank,
  alpha: settings.loraAlpha,
  factors: Object.fromEntries(
    Object.entries(adapters).map(([name, { shape, data }]) => [name, { shape, data: data as Float32Array }]),
  ),
};
const [file] = await exportAdapter(
  naming === "peft" ? folder : join(folder, "adapter.safetensors"),
  adapter,
  { naming },
);
const found = matchAdapter(await openWeights(file!), neededTensors(suite, trains), partNaming(suite, trains));
const plan = await planTraining(path, { suite, override });
console.log(
  JSON.stringify({
    stage: "train",
    recipe: recipe.name,
    tokens,
    loss: result.loss,
    gradientNorm: norm,
    factors: Object.keys(result.gradients).length,
    finite: Object.values(result.gradients).every(({ data }) =>
      data.every((value) => Number.isFinite(value)),
    ),
    stepSecs: Math.round(stepSecs * 10) / 10,
    peakAnonBytes,
    plannedBytes: plan.peakBytes,
    adapter: { naming, file, loaded: found.factors.size },
  }),
);
process.exit(0);
