/**
 * Parts of a suite in 4 or 8 bits: where their files lie, and making them.
 * @module
 */
import { createHash } from "node:crypto";
import { realpath, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type CompileOptions, integerProductsSaturate } from "../runtime/index.ts";
import {
  inNaming,
  LEVELS_7_BITS,
  openWeights,
  QUANTIZATIONS,
  type QuantizationName,
  writeQuantized,
} from "../weights/index.ts";
import type { Suite } from "./suite.ts";
import { neededTensors, partNaming } from "./suite-weights.ts";

/** Parts with linear layers that are worth it. */
export type QuantizablePart = "vlm" | "textEncoder" | "vdm";

/** Name of the last layer of the language model. */
const HEAD = "lm_head.weight";

/** A file of another processor may not do: where integer products saturate, weights of products with 8-bit activations have 7 bits. */
const has7Bits = async (to: QuantizationName): Promise<boolean> =>
  QUANTIZATIONS[to].scheme === "rows" && (await integerProductsSaturate());

/**
 * Where a quantised part lies: `$VANS_CACHE` or `~/.cache/vans`, by suite, part, type, and what the original files are (other
 * files under the same name are another part).
 */
export async function quantizedPath(
  suite: Suite,
  part: QuantizablePart,
  to: QuantizationName,
): Promise<string> {
  const cache =
    process.env["VANS_CACHE"] ?? join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "vans");
  const hash = createHash("sha256");
  for (const path of suite[part].weights) {
    const found = await stat(path);
    hash.update(JSON.stringify([await realpath(path), found.size, found.mtimeMs]));
  }
  const form = (await has7Bits(to)) ? `${to}-7` : to;
  const name = `${part}.${form}.${hash.digest("hex").slice(0, 12)}.safetensors`;
  return join(cache, "quantized", suite.name, name);
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
  const path = await quantizedPath(suite, part, to);
  if (await stat(path).catch(() => undefined)) return path;
  const needed = neededTensors(suite, part);
  const [first] = suite[part].weights as [string];
  const source = inNaming(await openWeights(first), partNaming(suite, part));
  await writeQuantized(path, source, to, {
    isChosen: (name) => needed.has(name) && isQuantizable(part, name),
    // The table that tokens are looked up in stays as it is; its other role, the last layer, gets a matrix of its own.
    ...(part === "vlm" &&
      suite.vlm.config.text.tiesEmbeddings && { alsoAs: { "model.embed_tokens.weight": HEAD } }),
    ...((await has7Bits(to)) && { levels: LEVELS_7_BITS }),
    ...options,
  });
  return path;
}
