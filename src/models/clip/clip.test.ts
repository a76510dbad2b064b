import { describe, expect, it } from "vitest";
import { relativeError } from "../../../test/conformance/case.ts";
import { keyFromSeed } from "../../base/keys.ts";
import { Params } from "../../nn/index.ts";
import { interpret } from "../../runtime/index.ts";
import { f32, i32, input, type NdArray } from "../../tensor/index.ts";
import {
  CLIP_VIT_L_14,
  ClipRunner,
  clipConfig,
  clipParameters,
  clipSimilarity,
  clipTextFeatures,
  contrastiveLoss,
  initClip,
} from "./index.ts";

const FIELDS = {
  projection_dim: 6,
  text_config: {
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    vocab_size: 20,
    max_position_embeddings: 7,
    hidden_act: "gelu",
    eos_token_id: 5,
  },
  vision_config: {
    hidden_size: 12,
    intermediate_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 3,
    image_size: 8,
    patch_size: 4,
  },
};

const config = clipConfig(FIELDS);
const weights = initClip(config, keyFromSeed(2));

function wave(shape: readonly number[]): NdArray {
  const size = shape.reduce((a, b) => a * b, 1);
  return f32(
    Float32Array.from({ length: size }, (_, i) => Math.sin(0.7 * i)),
    shape,
  );
}

describe("CLIP", () => {
  it("agrees with the interpreter, batch by batch", async () => {
    const images = wave([3, 3, 8, 8]);
    const ids = i32([1, 7, 8, 5, 0, 0, 0, 1, 5, 5, 5, 5, 5, 5], [2, 7]);
    const { imageEmbeddings, textEmbeddings } = clipSimilarity(
      new Params(),
      config,
      input("images", images.shape),
      input("ids", ids.shape, "i32"),
    );
    const exact = interpret({ imageEmbeddings, textEmbeddings }, { ...weights, images, ids });
    const runner = new ClipRunner(config, { weights: { weight: (name) => weights[name] } });
    const own = {
      imageEmbeddings: await runner.embedImages(images),
      textEmbeddings: await runner.embedTexts(ids),
    };
    expect(relativeError(own.imageEmbeddings.data, exact["imageEmbeddings"]!.data)).toBeLessThan(1e-5);
    expect(relativeError(own.textEmbeddings.data, exact["textEmbeddings"]!.data)).toBeLessThan(1e-5);
    // More rows than one batch holds.
    const many = new Float32Array(18 * 192);
    for (let row = 0; row < 18; row++) many.set(images.data.subarray(0, 192), row * 192);
    const repeated = await runner.embedImages(f32(many, [18, 3, 8, 8]));
    expect(repeated.shape).toEqual([18, 6]);
    expect(
      relativeError(repeated.data.subarray(17 * 6), own.imageEmbeddings.data.subarray(0, 6)),
    ).toBeLessThan(1e-5);
    await runner.release();
  });

  it("reads a text up to its first end token, and from there only", () => {
    const features = (eos: number, ids: readonly number[]) => {
      const own = clipConfig({ ...FIELDS, text_config: { ...FIELDS.text_config, eos_token_id: eos } });
      const y = clipTextFeatures(new Params(), own, input("ids", [1, 7], "i32"));
      return interpret({ y }, { ...weights, ids: i32(ids, [1, 7]) })["y"]!.data;
    };
    const short = features(5, [1, 7, 5, 0, 0, 0, 0]);
    expect(relativeError(features(5, [1, 7, 5, 19, 5, 6, 7]), short)).toBeLessThan(1e-6);
    expect(relativeError(features(5, [1, 8, 5, 0, 0, 0, 0]), short)).toBeGreaterThan(1e-3);
    // The released configurations name a wrong end token; the largest id counts then.
    expect(relativeError(features(2, [1, 7, 5, 0, 0, 0, 0]), features(7, [1, 7, 5, 0, 0, 0, 0]))).toBe(0);
  });

  it("has the released model's parameters", () => {
    const shapes = [...clipParameters(CLIP_VIT_L_14).values()];
    const total = shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect([shapes.length, total]).toEqual([590, 427_616_513]);
  });

  it("names wrong fields", () => {
    expect(() => clipConfig({ ...FIELDS, vision_config: { hidden_size: 3 } })).toThrow(
      /vision_config[\s\S]*patch_size/,
    );
    expect(() => clipConfig({ ...FIELDS, projection_dim: 0 })).toThrow(/projection_dim/);
    const vision_config = { ...FIELDS.vision_config, image_size: 9 };
    expect(() => clipConfig({ ...FIELDS, vision_config })).toThrow(/do not tile images of 9/);
  });
});

it("the contrastive loss is that of perfect, flat and swapped pairs", () => {
  const loss = contrastiveLoss(input("logits", [2, 2]));
  const at = (values: readonly number[]) =>
    interpret({ loss }, { logits: f32(values, [2, 2]) })["loss"]!.data[0];
  expect(at([50, 0, 0, 50])).toBeCloseTo(0, 6);
  expect(at([3, 3, 3, 3])).toBeCloseTo(Math.log(2), 6);
  expect(at([0, 2, 2, 0])).toBeCloseTo(Math.log(1 + Math.exp(2)), 6);
});
