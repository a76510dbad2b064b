/**
 * Assembles the playroom suite from finished runs: weights in bf16, configurations, suite.json.
 * Run: npx tsx scripts/build-suite.ts [--vlm runs/…] [--vdm runs/…] [--vae runs/…]
 * Or: npx tsx scripts/build-suite.ts --judges
 * to add or replace the judges alone (the CLIP that evaluates, I3D); all other parts stay as they are.
 * Or: npx tsx scripts/build-suite.ts [--video] [--vdm runs/…] [--language] [--vlm runs/…]
 * to replace parts alone: the video transformer, its text encoder and what their latents are normalised by; the language model.
 * Or: npx tsx scripts/build-suite.ts --adapters --base suites/playroom-sft [--vlm runs/…] [--vdm runs/…] --out suites/…
 * for a base suite with the adapters of finished runs; --whole copies the base suite's files beside them. Its page
 * (README.md) stays where there is one.
 */
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { measureDomain } from "../src/answer/domain.ts";
import { loadSuite } from "../src/answer/index.ts";
import { type PartResult, writeTrainedSuite } from "../src/experiment/index.ts";
import { type Clip, readClip, writeMp4 } from "../src/media/index.ts";
import { decodeLatents, encodeMoments } from "../src/models/wan/index.ts";
import { Params } from "../src/nn/index.ts";
import { compile } from "../src/runtime/index.ts";
import { f32, input, type NdArray } from "../src/tensor/index.ts";
import { loadTokenizer } from "../src/text/index.ts";
import { readWeights } from "../src/train/initial-weights.ts";
import { readRecipe } from "../src/train/recipe.ts";
import { averagedWeights, readCheckpoint } from "../src/train/run.ts";
import { playroomClipJson } from "../src/train/train-clip.ts";
import { playroomI3dJson } from "../src/train/train-i3d.ts";
import { vaeConfigOf } from "../src/train/train-vae.ts";
import { isTextEncoderName, playroomVdmJson } from "../src/train/train-vdm.ts";
import { PLAYROOM_SYSTEM_PROMPT, playroomVlmJson } from "../src/train/vlm-config.ts";
import { copyWindow } from "../src/train/world-batches.ts";
import { writeSafetensors } from "../src/weights/index.ts";
import { sampleForSeed } from "../src/world/index.ts";

const { values } = parseArgs({
  options: {
    vae: { type: "string", default: "runs/playroom-vae-2-video" },
    vdm: { type: "string", default: "runs/playroom-vdm" },
    clip: { type: "string", default: "runs/playroom-clip" },
    "clip-eval": { type: "string", default: "runs/playroom-clip-eval" },
    i3d: { type: "string", default: "runs/playroom-i3d" },
    judges: { type: "boolean", default: false },
    video: { type: "boolean", default: false },
    language: { type: "boolean", default: false },
    adapters: { type: "boolean", default: false },
    base: { type: "string", default: "suites/playroom-sft" },
    whole: { type: "boolean", default: false },
    "vlm-alpha": { type: "string", default: "32" },
    "vdm-alpha": { type: "string", default: "64" },
    about: { type: "string" },
    vlm: { type: "string", default: "runs/playroom-vlm-2-sft" },
    out: { type: "string", default: "suites/playroom-sft" },
  },
});

/** Final weights of a run, or the averaged ones of its checkpoint while it is not finished. */
async function weightsOf(run: string): Promise<Record<string, NdArray>> {
  const finished = `${run}/weights.safetensors`;
  const checkpoint = `${run}/checkpoint.safetensors`;
  const [done, latest] = await Promise.all([
    stat(finished).catch(() => undefined),
    stat(checkpoint).catch(() => undefined),
  ]);
  if (done && (!latest || done.mtimeMs >= latest.mtimeMs - 60_000)) return readWeights(finished);
  console.log(`${run} is not finished; taking its checkpoint`);
  return averagedWeights((await readCheckpoint(checkpoint)).state);
}

async function write(folder: string, weights: Record<string, NdArray>, config: unknown): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors = Object.entries(weights).map(
    ([name, array]): [string, { shape: readonly number[]; data: Float32Array }] => [
      name,
      { shape: array.shape, data: array.data as Float32Array },
    ],
  );
  await writeSafetensors(`${folder}/model.safetensors`, tensors, {
    dtype: "BF16",
    metadata: { format: "pt" },
  });
  await writeFile(`${folder}/config.json`, `${JSON.stringify(config, undefined, 2)}\n`);
  console.log(
    `${folder}: ${tensors.length} tensors, ${(await stat(`${folder}/model.safetensors`)).size} bytes`,
  );
}

