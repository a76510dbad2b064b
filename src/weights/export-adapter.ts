/**
 * Low-rank adapters as other programs load them.
 *
 * | naming | names | scale | loaded by |
 * | --- | --- | --- | --- |
 * | `peft` | `base_model.model.<layer>.lora_A.weight` | in `adapter_config.json` | PEFT, transformers |
 * | `vans` | `pipe.mllm.mllm_backbone.base_model.model.<layer>.lora_A.default.weight` | alpha 32 of rank 8, fixed in its code | the released VANS |
 * | `diffsynth` | `<layer>.lora_A.default.weight` | folded into B | DiffSynth-Studio |
 * | `diffusers` | `transformer.<layer>.lora_A.weight`, diffusers' layer names | folded into B, alpha = rank in the metadata | diffusers |
 *
 * Sources: peft `utils/save_and_load.py`, DiffSynth-Studio `lora/__init__.py` (alpha 1, no division by the rank), diffusers
 * `loaders/lora_pipeline.py` (`lora_adapter_metadata`).
 * @module
 */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { VansError } from "../base/errors.ts";
import type { KeyMap } from "./key-map.ts";
import { loraName, VANS_LORA_PREFIX } from "./lora-names.ts";
import { type WritableTensor, writeSafetensors } from "./safetensors.ts";

/** How an exported adapter names its tensors. */
export type AdapterNaming = "peft" | "vans" | "diffsynth" | "diffusers";

/** An adapter in memory. */
export interface LoraAdapter {
  readonly rank: number;
  readonly alpha: number;
  /** By `<layer>.lora_A.weight` (`[rank, in]`) and `<layer>.lora_B.weight` (`[out, rank]`), the base's own layer names. */
  readonly factors: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>
  >;
}

/** Options of {@link exportAdapter}. */
export interface ExportAdapterOptions {
  readonly naming: AdapterNaming;
  /** From the base's names to those of diffusers; needed for `diffusers`. */
  readonly map?: KeyMap;
  /** Type on disk; default F32. */
  readonly dtype?: "F32" | "BF16" | "F16";
  /** Hub name of the base model, for PEFT's configuration. */
  readonly baseModel?: string;
}

const FACTOR = /^(.+)\.lora_([AB])\.weight$/;

/** The tensors of an adapter under the names of another program, with what its scale demands. */
export function adapterTensors(
  adapter: LoraAdapter,
  { naming, map }: Pick<ExportAdapterOptions, "naming" | "map">,
): Map<string, WritableTensor> {
  const isFolded = naming === "diffsynth" || naming === "diffusers";
  const scale = adapter.alpha / adapter.rank;
  const tensors = new Map<string, WritableTensor>();
  for (const [name, { shape, data }] of Object.entries(adapter.factors)) {
    const [, layer, part] = FACTOR.exec(name) ?? [];
    if (layer === undefined)
      throw new VansError("VANS_WEIGHTS_ADAPTER_UNMATCHED", `${name} is no factor of an adapter`, {
        asked: "<layer>.lora_A.weight and <layer>.lora_B.weight",
      });
    const written = isFolded && part === "B" ? data.map((value) => value * scale) : data;
    tensors.set(exportedName(layer, part as "A" | "B", naming, map), { shape, data: written });
  }
  return tensors;
}

function exportedName(
  layer: string,
  part: "A" | "B",
  naming: AdapterNaming,
  map: KeyMap | undefined,
): string {
  if (naming === "peft") return loraName({ module: layer, part }, { adapter: null });
  if (naming === "vans") return loraName({ module: layer, part }, { prefix: VANS_LORA_PREFIX });
  if (naming === "diffsynth") return `${layer}.lora_${part}.default.weight`;
  const mapped = map?.map(`${layer}.weight`);
  if (mapped === undefined)
    throw new VansError("VANS_WEIGHTS_NAMING_UNKNOWN", `diffusers has no name for the layer ${layer}`, {
      fix: "export in another naming",
    });
  return `transformer.${mapped.replace(/\.weight$/, "")}.lora_${part}.weight`;
}

/** The last names of adapted layers, as PEFT's `target_modules`. */
function targetModules(adapter: LoraAdapter): string[] {
  const layers = Object.keys(adapter.factors).map((name) => FACTOR.exec(name)?.[1] ?? name);
  return [...new Set(layers.map((layer) => layer.slice(layer.lastIndexOf(".") + 1)))].sort();
}

/**
 * Writes an adapter. `peft` makes a folder with `adapter_model.safetensors` and `adapter_config.json`, the others one file.
 *
 * @returns paths of the files
 * @throws `VANS_WEIGHTS_ADAPTER_UNMATCHED`, `VANS_WEIGHTS_NAMING_UNKNOWN`
 */
export async function exportAdapter(
  path: string,
  adapter: LoraAdapter,
  options: ExportAdapterOptions,
): Promise<string[]> {
  const { naming, dtype = "F32", baseModel } = options;
  const tensors = adapterTensors(adapter, options);
  const { rank, alpha } = adapter;
  if (naming !== "peft") {
    await mkdir(dirname(path), { recursive: true });
    const peft = {
      "transformer.r": rank,
      "transformer.lora_alpha": rank,
      "transformer.target_modules": targetModules(adapter),
    };
    const metadata = {
      format: "pt",
      ...(naming === "diffusers" && { lora_adapter_metadata: JSON.stringify(peft) }),
    };
    await writeSafetensors(path, tensors, { dtype, metadata });
    return [path];
  }
  await mkdir(path, { recursive: true });
  const weights = join(path, "adapter_model.safetensors");
  const config = join(path, "adapter_config.json");
  await writeSafetensors(weights, tensors, { dtype, metadata: { format: "pt" } });
  const json = {
    peft_type: "LORA",
    task_type: null,
    base_model_name_or_path: baseModel ?? null,
    inference_mode: true,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    bias: "none",
    fan_in_fan_out: false,
    use_rslora: false,
    use_dora: false,
    target_modules: targetModules(adapter),
  };
  await writeFile(config, `${JSON.stringify(json, undefined, 2)}\n`);
  return [weights, config];
}
