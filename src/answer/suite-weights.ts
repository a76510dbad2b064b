/**
 * Weights of a suite's parts for the runtime: located in their files and mapped into memory, never read here.
 * @module
 */
import { VansError } from "../base/errors.ts";
import { qwenParameters } from "../models/qwen25vl/init.ts";
import { umt5Parameters } from "../models/umt5/init.ts";
import { ditParameters } from "../models/wan/dit-init.ts";
import { vaeParameterShapes } from "../models/wan/vae.ts";
import type { LoraOptions } from "../nn/index.ts";
import type { FileWeight, NdArray, QuantizedWeight, WeightBinding } from "../tensor/index.ts";
import {
  alphaNames,
  compareWeights,
  inNaming,
  type KeyMap,
  type LoadReport,
  matchAdapter,
  openWeights,
  quantizedWeights,
  qwenKeyMap,
  requireLoadable,
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
  /** The weights as they are stored, also where quantised ones take their place; for tables that rows are read from. */
  readonly stored: (name: string) => FileWeight | NdArray;
  /** What was found of the part itself and of its adapters, in this order. */
  readonly reports: readonly LoadReport[];
}

/** Options of {@link openPart}. */
export interface OpenPartOptions {
  /** A file that `writeQuantized` made of the part: its matrices take the place of the original ones. */
  readonly quantized?: string | undefined;
}

const MAPPED = { F32: "f32", BF16: "bf16", F16: "f16" } as const;

const isMapped = (dtype: string): dtype is keyof typeof MAPPED => Object.hasOwn(MAPPED, dtype);

/** The parts of a suite that answer. */
export type SuitePart = "vlm" | "vdm" | "vae" | "textEncoder";

/** The two namings in which each part's weights are published; models ask for those on the left. */
export function partNaming(suite: Suite, part: SuitePart): KeyMap {
  if (part === "vlm") return qwenKeyMap;
  if (part === "vdm") return wanDitKeyMap;
  if (part === "textEncoder") return umt5KeyMap;
  const { num_res_blocks: resBlocks, dim_mult: levels } = suite.vae.config;
  return wanVaeKeyMap({ resBlocks, levels: levels.length });
}

type Bound = FileWeight | QuantizedWeight | NdArray;

/** Tensors that files may hold beside what the model asks for: buffers, and tied weights stored twice. */
const HARMLESS = [/position_ids$/, /num_batches_tracked$/, /^lm_head\.weight$/, /rotary_emb\.inv_freq$/];

/** Names and shapes of what a part's model asks for. */
export function neededTensors(suite: Suite, part: SuitePart): ReadonlyMap<string, readonly number[]> {
  if (part === "vlm") return qwenParameters(suite.vlm.config);
  if (part === "vdm") return ditParameters(suite.vdm.config);
  if (part === "textEncoder") return umt5Parameters(suite.textEncoder.config);
  return vaeParameterShapes(suite.vae.config);
}

/**
 * Opens the weights of a part, with the adapters that the suite gives it. Headers are read, weights stay in their files.
 *
 * @throws as `openWeights`; `VANS_WEIGHTS_SHAPE_MISMATCH` or `VANS_WEIGHTS_TENSOR_MISSING` naming the tensors;
 *   `VANS_WEIGHTS_ADAPTER_UNMATCHED` for an adapter that changes nothing; `VANS_SUITE_INVALID` for two low-rank adapters
 *   on one part
 */
