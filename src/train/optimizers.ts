/**
 * Which optimizer a recipe gives to which parameter.
 * @module
 */
import { ADAMW, type OptimizerOptions } from "../nn/index.ts";
import type { Tensor } from "../tensor/index.ts";
import type { Recipe } from "./recipe.ts";

/** Muon suits matrices and kernels between hidden features; everything else gets AdamW. */
export function optimizerOf(
  recipe: Recipe,
  takesMuon: (name: string, tensor: Tensor) => boolean = (_, tensor) => tensor.rank >= 2,
): (name: string, tensor: Tensor) => OptimizerOptions {
  const { kind, beta1, beta2, weightDecay, adamwRateScale, momentum } = recipe.optimizer;
  return (name, tensor) => {
    if (kind === "muon" && takesMuon(name, tensor)) return { kind: "muon", momentum, rateScale: 1 };
    return {
      ...ADAMW,
      beta1,
      beta2,
      weightDecay: tensor.rank >= 2 ? weightDecay : 0,
      rateScale: kind === "muon" ? adamwRateScale : 1,
    };
  };
}
