/** CLIP-V and CLIP-T: by hand on known vectors, and on small and the suite's models. @module */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { keyFromSeed } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { clipPixels, frameOf } from "../media/index.ts";
import { ClipRunner, clipConfig, initClip } from "../models/clip/index.ts";
import { f32 } from "../tensor/index.ts";
import { loadTokenizer } from "../text/index.ts";
import { sampleForSeed } from "../world/index.ts";
import { alignedCosines, ClipScorer, textCosines } from "./clip-similarity.ts";

const SUITE_CLIP = fileURLToPath(new URL("../../suites/playroom-sft/clip", import.meta.url));
const shapeError = expect.objectContaining({ code: "VANS_METRICS_SHAPE" });

/** A clip of one colour a frame. */
function colours(...frames: readonly (readonly [number, number, number])[]): Clip {
  const rgb = Uint8Array.from(frames.flatMap((colour) => Array.from({ length: 64 }, () => colour).flat()));
  return { frameCount: frames.length, height: 8, width: 8, frameRateHz: 8, rgb };
}

describe("cosines", () => {
  const rows = (...values: readonly number[]) => Float32Array.from(values);
  const a = { rows: rows(1, 0, 0, 1, 0.6, 0.8), size: 2, frames: 3 };
  it("pair frames of one index", () => {
    const b = { rows: rows(1, 0, 1, 0, 0.8, 0.6), size: 2, frames: 3 };
    const { value, perFrame } = alignedCosines(a, b);
    expect(perFrame[2]).toBeCloseTo(0.96, 6);
    expect(value).toBeCloseTo((1 + 0 + 0.96) / 3, 6);
  });
  it("compare every frame with the text", () => {
    expect(textCosines(a, rows(0, 1)).value).toBeCloseTo((0 + 1 + 0.8) / 3, 6);
  });
  it("refuse other lengths and widths", () => {
    expect(() => alignedCosines(a, { ...a, frames: 2 })).toThrow(shapeError);
    expect(() => textCosines(a, rows(1, 0, 0))).toThrow(shapeError);
  });
});

describe("ClipScorer on a fresh small model", async () => {
  const tokenizer = await loadTokenizer(`${SUITE_CLIP}/tokenizer.json`);
  const tower = { hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 2 };
  const config = clipConfig({
    projection_dim: 6,
    text_config: {
      ...tower,
      vocab_size: tokenizer.vocabSize,
      max_position_embeddings: 10,
      eos_token_id: tokenizer.vocabSize - 1,
    },
    vision_config: { ...tower, image_size: 8, patch_size: 4 },
  });
  const weights = initClip(config, keyFromSeed(3));
  const scorer = (options = {}) => {
    const runner = new ClipRunner(config, { threads: 1, weights: { weight: (name) => weights[name] } });
    return { runner, clip: new ClipScorer({ name: "tiny", runner, tokenizer }, options) };
  };
  const [red, blue, grey] = [
    [220, 30, 30],
    [30, 30, 220],
    [128, 128, 128],
  ] as const;

  it("gives the mean over frames of the cosine of the model's own embeddings", async () => {
    const { runner, clip } = scorer();
    const [generated, reference] = [colours(red, grey), colours(red, blue)];
    const { value, perFrame } = await clip.clipV(generated, reference);
    expect(perFrame[0]).toBeCloseTo(1, 5);
    const images = (frame: Clip) => f32(clipPixels(frameOf(frame, 0), { shortestSide: 8 }), [1, 3, 8, 8]);
    const [g, b] = [
      await runner.embedImages(images(colours(grey))),
      await runner.embedImages(images(colours(blue))),
    ];
    const cosine = Array.from(g.data).reduce((sum, one, i) => sum + one * b.data[i]!, 0);
    expect(perFrame[1]).toBeCloseTo(cosine, 5);
    expect(value).toBeCloseTo((1 + cosine) / 2, 5);
    expect((await clip.clipV(reference, generated)).value).toBeCloseTo(value, 6);
    const { perFrame: words } = await clip.clipT(colours(red, red, blue), "the red ball falls");
    expect(words[0]).toBeCloseTo(words[1]!, 6);
    expect(Math.abs(words[0]!)).toBeLessThanOrEqual(1 + 1e-6);
    // A text longer than the model reads is cut, not refused.
    await expect(clip.clipT(colours(red), "the red ball falls ".repeat(9))).resolves.toBeDefined();
    await clip.release();
  });

  it("computes an embedding once, however often it is asked", async () => {
    const { runner, clip } = scorer();
    let runs = 0;
    const embed = runner.embedImages.bind(runner);
    runner.embedImages = (images) => {
      runs++;
      return embed(images);
    };
    const [a, b] = [colours(red), colours(blue)];
    await clip.clipV(a, b);
    await clip.clipV(a, b);
    await clip.clipT(a, "a ball");
    expect(runs).toBe(2);
    await clip.release();
  });

  it("looks at the frames that it is told to", async () => {
    const { clip } = scorer({ fromFrame: 1, everyFrames: 2 });
    const [a, b] = [colours(red, grey, red, blue), colours(blue, grey, blue, blue)];
    const { value, perFrame } = await clip.clipV(a, b);
    expect(perFrame).toHaveLength(2);
    expect(value).toBeCloseTo(1, 5);
    await expect(clip.clipV(colours(red), colours(red))).rejects.toThrow(shapeError);
    await expect(clip.clipV(a, colours(red))).rejects.toThrow(shapeError);
    await clip.release();
  });
});

describe.skipIf(!existsSync(`${SUITE_CLIP}/model.safetensors`))("ClipScorer of the playroom suite", () => {
  it("finds a clip nearer to itself than to another event, and its caption nearer than a stranger's", async () => {
    await using clip = await ClipScorer.open(SUITE_CLIP, { run: { threads: 1 }, fromFrame: 12 });
    const [sample, stranger] = [sampleForSeed(700_001), sampleForSeed(700_003)];
    expect((await clip.clipV(sample.output, sample.output)).value).toBeCloseTo(1, 5);
    expect((await clip.clipV(sample.output, stranger.output)).value).toBeLessThan(0.9);
    const own = (await clip.clipT(sample.output, sample.caption)).value;
    expect(own).toBeGreaterThan((await clip.clipT(sample.output, stranger.caption)).value);
  });
});
