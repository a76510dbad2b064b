/**
 * Rotary tables computed on the host, as `rotaryTables` computes them in a graph: for graphs that get them as inputs.
 * @module
 */
import { f32, type NdArray } from "../../tensor/index.ts";
import type { QwenConfig } from "./config.ts";
import { ropeFrequencies } from "./positions.ts";

/**
 * Cosine and sine of all tokens' angles, `[rows, length, headWidth / 2]`.
 * @param positions `[3, rows, length]` i32
 */
export function ropeTables(
  config: Pick<QwenConfig, "text">,
  positions: NdArray,
): { readonly cos: NdArray; readonly sin: NdArray } {
  const [, rows, length] = positions.shape as [number, number, number];
  const { ropeSections, headWidth } = config.text;
  const frequencies = ropeFrequencies(config).data;
  const half = headWidth / 2;
  const axisOf = ropeSections.flatMap((section, axis) => new Array<number>(section).fill(axis));
  const cos = new Float32Array(rows * length * half);
  const sin = new Float32Array(rows * length * half);
  for (let token = 0; token < rows * length; token++)
    for (let j = 0; j < half; j++) {
      const place = positions.data[axisOf[j]! * rows * length + token]!;
      const angle = Math.fround(place * frequencies[j]!);
      cos[token * half + j] = Math.cos(angle);
      sin[token * half + j] = Math.sin(angle);
    }
  return { cos: f32(cos, [rows, length, half]), sin: f32(sin, [rows, length, half]) };
}