export async function openPart(
  suite: Suite,
  part: SuitePart,
  options: OpenPartOptions = {},
): Promise<PartWeights> {
  const map = partNaming(suite, part);
  const needed = neededTensors(suite, part);
  const sources = await Promise.all(
    suite[part].weights.map(async (path) => inNaming(await openWeights(path), map)),
  );
  const report = compareWeights(needed, joined(sources), { ignore: HARMLESS });
  // What a file holds beyond the model is reported and left alone; a hole or another shape is refused.
  requireLoadable({ ...report, unexpected: [] });
  const stored = new Map<string, FileWeight | NdArray>();
  for (const source of sources)
    for (const name of source.names())
      if (needed.has(name)) stored.set(name, await locateTensor(source, name));
  const tensors = new Map<string, Bound>(stored);
  if (options.quantized !== undefined) {
    const file = await openWeights(options.quantized);
    for (const [name, weight] of quantizedWeights(file))
      if (needed.has(name) || name === "lm_head.weight") tensors.set(name, weight);
  }
  const reports = [report];
  let lora: LoraOptions | undefined;
  for (const adapter of suite.adapters.filter((one) => one.part === part)) {
    const applied = await applyAdapter(tensors, needed, adapter, map);
    reports.push(...applied.reports);
    if (!applied.lora) continue;
    if (lora)
      throw new VansError("VANS_SUITE_INVALID", `${suite.name} has several low-rank adapters on ${part}`, {
        fix: "merge them into one",
      });
    lora = applied.lora;
  }
  return {
    binding: bindingOf(tensors, suite[part].weights),
    stored: (name) => stored.get(name)!,
    lora,
    reports,
  };
}

/** Several files as one; where two have a name, the later one counts. */
function joined(sources: readonly WeightSource[]): WeightSource {
  const owner = new Map<string, WeightSource>();
  for (const source of sources) for (const name of source.names()) owner.set(name, source);
  const names = [...owner.keys()].sort();
  const [first] = sources as [WeightSource];
  return {
    ...first,
    path: sources.map((source) => source.path).join(", "),
    names: () => names,
    has: (name) => owner.has(name),
    info: (name) => (owner.get(name) ?? first).info(name),
    read: (name) => (owner.get(name) ?? first).read(name),
    readFloat32: (name) => (owner.get(name) ?? first).readFloat32(name),
  };
}

/** Puts the tensors of an adapter among those of its base. */
async function applyAdapter(
  tensors: Map<string, Bound>,
  needed: ReadonlyMap<string, readonly number[]>,
  adapter: SuiteAdapter,
  map: KeyMap,
): Promise<{ readonly lora: LoraOptions | undefined; readonly reports: readonly LoadReport[] }> {
  const layers = new Set<string>();
  const reports: LoadReport[] = [];
  let { rank, alpha } = adapter;
  for (const path of adapter.weights) {
    const source = await openWeights(path);
    const found = matchAdapter(source, needed, map);
    reports.push(found.report);
    for (const [name, stored] of [...found.replaced, ...found.factors])
      tensors.set(name, await locateTensor(source, stored));
    for (const name of found.factors.keys()) layers.add(name.replace(/\.lora_[AB]\.weight$/, ""));
    if (rank !== undefined && found.rank !== undefined && rank !== found.rank)
      throw new VansError(
        "VANS_WEIGHTS_SHAPE_MISMATCH",
        `the adapter ${path} has another rank than its configuration`,
        {
          asked: `rank ${rank}`,
          found: `rank ${found.rank}`,
          fix: "use the adapter_config.json that came with the adapter",
        },
      );
    rank ??= found.rank;
    alpha ??= found.alpha ?? (await storedAlpha(source));
  }
  const isLora = layers.size > 0 && rank !== undefined;
  const lora = isLora
    ? { rank: rank!, alpha: alpha ?? rank!, targets: (layer: string) => layers.has(layer) }
    : undefined;
  return { lora, reports };
}

async function storedAlpha(source: WeightSource): Promise<number | undefined> {
  const [name] = alphaNames(source);
  return name === undefined ? undefined : (await source.readFloat32(name))[0];
}

async function locateTensor(source: WeightSource, name: string): Promise<FileWeight | NdArray> {
  const { path, byteOffset, byteLength, dtype, shape, contiguous } = source.info(name);
  if (contiguous && isMapped(dtype)) return { path, byteOffset, byteLength, shape, dtype: MAPPED[dtype] };
  return { dtype: "f32", shape, data: await source.readFloat32(name) };
}

function bindingOf(tensors: ReadonlyMap<string, Bound>, paths: WeightPaths): WeightBinding {
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
