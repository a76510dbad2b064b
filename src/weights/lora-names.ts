/**
 * Names of LoRA weights as PEFT and VANS write them.
 *
 * PEFT in memory and VANS checkpoints: `base_model.model.<path>.lora_A.<adapter>.weight`; PEFT on disk
 * (`adapter_model.safetensors`) leaves the adapter out; VANS prefixes `pipe.mllm.mllm_backbone.`.
 * @module
 */

/** One LoRA factor: `A` is `[rank, in]`, `B` is `[out, rank]`. */
export interface LoraName {
  /** Path of the linear layer inside the base model, for example `model.layers.0.mlp.up_proj`. */
  readonly module: string;
  readonly part: "A" | "B";
}

/** The prefix of LoRA names in the released VANS checkpoint. */
export const VANS_LORA_PREFIX = "pipe.mllm.mllm_backbone.";

const PEFT_PREFIX = "base_model.model.";
const LORA_NAME = /^(?<module>.+)\.lora_(?<part>[AB])(?:\.(?<adapter>[^.]+))?\.weight$/;

/**
 * The layer and factor that a LoRA name means, whatever prefixes it carries; undefined for other names.
 *
 * @example
 * ```ts
 * import { parseLoraName } from "vans/weights";
 * const name = parseLoraName("base_model.model.model.layers.0.mlp.up_proj.lora_A.default.weight");
 * name?.module; // => "model.layers.0.mlp.up_proj"
 * ```
 */
export function parseLoraName(name: string): LoraName | undefined {
  const groups = LORA_NAME.exec(name)?.groups;
  if (groups === undefined) return undefined;
  return { module: baseModelPath(groups["module"]!), part: groups["part"] as "A" | "B" };
}

/** The base model's own name of a tensor of a PEFT model (`…base_layer.weight` included); LoRA factors are undefined. */
export function peftBaseName(name: string): string | undefined {
  if (LORA_NAME.test(name)) return undefined;
  return baseModelPath(name).replace(/\.base_layer\.(weight|bias)$/, ".$1");
}

function baseModelPath(path: string): string {
  const at = path.indexOf(PEFT_PREFIX);
  return at >= 0 ? path.slice(at + PEFT_PREFIX.length) : path;
}

/** Options of {@link loraName}. */
export interface LoraNameOptions {
  /** Adapter name; `null` for PEFT's on-disk names, which have none. Default `default`. */
  readonly adapter?: string | null;
  /** What stands before `base_model.model.`; {@link VANS_LORA_PREFIX} for the released layout. Default none. */
  readonly prefix?: string;
}

/** The PEFT name of a LoRA factor. */
export function loraName(
  { module, part }: LoraName,
  { adapter = "default", prefix = "" }: LoraNameOptions = {},
): string {
  const named = adapter === null ? "" : `.${adapter}`;
  return `${prefix}${PEFT_PREFIX}${module}.lora_${part}${named}.weight`;
}
