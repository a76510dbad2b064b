/**
 * Parts of a suite in 4 or 8 bits: where their files lie, and making them.
 * @module
 */
import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { CompileOptions } from "../runtime/index.ts";
import { inNaming, openWeights, type QuantizationName, writeQuantized } from "../weights/index.ts";
import type { Suite } from "./suite.ts";
import { neededTensors, partNaming } from "./suite-weights.ts";

/** Parts with linear layers that are worth it. */
export type QuantizablePart = "vlm" | "textEncoder" | "vdm";

/** Where a quantised part lies: `$VANS_CACHE` or `~/.cache/vans`, by suite, version, part and type. */
export function quantizedPath(suite: Suite, part: QuantizablePart, to: QuantizationName): string {
  const cache =
    process.env["VANS_CACHE"] ?? join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "vans");
  const { name, version } = suite.manifest;
  return join(cache, "quantized", `${name}-${version}`, `${part}.${to}.safetensors`);
}

/** Matrices of linear layers in the blocks of a model; tables that are looked up, first and last layers stay as they are. */
export function isQuantizable(part: QuantizablePart, name: string): boolean {
  if (part === "vlm") return /^model\.layers\.\d+\.(self_attn|mlp)\..*_proj\.weight$/.test(name);
  if (part === "textEncoder")
    return /^encoder\.block\.\d+\.layer\.\d\.(SelfAttention\.[qkvo]|DenseReluDense\.w\w+)\.weight$/.test(
      name,
    );
  return /^blocks\.\d+\.((self|cross)_attn\.[qkvo]|ffn\.[02])\.weight$/.test(name);
}

/** Which parts of a suite are quantised, and how. */
export type QuantizedParts = Partial<Record<QuantizablePart, QuantizationName>>;

/** How the parts of a suite are opened. */
export interface PartOptions extends Pick<CompileOptions, "device" | "threads"> {
  /** Run the large models block by block over mapped weights. */
  readonly isBlockwise?: boolean;
  /** Files of quantised parts. */
  readonly quantized?: Partial<Record<QuantizablePart, string>>;
}

/** The files of quantised parts; those that are not there yet are made. */
export async function quantizedFiles(
  suite: Suite,
  parts: QuantizedParts,
): Promise<Partial<Record<QuantizablePart, string>>> {
  const files: Partial<Record<QuantizablePart, string>> = {};
  for (const [part, to] of Object.entries(parts) as [QuantizablePart, QuantizationName][])
    files[part] = await quantizePart(suite, part, to);
  return files;
}

/**
 * Writes a part of a suite quantised, unless it is there.
 * @returns path of the file
 */
export async function quantizePart(
  suite: Suite,
  part: QuantizablePart,
  to: QuantizationName,
  options: {
    readonly signal?: AbortSignal;
    readonly onProgress?: (done: number, total: number) => void;
  } = {},
): Promise<string> {
  const path = quantizedPath(suite, part, to);
  if (await stat(path).catch(() => undefined)) return path;
  const needed = neededTensors(suite, part);
  const [first] = suite[part].weights as [string];
  const source = inNaming(await openWeights(first), partNaming(suite, part));
  await writeQuantized(path, source, to, {
    isChosen: (name) => needed.has(name) && isQuantizable(part, name),
    ...options,
  });
  return path;
}
