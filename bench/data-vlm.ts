/**
 * Does a dataset made by the pipeline teach as much as the playroom itself? Three commands:
 *
 *   npx tsx bench/data-vlm.ts make  --count 2100 --out out/data-vlm       videos of samples, through import and curate
 *   npx tsx bench/data-vlm.ts train --from dataset --count 2000 --out out/data-vlm --run runs/data-vlm-dataset
 *   npx tsx bench/data-vlm.ts train --from world   --count 2000 --run runs/data-vlm-world
 *
 * Both trainings use the recipe `bench/data-vlm.yaml`, the same start, and the same number of samples (`--count`): the
 * first of the dataset, and the playroom's own from the same seed on. Each writes a suite into its run folder; then
 * `vans evaluate --suite RUN/suite --only caption` gives captionEventAccuracy. `--steps` shortens both.
 * @module
 */
import { copyFile, cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fold, integer, keyFromSeed } from "../src/base/keys.ts";
import { curate, importItems, type Provider, readSamples, writeImport } from "../src/data/index.ts";
import { writePlayroomVideos } from "../src/data/testing/make-videos.ts";
import { type Clip, closeCodecProcesses, readClip } from "../src/media/index.ts";
import { padRows, positionIds, qwenLogits, type VisionGrid } from "../src/models/qwen25vl/index.ts";
import { compileTrainStep, Params } from "../src/nn/index.ts";
import type { Feeds } from "../src/runtime/index.ts";
import { crossEntropy, div, f32, i32, input, mul, slice, sum } from "../src/tensor/index.ts";
import { loadTokenizer } from "../src/text/index.ts";
import { type PrepareTask, readRecipe, runTraining } from "../src/train/index.ts";
import { firstValues, requireInit } from "../src/train/initial-weights.ts";
import { optimizerOf } from "../src/train/optimizers.ts";
import { throughVideo } from "../src/train/through-video.ts";
import { stackPatches } from "../src/train/train-vlm-ground.ts";
import { playroomVlmConfig, VLM_FRAMES, vlmFrames, vlmSequence } from "../src/train/vlm-config.ts";
import { assertTrainingSeed, sampleForSeed, type WorldSample } from "../src/world/index.ts";

/** Answers as the playroom itself would: the annotator of the measurement. The seed is in the label of the first step. */
function worldProvider(): Provider {
  const seedOf = (text: unknown): number => Number(/seed (\d+)/.exec(String(text))?.[1]);
  return {
    name: "local",
    model: "playroom-truth",
    readsFacts: true,
    price: { input: 0, output: 0 },
    async ask(request) {
      const answer = (): unknown => {
        if (request.task === "select")
          return { choice: 0, quality: 1, match: 1, description: "", reason: "as measured" };
        if (request.task === "review") return { verdict: "keep", reasons: [] };
        const { question, reasoning, caption } = sampleForSeed(seedOf(request.facts["inputLabel"]));
        return { samples: [{ question, reasoning, caption }], reject: null };
      };
      return { text: JSON.stringify(answer()), refused: false, inputTokens: 0, outputTokens: 0 };
    },
  };
}

async function make(out: string, count: number, firstSeed: number): Promise<void> {
  const seeds = Array.from({ length: count }, (_, i) => firstSeed + i);
  for (const seed of seeds) assertTrainingSeed(seed);
  const annotations = await writePlayroomVideos(join(out, "videos"), seeds);
  const settings = { annotations, videos: join(out, "videos"), licence: "Apache-2.0" };
  const work = join(out, "dataset");
  await writeImport(work, "coin", importItems("coin", settings));
  for await (const event of curate({ folder: work, provider: worldProvider(), concurrency: 2 })) {
    if (event.type === "stage") console.error(`${event.stage} …`);
    if (event.type === "dataset") console.log(JSON.stringify(event.account, null, 1));
  }
}

/** What a training row needs. */
interface TrainingItem {
  readonly question: string;
  readonly reasoning: string;
  readonly caption: string;
  readonly frames: () => Promise<Clip>;
}

/** The first samples of the dataset. */
async function datasetItems(folder: string, count: number): Promise<TrainingItem[]> {
  const items: TrainingItem[] = [];
  for await (const { input: clip, question, reasoning, caption } of readSamples(folder)) {
    // Frames as they are in the file: they went through video twice, which is what a dataset does.
    const frames = async (): Promise<Clip> => vlmFrames(await readClip(join(folder, clip))) as Clip;
    items.push({ question, reasoning, caption, frames });
    if (items.length === count) return items;
  }
  throw new Error(`the dataset has ${items.length} samples, fewer than ${count}`);
}

/** The playroom's own samples of consecutive seeds. */
function worldItems(firstSeed: number, count: number): TrainingItem[] {
  return Array.from({ length: count }, (_, i) => {
    assertTrainingSeed(firstSeed + i);
    const { question, reasoning, caption } = sampleForSeed(firstSeed + i);
    const frames = async (): Promise<Clip> =>
      throughVideo(vlmFrames(sampleForSeed(firstSeed + i).input)) as Clip;
    return { question, reasoning, caption, frames };
  });
}

const GRID: VisionGrid = [VLM_FRAMES / 2, 8, 8];

