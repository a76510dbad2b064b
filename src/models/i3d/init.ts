/**
 * First values, for tests and for training from nothing.
 * @module
 */
import { fold, type Key, normal } from "../../base/keys.ts";
import { Params } from "../../nn/index.ts";
import { f32, input, type NdArray, type Shape, sizeOf } from "../../tensor/index.ts";
import type { I3dConfig } from "./config.ts";
import { i3d } from "./network.ts";

/** Large enough for any network whose strides are those of the released one. */
const PROBE_SHAPE = [1, 3, 16, 224, 224] as const;

/** All parameters of the network by name, with their shapes, running statistics included. */
export function i3dParameters(config: I3dConfig): ReadonlyMap<string, Shape> {
  const params = new Params();
  i3d(params, config, input("videos", PROBE_SHAPE));
  return new Map([...params.tensors].map(([name, tensor]) => [name, tensor.shape]));
}

/** First values of all parameters: convolutions normal with deviation √(2 / fan-in) (He et al.), norms neutral. */
export function initI3d(config: I3dConfig, key: Key): Record<string, NdArray> {
  return Object.fromEntries(
    [...i3dParameters(config)].map(([name, shape]): [string, NdArray] => {
      const size = sizeOf(shape);
      if (/\.bn\.(weight|running_var)$/.test(name)) return [name, f32(new Float32Array(size).fill(1), shape)];
      if (shape.length === 1) return [name, f32(new Float32Array(size), shape)];
      const std = Math.sqrt(2 / sizeOf(shape.slice(1)));
      const values = normal(fold(key, name), size).map((z) => z * std);
      return [name, f32(values, shape)];
    }),
  );
}
