/**
 * One door for every weight file: safetensors, sharded folders, and torch `.pth` files.
 * @module
 */
import { stat } from "node:fs/promises";
import { type OpenPthOptions, openPth } from "./pth.ts";
import { findWeightFile, openSafetensors, openSafetensorsIndex, type WeightSource } from "./weight-source.ts";

/**
 * Opens weights without reading them: only headers are read.
 *
 * `path` may be a `.safetensors` file, an index `*.safetensors.index.json`, a folder with either under its usual
 * name, or a torch file (`.pth`, `.pt`, `.bin`, `.ckpt`).
 *
 * @throws `VANS_WEIGHTS_NOT_FOUND`, `VANS_WEIGHTS_TRUNCATED`, `VANS_WEIGHTS_HEADER_INVALID`,
 *   `VANS_WEIGHTS_INDEX_INVALID`, and for torch files `VANS_WEIGHTS_PICKLE_REFUSED`, `VANS_WEIGHTS_ZIP_INVALID`
 */
export async function openWeights(path: string, options: OpenPthOptions = {}): Promise<WeightSource> {
  const found = await stat(path).catch(() => undefined);
  const file = found?.isDirectory() ? await findWeightFile(path) : path;
  if (/\.(pth|pt|bin|ckpt)$/.test(file)) return openPth(file, options);
  return file.endsWith(".json") ? openSafetensorsIndex(file) : openSafetensors(file);
}
