/**
 * Linear layers, with a low-rank adapter where the scope asks for one.
 * @module
 */
import { add, linear as linearOp, mul, type Tensor } from "../tensor/index.ts";
import type { Params } from "./params.ts";

/** Sizes of a linear layer. */
export interface LinearOptions {
  /** Size of the output. */
  readonly out: number;
  /** Default true. */
  readonly bias?: boolean;
}

/**
 * `x · weightᵀ + bias`, plus `(alpha / rank) · x · Aᵀ · Bᵀ` where the layer has an adapter
 * (`lora_A.weight` `[rank, in]`, `lora_B.weight` `[out, rank]`, PEFT's names).
 * @param x `[…, in]`
 * @returns `[…, out]`
 */
export function linear(params: Params, x: Tensor, options: LinearOptions): Tensor {
  const width = x.size(-1);
  const weight = params.get("weight", [options.out, width]);
  const y = linearOp(x, weight, (options.bias ?? true) ? params.get("bias", [options.out]) : undefined);
  if (!params.hasLora) return y;
  const { rank, alpha } = params.lora!;
  const down = linearOp(x, params.get("lora_A.weight", [rank, width]));
  return add(y, mul(linearOp(down, params.get("lora_B.weight", [options.out, rank])), alpha / rank));
}
