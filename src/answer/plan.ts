/**
 * What a suite needs in memory, stage by stage, before anything is loaded: from configurations, committed tensor tables and
 * the graphs themselves. Neither weights nor network are used.
 *
 * Predicted is the peak of anonymous pages on the CPU, block by block over mapped weights; mapped weights are page cache
 * that the system takes back when it needs to.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { latentFrameCount, vaeStride } from "../models/wan/vae-config.ts";
import { tableBytes } from "../weights/index.ts";
import { languageStages, textStage } from "./plan-language.ts";
import type { MemoryPlan, PlannedStage, PlanOptions } from "./plan-types.ts";
import { ditStage, vaeStage } from "./plan-video.ts";
import type { QuantizedParts } from "./quantized-parts.ts";
import type { Suite } from "./suite.ts";
import { readSuiteTables } from "./suite-tables.ts";

/** What Node, the runtime and this package take, graphs of all blocks included; measured (docs/performance.md). */
export const BASE_BYTES = 105e6;
/** The same where little is made on the way: the two graphs of the autoencoder, those of one token. */
const START_BYTES = 88e6;

/**
 * Checks that the video model can draw a size.
 * @throws `VANS_PLAN_SIZE`
 */
export function requireDrawable(
  suite: Suite,
  size: { readonly height: number; readonly width: number },
): void {
  const { space } = vaeStride(suite.vae.config);
  const [, rows, columns] = suite.vdm.config.patchSize;
  const [down, across] = [space * rows, space * columns];
  const isWhole = (value: number, step: number): boolean => value > 0 && value % step === 0;
  if (isWhole(size.height, down) && isWhole(size.width, across)) return;
  const near = (value: number, step: number): number => Math.max(step, Math.round(value / step) * step);
  throw new VansError("VANS_PLAN_SIZE", "the video model cannot draw this size", {
    asked: `${size.width}x${size.height} (width x height)`,
    why: `a token is ${across}x${down} pixels`,
    fix: `use --height ${near(size.height, down)} --width ${near(size.width, across)}`,
  });
}

/** Predicts the memory of one answer. */
export async function planMemory(suite: Suite, options: PlanOptions = {}): Promise<MemoryPlan> {
  const { answer } = suite.manifest;
  const frames = options.frames ?? answer.answerFrames;
  const height = options.height ?? answer.height;
  const width = options.width ?? answer.width;
  requireDrawable(suite, { height, width });
  latentFrameCount(suite.vae.config, frames);
  const tables = await readSuiteTables(suite);
  const quantized = options.quantized ?? {};
  const size = { frames, height, width };
  const onDevice = options.device !== undefined && options.device !== "cpu";
  const stages = [
    ...languageStages(suite, tables, options),
    textStage(suite, tables, quantized),
    vaeStage(suite, tables, size, "vae-encode"),
    ditStage(suite, tables, size, quantized),
    vaeStage(suite, tables, size, "vae-decode"),
  ].map(({ stage, anonymousBytes, mappedBytes, deviceBytes, flops }): PlannedStage => {
    // On a device the weights of a stage are there as a whole.
    const isPlain =
      stage === "vision" || stage.startsWith("vae") || (stage === "decode" && quantized.vlm === undefined);
    const weights = onDevice ? deviceBytes : isPlain ? START_BYTES : BASE_BYTES;
    const bytes = Math.round(anonymousBytes + weights);
    const fits = options.memoryBytes === undefined ? undefined : bytes <= options.memoryBytes;
    return { stage, anonymousBytes: bytes, mappedBytes, flops, fits };
  });
  const peakBytes = Math.max(...stages.map((stage) => stage.anonymousBytes));
  return {
    suite: suite.name,
    device: options.device ?? "cpu",
    settings: size,
    quantized,
    diskBytes: [...tables.values()].reduce((total, table) => total + tableBytes(table), 0),
    stages,
    peakBytes,
    memoryBytes: options.memoryBytes,
    fits: options.memoryBytes === undefined ? undefined : peakBytes <= options.memoryBytes,
  };
}

/**
 * The least change of settings that fits: fewer bits first, then fewer frames, then a smaller picture.
 * @returns undefined where nothing fits
 */
export async function fittingPlan(suite: Suite, options: PlanOptions): Promise<MemoryPlan | undefined> {
  const { answer } = suite.manifest;
  const { space, time } = vaeStride(suite.vae.config);
  const [, rows, columns] = suite.vdm.config.patchSize;
  const asked = {
    frames: options.frames ?? answer.answerFrames,
    height: options.height ?? answer.height,
    width: options.width ?? answer.width,
  };
  const whole = (value: number, step: number): number => Math.max(step, Math.floor(value / step) * step);
  const scales = [1, 0.75, 0.5, 0.375, 0.25];
  const frames = [asked.frames, 1 + time * Math.floor((asked.frames - 1) / time / 2), 1 + time];
  const weights: QuantizedParts[] = [
    options.quantized ?? {},
    { vlm: "8bit", textEncoder: "8bit" },
    { vlm: "4bit", textEncoder: "4bit" },
  ];
  for (const scale of scales)
    for (const count of new Set(frames.filter((one) => one >= 1 && one <= asked.frames)))
      for (const quantized of weights) {
        const plan = await planMemory(suite, {
          ...options,
          quantized,
          frames: count,
          height: whole(asked.height * scale, space * rows),
          width: whole(asked.width * scale, space * columns),
        });
        if (plan.fits) return plan;
      }
  return undefined;
}