const files = (folder: string) => ({
  config: `${folder}/config.json`,
  weights: `${folder}/model.safetensors`,
});

/** Writes what judges answers and never makes them, as far as it is trained: the CLIP that evaluates, and the I3D. */
async function writeJudges(out: string) {
  const isThere = (run: string): Promise<boolean> =>
    stat(`${run}/weights.safetensors`).then(
      () => true,
      () => false,
    );
  const judges: Record<string, unknown> = {};
  if (await isThere(values["clip-eval"])) {
    const clipTokenizer = await loadTokenizer("suites/playroom-sft/clip/tokenizer.json");
    const clipRecipe = await readRecipe("recipes/playroom-clip-eval.yaml");
    await write(
      `${out}/clip-eval`,
      await weightsOf(values["clip-eval"]),
      playroomClipJson(clipRecipe.model as Record<string, number>, clipTokenizer),
    );
    await copyFile("suites/playroom-sft/clip/tokenizer.json", `${out}/clip-eval/tokenizer.json`);
    judges["clipEval"] = { ...files("clip-eval"), tokenizer: "clip-eval/tokenizer.json" };
  }
  if (await isThere(values.i3d)) {
    const i3dRecipe = await readRecipe("recipes/playroom-i3d.yaml");
    await write(`${out}/i3d`, await weightsOf(values.i3d), playroomI3dJson(i3dRecipe.model));
    judges["i3d"] = files("i3d");
  }
  return judges;
}

if (values.adapters) {
  // Runs that are not named are not part of it, whatever a full build would take.
  const named = new Set(process.argv.slice(2));
  const parts = (["vlm", "vdm"] as const).filter(
    (part) => named.has(`--${part}`) || [...named].some((word) => word.startsWith(`--${part}=`)),
  );
  const base = await loadSuite(values.base);
  const results = parts.map((part): [string, PartResult] => [
    part,
    {
      part,
      kind: "adapter",
      weights: join(values[part], "weights.safetensors"),
      alpha: Number(values[`${part}-alpha`]),
    },
  ]);
  await writeTrainedSuite(values.out, base, Object.fromEntries(results), {
    name: basename(values.out),
    about:
      values.about ?? `${base.name} with adapters of ${parts.map((part) => values[part]).join(" and ")}.`,
    version: base.manifest.version,
    whole: values.whole,
  });
  process.exit();
}

if (values.judges) {
  const path = `${values.out}/suite.json`;
  const before = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  const { clipEval = before["clipEval"], i3d = before["i3d"] } = await writeJudges(values.out);
  // Behind the CLIP that rewards, as a full build has them.
  const entries = Object.entries(before).filter(([name]) => name !== "clipEval" && name !== "i3d");
  const added = Object.entries({ clipEval, i3d }).filter(([, part]) => part !== undefined);
  entries.splice(entries.findIndex(([name]) => name === "clip") + 1, 0, ...added);
  await writeFile(path, `${JSON.stringify(Object.fromEntries(entries), undefined, 2)}\n`);
  process.exit();
}

const vdmRecipe = await readRecipe("recipes/playroom-vdm.yaml");
const vlmRecipe = await readRecipe("recipes/playroom-vlm-2-sft.yaml");
const out = values.out;
const textTokenizer = await loadTokenizer("suites/playroom-sft/text-encoder/tokenizer.json");
const vlmTokenizer = await loadTokenizer("suites/playroom-sft/vlm/tokenizer.json");
const settings = vdmRecipe.settings as {
  shift: number;
  guidanceScale: number;
  previewSteps: number;
  textLength?: number;
};
const textLength = settings.textLength ?? 16;

/** Writes the video transformer and its text encoder. */
async function writeVideo(): Promise<void> {
  const vdm = await weightsOf(values.vdm);
  const json = playroomVdmJson(vdmRecipe.model, textLength, textTokenizer.vocabSize);
  const part = (keep: (name: string) => boolean): Record<string, NdArray> =>
    Object.fromEntries(Object.entries(vdm).filter(([name]) => keep(name)));
  await write(
    `${out}/dit`,
    part((name) => !isTextEncoderName(name)),
    json.dit,
  );
  await write(`${out}/text-encoder`, part(isTextEncoderName), json.text);
}

/** What latents were normalised by in training. */
async function latentStatistics(): Promise<{ latents_mean: number[]; latents_std: number[] }> {
  const text = await readFile(`${values.vdm}/latents.json`, "utf8");
  const { mean, std } = JSON.parse(text) as { mean: number[]; std: number[] };
  return { latents_mean: mean, latents_std: std };
}

/** Writes the language model. */
async function writeLanguage(): Promise<void> {
  const config = playroomVlmJson(vlmRecipe.model as Record<string, number>, vlmTokenizer);
  await write(`${out}/vlm`, await weightsOf(values.vlm), config);
}

