/**
 * Golden case of the whole inference path: clip and prompt to caption tokens, text embeddings, sampled latents, frames.
 * @module
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clip } from "../../src/media/clip.ts";
import { uniformFrames } from "../../src/media/frame-index.ts";
import { clipFromValues, valuesFromClip } from "../../src/media/pixels.ts";
import { clipOf, frameOf, resizeClip } from "../../src/media/resize.ts";
import { generate, patchify, QwenRunner } from "../../src/models/qwen25vl/index.ts";
import { type Umt5Config, umt5Config, umt5Encode } from "../../src/models/umt5/index.ts";
import {
  DitRunner,
  flowMatchGrid,
  pickReferenceFrames,
  sampleLatents,
  Vae,
} from "../../src/models/wan/index.ts";
import { Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import { f32, i32, input, type NdArray, type WeightBinding } from "../../src/tensor/index.ts";
import { type CaseHandler, type Check, checkExact, checkRelative, type GoldenCase } from "./case.ts";
import { configBeside, framesOf, positionRule } from "./qwen-inputs.ts";
import { ditConfigBeside } from "./wan-dit.ts";
import { vaeConfigOfFile } from "./wan-vae.ts";

type WeightPaths = Readonly<Record<"dit" | "vae" | "vlm" | "text", string>>;

export const endToEnd: CaseHandler = {
  title: "whole inference path",
  recognises: (golden) =>
    golden.hasConfig("weights", "caption_tokens", "vlm_frame_size", "cfg") && golden.io.has("caption_ids"),
  async run(golden) {
    const paths = golden.config<WeightPaths>("weights");
    const clip: Clip = { ...framesOf(golden.io.get("clip")), frameRateHz: 1 };
    const caption = await captionPart(golden, paths.vlm, clip);
    const text = await textPart(golden, paths.text, caption.tokens);
    return [...caption.checks, ...text.checks, ...(await videoPart(golden, paths, clip, text))];
  },
};

/** Frames the language model sees, and the tokens it writes. */
async function captionPart(
  golden: GoldenCase,
  path: string,
  clip: Clip,
): Promise<{ readonly tokens: Int32Array; readonly checks: Check[] }> {
  const { io } = golden;
  const config = await configBeside(golden, path);
  const index = uniformFrames(clip.frameCount, golden.config("vlm_frames"));
  const [height, width] = golden.config<[number, number]>("vlm_frame_size");
  const shown = clipOf(
    index.map((frame) => frameOf(clip, frame)),
    clip.frameRateHz,
  );
  const frames = resizeClip(shown, { height, width }, "torch-bicubic");
  const { patches, grid } = patchify(frames, config.vision);
  const weights = (await golden.relative(path)).binding();
  const runner = new QwenRunner(config, { weights });
  const features = await runner.features(patches, [grid]);
  const steps = generate(runner, [{ ids: io.get("input_ids").data, features, grids: [grid] }], {
    maxNewTokens: golden.config("caption_tokens"),
    temperature: 0,
    stopTokenIds: [],
    positionRule: positionRule(golden),
  });
  const tokens: number[] = [];
  const logits: number[] = [];
  for await (const step of steps) {
    tokens.push(step.tokens[0]!);
    logits.push(...step.logits.data);
  }
  await runner.release();
  return {
    tokens: Int32Array.from(tokens),
    checks: [
      checkExact("frame_index", index, io.get("frame_index").data),
      ...levelChecks("vlm_frames", frames.rgb, framesOf(io.get("vlm_frames")).rgb, RESIZED),
      checkExact("caption_ids", tokens, io.get("caption_ids").data),
      checkRelative("caption_logits", f32(logits), io.get("caption_logits"), tolerance(golden)),
    ],
  };
}

/** The one numeric tolerance of the case covers every stage on the way. */
const tolerance = (golden: GoldenCase): number => golden.tolerance("latents_relative_to_abs_max");

interface TextPart {
  readonly context: NdArray;
  readonly negative: NdArray;
  readonly checks: Check[];
}

