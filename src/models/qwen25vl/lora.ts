/**
 * Adapters of the language model.
 * @module
 */
import type { LoraOptions } from "../../nn/index.ts";

/**
 * Layers that VANS adapts. The names match the vision tower's MLPs too, but not its attention (models.md: the released
 * `vlm.safetensors` has the same layers).
 */
export const VANS_LORA_TARGETS = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
] as const;

/**
 * Adapters on all layers whose last name is listed, as PEFT's `target_modules` selects them. Defaults are those of the
 * released VANS: rank 8, alpha 32.
 *
 * @example
 * ```ts
 * import { qwenLora } from "vans/models/qwen25vl";
 * qwenLora().targets("model.layers.3.self_attn.q_proj"); // => true
 * qwenLora().targets("visual.blocks.3.attn.qkv"); // => false
 * ```
 */
export function qwenLora(
  options: { readonly rank?: number; readonly alpha?: number; readonly targets?: readonly string[] } = {},
): LoraOptions {
  const { rank = 8, alpha = 32, targets = VANS_LORA_TARGETS } = options;
  return {
    rank,
    alpha,
    targets: (layer) => targets.some((target) => layer === target || layer.endsWith(`.${target}`)),
  };
}
