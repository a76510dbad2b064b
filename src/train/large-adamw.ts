/**
 * AdamW on arrays in memory, for adapters of models that no graph holds as a whole.
 * @module
 */
import type { NdArray } from "../tensor/index.ts";

/** Moments of AdamW by parameter. */
export interface AdamWState {
  step: number;
  readonly first: Record<string, Float32Array>;
  readonly second: Record<string, Float32Array>;
}

/**
 * One AdamW step on arrays in memory (Loshchilov & Hutter, arXiv 1711.05101; torch's defaults), after clipping the
 * gradients' norm over all parameters.
 * @returns the norm before clipping
 */
export function adamwStep(
  parameters: Readonly<Record<string, NdArray>>,
  gradients: Readonly<Record<string, NdArray>>,
  state: AdamWState,
  options: {
    readonly rate: number;
    readonly beta1?: number;
    readonly beta2?: number;
    readonly weightDecay?: number;
    readonly clipNorm?: number;
  },
): number {
  const { rate, beta1 = 0.9, beta2 = 0.999, weightDecay = 0.01, clipNorm = 1 } = options;
  const epsilon = 1e-8;
  let square = 0;
  for (const { data } of Object.values(gradients)) for (const value of data) square += value * value;
  const norm = Math.sqrt(square);
  const scale = norm > clipNorm ? clipNorm / (norm + 1e-6) : 1;
  state.step++;
  const [fix1, fix2] = [1 - beta1 ** state.step, 1 - beta2 ** state.step];
  for (const [name, { data: g }] of Object.entries(gradients)) {
    const w = parameters[name]!.data;
    state.first[name] ??= new Float32Array(g.length);
    state.second[name] ??= new Float32Array(g.length);
    const [m, v] = [state.first[name], state.second[name]];
    for (let i = 0; i < g.length; i++) {
      const one = g[i]! * scale;
      m[i] = beta1 * m[i]! + (1 - beta1) * one;
      v[i] = beta2 * v[i]! + (1 - beta2) * one * one;
      w[i] = w[i]! * (1 - rate * weightDecay) - (rate * (m[i]! / fix1)) / (Math.sqrt(v[i]! / fix2) + epsilon);
    }
  }
  return norm;
}