/** Caption ids mapped to the text encoder's by the rule that the case states, then embeddings. */
async function textPart(golden: GoldenCase, path: string, caption: Int32Array): Promise<TextPart> {
  const { io } = golden;
  const folder = join(golden.folder, dirname(path));
  const owner = JSON.parse(await readFile(join(folder, "case.json"), "utf8")) as {
    config: Record<string, Record<string, number>>;
  };
  const raw = owner.config["transformers_UMT5Config"]!;
  const config = umt5Config(raw);
  const length = golden.config<number>("text_len");
  const end = raw["eos_token_id"] ?? 1;
  const ids = new Int32Array(length);
  ids.set(Array.from(caption, (id) => (id % (config.vocabularySize - 2)) + 2));
  ids[caption.length] = end;
  const weights = (await golden.relative(path)).binding();
  const negativeIds = io.get("negative_ids").data as Int32Array;
  const context = await embed(config, weights, ids);
  const negative = await embed(config, weights, negativeIds);
  return {
    context,
    negative,
    checks: [
      checkExact("text_ids", ids, io.get("text_ids").data),
      checkRelative("context", context, io.get("context"), tolerance(golden)),
      checkRelative("context_negative", negative, io.get("context_negative"), tolerance(golden)),
    ],
  };
}

async function embed(config: Umt5Config, weights: WeightBinding, ids: Int32Array): Promise<NdArray> {
  const shape = [1, ids.length];
  const context = umt5Encode(new Params(), config, input("ids", shape, "i32"), input("mask", shape, "i32"));
  const graph = await compile({ context }, { weights });
  const mask = i32(
    Int32Array.from(ids, (id) => (id === 0 ? 0 : 1)),
    shape,
  );
  const results = await graph.run({ ids: i32(ids, shape), mask });
  await graph.release();
  return results["context"]!;
}

/** Reference latents, guided sampling, decoded frames. */
async function videoPart(
  golden: GoldenCase,
  paths: WeightPaths,
  clip: Clip,
  text: TextPart,
): Promise<Check[]> {
  const { io } = golden;
  const vaeWeights = await golden.relative(paths.vae);
  const vae = new Vae(vaeConfigOfFile(vaeWeights), vaeWeights.binding());
  const shape = [1, 3, clip.frameCount, clip.height, clip.width];
  const latents = await vae.encode(f32(valuesFromClip(clip), shape));
  const references = pickReferenceFrames(latents, io.get("refs").shape[2]!).latents;
  const runner = new DitRunner(await ditConfigBeside(golden, paths.dit), {
    weights: (await golden.relative(paths.dit)).binding(),
  });
  const grid = { steps: golden.config<number>("steps"), shift: golden.config<number>("shift") };
  let sampled: NdArray | undefined;
  for await (const step of sampleLatents({
    ...grid,
    model: runner.velocity,
    references,
    context: text.context,
    negativeContext: text.negative,
    noise: io.get("noise"),
    guidanceScale: golden.config("cfg"),
  }))
    sampled = step.latents;
  const video = await vae.decode(sampled!);
  await runner.release();
  await vae.release();
  const [, , frameCount, height, width] = video.shape as [number, number, number, number, number];
  const answer = clipFromValues(video.data, { frameCount, height, width, frameRateHz: 1 });
  return [
    checkRelative("sigmas", f32(flowMatchGrid(grid).sigmas), io.get("sigmas"), tolerance(golden)),
    checkRelative("refs", references, io.get("refs"), tolerance(golden)),
    checkRelative("final_latents", sampled!, io.get("final_latents"), tolerance(golden)),
    ...levelChecks("frames", answer.rgb, framesOf(io.get("frames")).rgb, frameTolerance(golden)),
  ];
}

interface LevelTolerance {
  readonly levels: number;
  /** Share of the values that may be off. */
  readonly share: number;
}

/** The golden case of preprocessing allows this where an f32 sum lies on the edge between two levels. */
const RESIZED: LevelTolerance = { levels: 1, share: 0.005 };

/** "at most 2 levels off, on fewer than 2% of the values" */
function frameTolerance(golden: GoldenCase): LevelTolerance {
  const stated = String(golden.json.tolerances?.["frames"]);
  const [, levels, percent] = /at most (\d+) levels? off, on fewer than ([\d.]+)%/.exec(stated) ?? [];
  return { levels: Number(levels), share: Number(percent) / 100 };
}

function levelChecks(
  name: string,
  actual: Uint8Array,
  golden: Uint8Array,
  { levels, share }: LevelTolerance,
): Check[] {
  let worst = actual.length === golden.length ? 0 : Number.POSITIVE_INFINITY;
  let off = 0;
  golden.forEach((level, i) => {
    const difference = Math.abs(level - actual[i]!);
    worst = Math.max(worst, difference);
    if (difference > 0) off++;
  });
  return [
    { name: `${name}: largest difference in levels`, maxError: worst, tolerance: levels },
    { name: `${name}: share of levels off`, maxError: off / golden.length, tolerance: share },
  ];
}