if (values.video) {
  await writeVideo();
  // Latents are normalised as the video transformer learned them.
  const path = `${out}/vae/config.json`;
  const config = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  await writeFile(path, `${JSON.stringify({ ...config, ...(await latentStatistics()) }, undefined, 2)}\n`);
}
if (values.language) await writeLanguage();
if (values.video || values.language) process.exit();

const statistics = await latentStatistics();
const vaeModel = (vdmRecipe.model as { vae: Record<string, unknown> }).vae;
await write(`${out}/vae`, await weightsOf(values.vae), {
  _class_name: "AutoencoderKLWan",
  ...vaeModel,
  attn_scales: [],
  ...statistics,
});
await writeVideo();
await writeLanguage();
const clipTokenizer = await loadTokenizer("suites/playroom-sft/clip/tokenizer.json");
const clipRecipe = await readRecipe("recipes/playroom-clip.yaml");
await write(
  `${out}/clip`,
  await weightsOf(values.clip),
  playroomClipJson(clipRecipe.model as Record<string, number>, clipTokenizer),
);
const judges = await writeJudges(out);
const suite = {
  name: basename(out),
  version: "0.1.0",
  about:
    "Small models trained from nothing on the playroom, a simulated world of drawn clips. The architectures are those of the large suite.",
  licence: "Apache-2.0",
  vlm: { ...files("vlm"), tokenizer: "vlm/tokenizer.json" },
  vdm: files("dit"),
  vae: files("vae"),
  textEncoder: { ...files("text-encoder"), tokenizer: "text-encoder/tokenizer.json", maxLength: textLength },
  clip: { ...files("clip"), tokenizer: "clip/tokenizer.json" },
  ...judges,
  answer: {
    systemPrompt: PLAYROOM_SYSTEM_PROMPT,
    questionCase: "lower",
    negativePrompt: "",
    steps: settings.previewSteps,
    shift: settings.shift,
    guidanceScale: settings.guidanceScale,
    scheduler: "euler",
    seed: 0,
    height: 64,
    width: 64,
    inputFrames: 21,
    answerFrames: 17,
    frameRateHz: 8,
    vlmFrames: 6,
    vlmMinPixels: 4096,
    vlmMaxPixels: 4096,
    stillFrames: 21,
    referenceLatentFrames: 6,
    referencePick: "clip-then-pick",
    temperature: 0,
    topP: 1,
    topK: 0,
    repetitionPenalty: 1,
    maxNewTokens: 80,
    resize: "centre-crop",
  },
};

/** Clips as the answerer meets them: every third straight from the simulator, the others through an mp4 file. */
async function* domainClips(count: number): AsyncGenerator<Clip> {
  const folder = await mkdtemp(join(tmpdir(), "vans-domain-"));
  for (let i = 0; i < count; i++) {
    const { input } = sampleForSeed(40_000 + 7 * i);
    if (i % 3 === 0) yield input;
    else {
      const path = join(folder, "clip.mp4");
      await writeMp4(path, input);
      yield await readClip(path);
    }
  }
  await rm(folder, { recursive: true });
}

/** Root mean square error of the autoencoder in levels of 255. */
async function reconstruction(): Promise<{
  error: (clip: Clip) => Promise<number>;
  release: () => Promise<void>;
}> {
  const config = { ...vaeConfigOf(vaeModel), ...statistics };
  const weights = await weightsOf(values.vae);
  const params = new Params();
  const shape = [1, 3, 21, 64, 64];
  const video = input("video", shape);
  const y = decodeLatents(params, config, encodeMoments(params, config, video).mean);
  const exe = await compile({ y }, { weights: { weight: (name) => weights[name] } });
  const pixels = new Float32Array(3 * 21 * 64 * 64);
  return {
    error: async (clip) => {
      copyWindow(clip, { frame: 0, frames: 21, top: 0, left: 0, size: 64, mirrored: false }, pixels, 0);
      const out = (await exe.run({ video: f32(pixels, shape) }))["y"]!.data as Float32Array;
      const square =
        out.reduce(
          (total: number, value: number, i: number) =>
            total + (Math.min(1, Math.max(-1, value)) - pixels[i]!) ** 2,
          0,
        ) / out.length;
      return 127.5 * Math.sqrt(square);
    },
    release: () => exe.release(),
  };
}

const rebuilt = await reconstruction();
const domain = await measureDomain(domainClips(240), { reconstruct: rebuilt.error });
await rebuilt.release();
await writeFile(`${out}/suite.json`, `${JSON.stringify({ ...suite, domain }, undefined, 2)}\n`);
