/**
 * What the golden cases of the vision-language model share: frames, prompts, adapters under their names on disk.
 * @module
 */
import { dirname, join } from "node:path";
import {
  type PositionRule,
  type QwenConfig,
  qwenConfig,
  qwenLora,
  type RgbFrames,
} from "../../src/models/qwen25vl/index.ts";
import type { LoraOptions } from "../../src/nn/index.ts";
import type { NdArray, WeightBinding } from "../../src/tensor/index.ts";
import { parseLoraName } from "../../src/weights/index.ts";
import { GoldenCase, type TensorFile } from "./case.ts";

/** Frames as the cases store them, `[T, 3, H, W]`, in our order. */
export function framesOf(stored: NdArray): RgbFrames {
  const [frameCount, channels, height, width] = stored.shape as [number, number, number, number];
  const plane = height * width;
  const rgb = new Uint8Array(stored.data.length);
  for (let frame = 0; frame < frameCount; frame++)
    for (let channel = 0; channel < channels; channel++)
      for (let i = 0; i < plane; i++)
        rgb[(frame * plane + i) * channels + channel] =
          stored.data[(frame * channels + channel) * plane + i]!;
  return { frameCount, height, width, rgb };
}

/** The rule of the transformers version that made a case. */
export function positionRule(golden: GoldenCase): PositionRule {
  const { references = [] } = golden.json as { references?: { library?: string; version?: string }[] };
  const version = references.find(({ library }) => library === "transformers")?.version ?? "";
  const major = Number.parseInt(version, 10);
  return major >= 5 ? "transformers-5" : version.startsWith("4.57") ? "transformers-4.57" : "original";
}

/** The model's configuration, which stands in the case whose weights are used. */
export async function configBeside(golden: GoldenCase, weights: string): Promise<QwenConfig> {
  const owner = await GoldenCase.open(dirname(join(golden.folder, weights)));
  return qwenConfig(owner.config("transformers_Qwen2_5_VLConfig"));
}

/** Rank, alpha and layers of a case's `peft_LoraConfig`. */
export function loraOf(golden: GoldenCase): LoraOptions {
  const { r, lora_alpha, target_modules } = golden.config<{
    r: number;
    lora_alpha: number;
    target_modules: string[];
  }>("peft_LoraConfig");
  return qwenLora({ rank: r, alpha: lora_alpha, targets: target_modules });
}

/** The name of an adapter tensor in the model, given its name on disk. */
export function adapterName(name: string): string {
  const lora = parseLoraName(name);
  return lora ? `${lora.module}.lora_${lora.part}.weight` : name;
}

/** Adapter tensors under the model's names, all marked as used. */
export function adapterTensors(file: TensorFile): Record<string, NdArray> {
  return Object.fromEntries(file.names().map((name) => [adapterName(name), file.get(name)]));
}

/** Base weights and adapters as one binding. */
export function bindAdapted(base: TensorFile, adapters: TensorFile): WeightBinding {
  const own = adapterTensors(adapters);
  const below = base.binding();
  return { weight: (name) => own[name] ?? below.weight(name) };
}
