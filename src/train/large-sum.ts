/** Sums of gradients. @module */
import { f32, type NdArray } from "../tensor/index.ts";

/** Adds `share` times the gradients to a sum, which grows as needed. */
export function addGradients(
  sum: Record<string, NdArray>,
  own: Readonly<Record<string, NdArray>>,
  share: number,
): void {
  for (const [name, { shape, data }] of Object.entries(own)) {
    sum[name] ??= f32(new Float32Array(data.length), shape);
    const into = sum[name].data;
    for (let i = 0; i < data.length; i++) into[i]! += share * data[i]!;
  }
}
