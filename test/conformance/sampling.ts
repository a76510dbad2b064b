/**
 * Golden case of sampling: a clip to reference latents, guided Euler steps, decoded frames; also without guidance.
 * @module
 */
import { levelsFromSigned, signedFromLevels } from "../../src/media/pixels.ts";
import {
  DitRunner,
  decodeLatents,
  denormalizeLatents,
  flowMatchGrid,
  pickReferenceFrames,
  type SampleOptions,
  type SampleStep,
  sampleLatents,
  Vae,
  type VaeConfig,
} from "../../src/models/wan/index.ts";
import { Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import { f32, input, type NdArray, type WeightBinding } from "../../src/tensor/index.ts";
import { type CaseHandler, type Check, checkRelative, type GoldenCase } from "./case.ts";
import { ditConfigBeside } from "./wan-dit.ts";
import { vaeConfigOfFile } from "./wan-vae.ts";

export const sampling: CaseHandler = {
  title: "sampling with references and guidance",
  recognises: (golden) =>
    golden.hasConfig("weights", "steps", "shift", "cfg") &&
    ["ref_latents", "context_negative", "final_latents_no_guidance"].every((name) => golden.io.has(name)),
  async run(golden) {
    const { dit, vae } = golden.config<{ dit: string; vae: string }>("weights");
    const vaeWeights = await golden.relative(vae);
    const ditWeights = await golden.relative(dit);
    const autoencoder = new Vae(vaeConfigOfFile(vaeWeights), vaeWeights.binding());
    const runner = new DitRunner(await ditConfigBeside(golden, dit), { weights: ditWeights.binding() });
    const checks = [
      ...(await referenceChecks(golden, autoencoder)),
      ...(await stepChecks(golden, runner)),
      ...(await decodeChecks(golden, autoencoder)),
      await unclampedCheck(golden, vaeConfigOfFile(vaeWeights), vaeWeights.binding()),
    ];
    await autoencoder.release();
    await runner.release();
    return checks;
  },
};

/** Frames first, `[T, 3, H, W]`, to channels first, `[3, T, H, W]`, and back: the swap is its own inverse. */
function swapLeading(
  values: ArrayLike<number>,
  shape: readonly [number, number, number, number],
): Float32Array {
  const [a, b, rows, columns] = shape;
  const plane = rows * columns;
  const out = new Float32Array(values.length);
  for (let i = 0; i < a; i++)
    for (let j = 0; j < b; j++)
      for (let k = 0; k < plane; k++) out[(j * a + i) * plane + k] = values[(i * b + j) * plane + k]!;
  return out;
}

async function referenceChecks(golden: GoldenCase, vae: Vae): Promise<Check[]> {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  const clip = io.get("clip");
  const [frames, channels, rows, columns] = clip.shape as [number, number, number, number];
  const pixels = swapLeading(signedFromLevels(clip.data), [frames, channels, rows, columns]);
  const latents = await vae.encode(f32(pixels, [1, channels, frames, rows, columns]));
  const references = io.get("refs");
  const picked = pickReferenceFrames(latents, references.shape[2]!);
  return [
    checkRelative("ref_latents", latents, io.get("ref_latents"), tolerance),
    checkRelative("refs", picked.latents, references, tolerance),
  ];
}

async function allSteps(options: SampleOptions): Promise<SampleStep[]> {
  const steps: SampleStep[] = [];
  for await (const step of sampleLatents(options)) steps.push(step);
  return steps;
}

async function stepChecks(golden: GoldenCase, runner: DitRunner): Promise<Check[]> {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  const grid = { steps: golden.config<number>("steps"), shift: golden.config<number>("shift") };
  const options: SampleOptions = {
    ...grid,
    model: runner.velocity,
    references: io.get("refs"),
    context: io.get("context"),
    negativeContext: io.get("context_negative"),
    noise: io.get("noise"),
    guidanceScale: golden.config("cfg"),
  };
  const checks = [checkRelative("sigmas", f32(flowMatchGrid(grid).sigmas), io.get("sigmas"), tolerance)];
  const guided = await allSteps(options);
  for (const [i, step] of guided.entries()) {
    const values: Record<string, NdArray> = {
      latents: step.before,
      velocity: step.conditional,
      velocity_negative: step.negative!,
      next: step.latents,
    };
    for (const [part, value] of Object.entries(values))
      checks.push(checkRelative(`step${i}.${part}`, value, io.get(`step${i}.${part}`), tolerance));
  }
  const result = guided[guided.length - 1]!.latents;
  checks.push(checkRelative("final_latents", result, io.get("final_latents"), tolerance));
  const apart = await allSteps({ ...options, batchBranches: false });
  checks.push(
    checkRelative(
      "final_latents, branches apart",
      apart[apart.length - 1]!.latents,
      io.get("final_latents"),
      tolerance,
    ),
  );
  const plain = await allSteps({ ...options, guidanceScale: 1 });
  checks.push(
    checkRelative(
      "final_latents_no_guidance",
      plain[plain.length - 1]!.latents,
      io.get("final_latents_no_guidance"),
      tolerance,
    ),
  );
  return checks;
}

/** Share of levels that may be off by one, as the case states in words. */
const LEVELS_OFF_SHARE = 0.01;

async function decodeChecks(golden: GoldenCase, vae: Vae): Promise<Check[]> {
  const { io } = golden;
  const video = await vae.decode(io.get("final_latents"));
  const [, channels, frames, rows, columns] = video.shape as [number, number, number, number, number];
  const levels = levelsFromSigned(swapLeading(video.data, [channels, frames, rows, columns]), "truncate");
  const golden8 = io.get("frames").data;
  let worst = levels.length === golden8.length ? 0 : Number.POSITIVE_INFINITY;
  let off = 0;
  levels.forEach((level, i) => {
    const difference = Math.abs(level - golden8[i]!);
    worst = Math.max(worst, difference);
    if (difference > 0) off++;
  });
  return [
    { name: "frames: largest difference in levels", maxError: worst, tolerance: 1 },
    { name: "frames: share of levels off", maxError: off / levels.length, tolerance: LEVELS_OFF_SHARE },
  ];
}

/** The decoder's own output, before anything is clamped. */
async function unclampedCheck(golden: GoldenCase, config: VaeConfig, weights: WeightBinding): Promise<Check> {
  const latents = golden.io.get("final_latents");
  const z = denormalizeLatents(config, input("latents", latents.shape));
  const graph = await compile({ video: decodeLatents(new Params(), config, z) }, { weights });
  const { video } = await graph.run({ latents });
  await graph.release();
  return checkRelative("video", video!, golden.io.get("video"), golden.tolerance("relative_to_abs_max"));
}
