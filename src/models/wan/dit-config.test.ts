import { expect, it } from "vitest";
import { ditConfig, ditHeadWidth, WAN_T2V_1_3B } from "./dit-config.ts";

const original = { model_type: "t2v", dim: 40, ffn_dim: 72, num_heads: 2, num_layers: 3, text_dim: 32 };
const diffusers = {
  num_attention_heads: 2,
  attention_head_dim: 20,
  ffn_dim: 72,
  num_layers: 3,
  text_dim: 32,
};

it("reads both published forms alike", () => {
  expect(ditConfig(original)).toEqual(ditConfig(diffusers));
  expect(ditHeadWidth(WAN_T2V_1_3B)).toBe(128);
});

const refused = [
  ["image-to-video", { ...original, model_type: "i2v" }, "model_type"],
  ["image embeddings", { ...diffusers, image_dim: 1280 }, "image_dim"],
  ["VACE", { ...diffusers, vace_layers: [0, 2] }, "vace_layers"],
  ["another norm", { ...diffusers, qk_norm: "rms_norm" }, "qk_norm"],
  ["an odd head", { ...original, dim: 42, num_heads: 6 }, "6 heads"],
  ["a missing size", { ...original, dim: undefined }, "dim"],
  ["an odd number of time features", { ...original, freq_dim: 7 }, "freq_dim"],
] as const;

it.each(refused)("refuses %s and says which field", (_, json, field) => {
  expect(() => ditConfig(json)).toThrowError(
    expect.objectContaining({ code: "VANS_MODEL_CONFIG", message: expect.stringContaining(field) }),
  );
});
