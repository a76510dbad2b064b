/**
 * Adapters: files that change a base model, either low-rank factors or new values of its tensors, in any of the namings
 * in which they are published.
 *
 * Known wrappers around a name: PEFT (`base_model.model.`, `.base_layer.`, an adapter's name or none), VANS
 * (`pipe.mllm.mllm_backbone.`, `dit.`), DiffSynth (bare names), diffusers (`transformer.`), ComfyUI
 * (`diffusion_model.`); `lora_down`/`lora_up` with `.alpha` as kohya writes them.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { KeyMap } from "./key-map.ts";
import { describeLoadReport, type LoadReport } from "./load-report.ts";
import type { WeightSource } from "./weight-source.ts";

/** What an adapter file holds, in the names of the base model. */
export interface AdapterTensors {
  /** Name in the file of each low-rank factor, by `<layer>.lora_A.weight` and `<layer>.lora_B.weight`. */
  readonly factors: ReadonlyMap<string, string>;
  /** Name in the file of each tensor that takes the place of the base model's. */
  readonly replaced: ReadonlyMap<string, string>;
  /** Rank of the factors; undefined without any. */
  readonly rank: number | undefined;
  /** alpha where the file says it (kohya's `.alpha`, PEFT's in the metadata of diffusers). */
  readonly alpha: number | undefined;
  /** `missing`: factors without their other half. */
  readonly report: LoadReport;
}

const WRAPPERS = [
  "pipe.",
  "mllm.mllm_backbone.",
  "base_model.model.",
  "dit.",
  "vdm.",
  "transformer.",
  "model.diffusion_model.",
  "diffusion_model.",
  "module.",
] as const;

const FACTOR = /^(?<layer>.+)\.lora_(?<part>A|B|down|up)(?:\.(?<adapter>[^.]+))?\.weight$/;

function unwrapped(name: string): string {
  let rest = name;
  for (let again = true; again; ) {
    const wrapper = WRAPPERS.find((prefix) => rest.startsWith(prefix));
    again = wrapper !== undefined;
    if (wrapper !== undefined) rest = rest.slice(wrapper.length);
  }
  return rest.replace(/\.base_layer\.(weight|bias)$/, ".$1");
}

/**
 * Finds the place of every tensor of an adapter in a base model.
 *
 * @param base names and shapes of the base model, in its own naming
 * @param naming from the base's naming to the other published one
 * @throws `VANS_WEIGHTS_ADAPTER_UNMATCHED` where no tensor belongs to the base, `VANS_WEIGHTS_SHAPE_MISMATCH` naming every
 *   tensor of another shape
 */
export function matchAdapter(
  source: WeightSource,
  base: ReadonlyMap<string, readonly number[]>,
  naming: KeyMap,
): AdapterTensors {
  const known = (name: string): string | undefined => {
    if (base.has(name)) return name;
    const other = naming.unmap(name);
    return other !== undefined && base.has(other) ? other : undefined;
  };
  const factors = new Map<string, string>();
  const replaced = new Map<string, string>();
  const matched: string[] = [];
  const unexpected: string[] = [];
  const mismatched: LoadReport["mismatched"][number][] = [];
  const ranks = new Set<number>();
  const alphas: string[] = [];
  for (const name of source.names()) {
    const { shape } = source.info(name);
    const bare = unwrapped(name);
    const groups = FACTOR.exec(bare)?.groups;
    if (groups === undefined) {
      const alpha = /^(.+)\.alpha$/.exec(bare);
      if (alpha && known(`${alpha[1]}.weight`)) {
        alphas.push(name);
        matched.push(name);
        continue;
      }
      const target = known(bare);
      if (target === undefined) unexpected.push(name);
      else if (base.get(target)!.join() !== shape.join())
        mismatched.push({ name, asked: base.get(target)!, found: shape });
      else {
        replaced.set(target, name);
        matched.push(name);
      }
      continue;
    }
    const weight = known(`${groups["layer"]}.weight`);
    if (weight === undefined) {
      unexpected.push(name);
      continue;
    }
    const isDown = groups["part"] === "A" || groups["part"] === "down";
    const [out, width] = base.get(weight)! as [number, number];
    const rank = shape[isDown ? 0 : 1] ?? 0;
    const asked = isDown ? [rank, width] : [out, rank];
    if (shape.join() !== asked.join() || rank < 1) {
      mismatched.push({ name, asked, found: shape });
      continue;
    }
    ranks.add(rank);
    factors.set(`${weight.replace(/\.weight$/, "")}.lora_${isDown ? "A" : "B"}.weight`, name);
    matched.push(name);
  }
  const missing = [...factors.keys()]
    .map((name) => name.replace(/\.lora_([AB])\./, (_, part) => `.lora_${part === "A" ? "B" : "A"}.`))
    .filter((name) => !factors.has(name))
    .sort();
  const report: LoadReport = { path: source.path, matched, missing, unexpected, mismatched, ignored: [] };
  const data = { ...report };
  if (mismatched.length > 0 || ranks.size > 1)
    throw new VansError(
      "VANS_WEIGHTS_SHAPE_MISMATCH",
      `the adapter ${source.path} has other shapes than the model`,
      {
        found:
          mismatched.length > 0
            ? describeLoadReport(report)
            : `ranks ${[...ranks].sort((a, b) => a - b).join(", ")}`,
        why: "the adapter was made for another model",
        fix: "use the base model that the adapter was trained on",
        data,
      },
    );
  if (matched.length === 0 || missing.length > 0)
    throw new VansError(
      "VANS_WEIGHTS_ADAPTER_UNMATCHED",
      matched.length === 0
        ? `no tensor of the adapter ${source.path} belongs to the model`
        : `the adapter ${source.path} is not complete`,
      {
        found: describeLoadReport(report),
        why:
          matched.length === 0
            ? "it belongs to another model, or uses names that are not known here"
            : "factors lack their other half",
        fix: "use the base model that the adapter was trained on, or fetch the adapter again",
        data,
      },
    );
  return { factors, replaced, rank: [...ranks][0], alpha: alphaOf(source), report };
}

/** alpha from the metadata that diffusers writes beside the factors. */
function alphaOf(source: WeightSource): number | undefined {
  const text = source.metadata["lora_adapter_metadata"];
  if (text === undefined) return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    const entries = Object.entries(parsed as Record<string, unknown>);
    const found = entries.find(([key]) => key === "lora_alpha" || key.endsWith(".lora_alpha"))?.[1];
    return typeof found === "number" ? found : undefined;
  } catch {
    return undefined;
  }
}

/** Names of the tensors that hold kohya's alpha, one a layer. */
export function alphaNames(source: WeightSource): string[] {
  return source.names().filter((name) => /\.alpha$/.test(name));
}