/** The task `vlm` on a fixed list of samples. */
function prepareOn(items: readonly TrainingItem[]): PrepareTask {
  const known = new Map<number, Promise<Clip>>();
  return async (recipe, context) => {
    const tokenizer = await loadTokenizer("suites/playroom-sft/vlm/tokenizer.json");
    const config = playroomVlmConfig(recipe.model as Record<string, number>, tokenizer);
    const { batch: rows } = recipe;
    const length = Number(recipe.settings["length"] ?? 168);
    const captionWeight = Number(recipe.settings["captionWeight"] ?? 2);
    const videoTokens = (GRID[0] * GRID[1] * GRID[2]) / 4;
    const grids = Array.from({ length: rows }, () => GRID);
    const params = new Params();
    const ids = input("ids", [rows, length], "i32");
    const logits = qwenLogits(params, config, {
      ids,
      positionIds: input("positionIds", [3, rows, length], "i32"),
      patches: input("patches", [rows * videoTokens * 4, 3 * 2 * 8 * 8]),
      grids,
    });
    const weights = input("targetWeights", [rows, length - 1]);
    const each = crossEntropy(slice(logits, 1, 0, length - 1), slice(ids, 1, 1));
    const step = await compileTrainStep(
      {
        loss: div(sum(mul(each, weights)), sum(weights)),
        params: params.tensors,
        optimizer: optimizerOf(recipe),
        clipNorm: recipe.optimizer.clipNorm,
        ema: true,
      },
      firstValues(
        params.tensors,
        context,
        context.resumed ? undefined : await requireInit(recipe, context, "vlm"),
      ),
      { threads: recipe.threads, stepCount: context.resumed?.step ?? 0 },
    );
    const framesOf = (index: number): Promise<Clip> => {
      let frames = known.get(index);
      if (frames === undefined) {
        frames = items[index]!.frames();
        known.set(index, frames);
      }
      return frames;
    };
    return {
      step,
      batch: async (at): Promise<Feeds> => {
        const key = fold(keyFromSeed(recipe.seed), "data-vlm", at);
        const chosen = Array.from({ length: rows }, (_, n) => integer(fold(key, n), items.length));
        const sequences = chosen.map((index) => {
          const item = items[index]!;
          return vlmSequence(
            tokenizer,
            config,
            item as unknown as WorldSample,
            item.caption,
            videoTokens,
            captionWeight,
          );
        });
        const padded = padRows(
          sequences.map((sequence) => sequence.ids),
          { side: "right", padTokenId: config.padTokenId, length },
        );
        const targetWeights = new Float32Array(rows * (length - 1));
        sequences.forEach((sequence, n) => {
          for (let t = 1; t < sequence.ids.length; t++)
            targetWeights[n * (length - 1) + t - 1] = sequence.weights[t]!;
        });
        return {
          ids: i32(padded.ids.data, [rows, length]),
          positionIds: positionIds(padded, config, { grids }).ids,
          patches: stackPatches(await Promise.all(chosen.map(framesOf))),
          targetWeights: f32(targetWeights, [rows, length - 1]),
        };
      },
      exported: (trained) => trained,
    };
  };
}

/** A suite that is the playroom with the trained language model. */
async function writeSuite(runFolder: string, weightsPath: string): Promise<string> {
  const folder = join(runFolder, "suite");
  await cp("suites/playroom-sft", folder, { recursive: true });
  await copyFile(weightsPath, join(folder, "vlm/model.safetensors"));
  const path = join(folder, "suite.json");
  const suite = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  const about = "The playroom with a language model trained by bench/data-vlm.ts.";
  await writeFile(path, `${JSON.stringify({ ...suite, name: "playroom-data-vlm", about }, null, 2)}\n`);
  return folder;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: "string", default: "out/data-vlm" },
    count: { type: "string", default: "2000" },
    seed: { type: "string", default: "600000" },
    from: { type: "string", default: "dataset" },
    run: { type: "string" },
    steps: { type: "string" },
    until: { type: "string" },
    resume: { type: "boolean", default: false },
    fresh: { type: "boolean", default: false },
  },
});
if (positionals[0] === "make") {
  if (values.fresh) await rm(values.out, { recursive: true, force: true });
  await make(values.out, Number(values.count), Number(values.seed));
} else if (positionals[0] === "train") {
  const read = await readRecipe("bench/data-vlm.yaml");
  const recipe = values.steps === undefined ? read : { ...read, steps: Number(values.steps) };
  const from = values.from === "world" ? "world" : "dataset";
  const items =
    from === "world"
      ? worldItems(Number(values.seed), Number(values.count))
      : await datasetItems(join(values.out, "dataset"), Number(values.count));
  console.log(`${items.length} samples of the ${from}`);
  const runFolder = values.run ?? `runs/data-vlm-${from}`;
  const until = values.until === undefined ? {} : { untilStep: Number(values.until) };
  for await (const event of runTraining(recipe, prepareOn(items), {
    runFolder,
    resume: values.resume,
    ...until,
  })) {
    if (event.type === "step") console.log(event.step, JSON.stringify(event.metrics));
    if (event.type === "done") {
      const suite = await writeSuite(runFolder, event.weightsPath);
      console.log(
        `next: vans world make --seed 900000 --count 400 --out out/eval && vans evaluate --suite ${suite} --data out/eval --out ${runFolder}/report --only caption`,
      );
    }
  }
} else {
  console.error("usage: npx tsx bench/data-vlm.ts make|train [options]; see the head of the file");
  process.exitCode = 2;
}
closeCodecProcesses();
