/**
 * One door for every weight file: safetensors, sharded folders, and torch `.pth` files.
 * @module
 */
import { stat } from "node:fs/promises";
import { findWeightFile, openSafetensors, openSafetensorsIndex, type WeightSource } from "./weight-source.ts";

/**
 * Opens weights without reading them: only headers are read.
 *
 * `path` may be a `.safetensors` file, an index `*.safetensors.index.json`, or a folder with either under its usual
 * name.
 *
 * @throws `VANS_WEIGHTS_NOT_FOUND`, `VANS_WEIGHTS_TRUNCATED`, `VANS_WEIGHTS_HEADER_INVALID`,
 *   `VANS_WEIGHTS_INDEX_INVALID`
 */
export async function openWeights(path: string): Promise<WeightSource> {
  const found = await stat(path).catch(() => undefined);
  const file = found?.isDirectory() ? await findWeightFile(path) : path;
  return file.endsWith(".json") ? openSafetensorsIndex(file) : openSafetensors(file);
}
