/**
 * Weights of a suite's parts for the runtime: located in their files and mapped into memory, never read here.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { LoraOptions } from "../nn/index.ts";
import type { FileWeight, NdArray, WeightBinding } from "../tensor/index.ts";
import {
  inNaming,
  type KeyMap,
  openWeights,
  parseLoraName,
  qwenKeyMap,
  renamedSource,
  umt5KeyMap,
  type WeightSource,
  wanDitKeyMap,
  wanVaeKeyMap,
} from "../weights/index.ts";
import type { Suite, SuiteAdapter, WeightPaths } from "./suite.ts";

/** A part's weights, and its adapter if it has one. */
export interface PartWeights {
  readonly binding: WeightBinding;
  readonly lora: LoraOptions | undefined;
}

const MAPPED = { F32: "f32", BF16: "bf16", F16: "f16" } as const;

const isMapped = (dtype: string): dtype is keyof typeof MAPPED => Object.hasOwn(MAPPED, dtype);

/** The parts of a suite that answer. */
export type SuitePart = "vlm" | "vdm" | "vae" | "textEncoder";

/** The two namings in which each part's weights are published; models ask for those on the left. */
function namings(suite: Suite, part: SuitePart): KeyMap {
  if (part === "vlm") return qwenKeyMap;
  if (part === "vdm") return wanDitKeyMap;
  if (part === "textEncoder") return umt5KeyMap;
  const { num_res_blocks: resBlocks, dim_mult: levels } = suite.vae.config;
  return wanVaeKeyMap({ resBlocks, levels: levels.length });
}

/** Tensors of several files under one set of names; where two files have a name, the later one counts. */
type Located = ReadonlyMap<string, FileWeight | NdArray>;

/**
 * Opens the weights of a part, with the adapter that the suite gives it.
 *
 * @throws as `openWeights`; `VANS_SUITE_INVALID` for two adapters on one part or for one that changes nothing
 */
export async function openPart(suite: Suite, part: SuitePart): Promise<PartWeights> {
  const map = namings(suite, part);
  const base = await locate(suite[part].weights, (source) => inNaming(source, map));
  const adapters = suite.adapters.filter((adapter) => adapter.part === part);
  if (adapters.length > 1)
    throw new VansError("VANS_SUITE_INVALID", `${suite.name} has ${adapters.length} adapters on ${part}`, {
      fix: "merge them into one",
    });
  const [adapter] = adapters;
  if (!adapter) return { binding: bindingOf(base, suite[part].weights), lora: undefined };
  return withAdapter(base, adapter, suite[part].weights);
}

async function withAdapter(base: Located, adapter: SuiteAdapter, paths: WeightPaths): Promise<PartWeights> {
  const factors = await locate(adapter.weights, (source) =>
    renamedSource(source, (name) => {
      const lora = parseLoraName(name);
      return lora && `${lora.module}.lora_${lora.part}.weight`;
    }),
  );
  const suffix = /\.lora_[AB]\.weight$/;
  const layers = new Set([...factors.keys()].map((name) => name.replace(suffix, "")));
  const unknown = [...layers].filter((layer) => !base.has(`${layer}.weight`));
  if (layers.size === 0 || unknown.length > 0) {
    throw new VansError("VANS_SUITE_INVALID", "the adapter does not belong to the weights it is put on", {
      asked: adapter.weights.join(", "),
      found:
        layers.size === 0
          ? "no adapter factors in the file"
          : `no base layer for ${unknown.slice(0, 3).join(", ")}`,
      fix: "use the base model that the adapter was trained on",
    });
  }
  return {
    binding: bindingOf(new Map([...base, ...factors]), paths),
    lora: { rank: adapter.rank, alpha: adapter.alpha, targets: (layer) => layers.has(layer) },
  };
}

async function locate(
  paths: WeightPaths,
  named: (source: WeightSource) => WeightSource,
): Promise<Map<string, FileWeight | NdArray>> {
  const located = new Map<string, FileWeight | NdArray>();
  for (const path of paths) {
    const source = named(await openWeights(path));
    for (const name of source.names()) located.set(name, await locateTensor(source, name));
  }
  return located;
}

async function locateTensor(source: WeightSource, name: string): Promise<FileWeight | NdArray> {
  const { path, byteOffset, byteLength, dtype, shape, contiguous } = source.info(name);
  if (contiguous && isMapped(dtype)) return { path, byteOffset, byteLength, shape, dtype: MAPPED[dtype] };
  return { dtype: "f32", shape, data: await source.readFloat32(name) };
}

function bindingOf(tensors: Located, paths: WeightPaths): WeightBinding {
  return {
    weight(name) {
      const found = tensors.get(name);
      if (found) return found;
      throw new VansError("VANS_WEIGHTS_TENSOR_MISSING", `the weights have no tensor ${name}`, {
        asked: name,
        found: `${tensors.size} tensors in ${paths.join(", ")}`,
        why: "the configuration and the weights belong to different models, or the names are of another layout",
        fix: "use the config.json that came with the weights",
        data: { name, paths },
      });
    },
  };
}
