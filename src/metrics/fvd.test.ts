/** FVD: its settings, hand-made sets, and a small network. @module */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { i3d } from "../models/i3d/index.ts";
import { Params } from "../nn/index.ts";
import { input } from "../tensor/index.ts";
import { writeSafetensors } from "../weights/index.ts";
import {
  describeFvd,
  FvdMeter,
  fvdOfFeatures,
  fvdSettings,
  pairedFvdDifference,
  stackFeatures,
} from "./fvd.ts";
import { type I3dJson, i3dModel } from "./i3d-model.ts";

const json: I3dJson = {
  model_type: "i3d",
  name: "tiny",
  image_size: 8,
  num_frames: 4,
  batch_norm_eps: 0.01,
  average_kernel: [1, 2, 2],
  classes: ["a", "b", "c"],
  stages: [
    { kind: "unit", name: "Conv3d_1a", channels: 3, kernel: [3, 3, 3], stride: [2, 2, 2] },
    { kind: "pool", name: "MaxPool3d_2a", kernel: [1, 3, 3], stride: [1, 2, 2] },
    { kind: "mixed", name: "Mixed_3b", channels: [1, 1, 1, 1, 1, 1] },
  ],
};

function clip(seed: number): Clip {
  const rgb = Uint8Array.from(normal(keyFromSeed(seed), 4 * 8 * 8 * 3), (z) => 128 + 40 * z);
  return { frameCount: 4, height: 8, width: 8, frameRateHz: 8, rgb };
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "vans-fvd-"));
  const params = new Params();
  i3d(params, i3dModel(json).config, input("videos", [1, 3, 4, 8, 8]));
  const tensors = [...params.tensors].map(
    ([name, { shape }]): [string, { shape: readonly number[]; data: Float32Array }] => {
      const size = shape.reduce((a, b) => a * b, 1);
      const data = name.endsWith("running_var")
        ? new Float32Array(size).fill(1)
        : normal(fold(keyFromSeed(1), name), size);
      return [name, { shape, data: Float32Array.from(data) }];
    },
  );
  await writeFile(join(folder, "config.json"), JSON.stringify(json));
  await writeSafetensors(join(folder, "model.safetensors"), tensors, { dtype: "F32" });
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const settings = {
  weights: "w",
  weightsSha256: "unknown",
  fit: "stretch",
  sizePx: 8,
  batchNormEpsilon: 1e-3,
  divisor: "N-1",
  tap: "logits",
} as const;

describe("FVD of features", () => {
  const set = (...values: readonly number[]) => stackFeatures(values.map((value) => [value]));
  it("is known for one dimension: (mean difference)² + (deviation difference)²", () => {
    // Means 1 and 4; variances 2 and 8 with divisor N-1, 1 and 4 with N.
    const [a, b] = [set(0, 2), set(2, 6)];
    expect(fvdOfFeatures(a, b, settings).distance).toBeCloseTo(9 + (Math.sqrt(8) - Math.sqrt(2)) ** 2, 10);
    expect(fvdOfFeatures(a, b, { ...settings, divisor: "N" }).distance).toBeCloseTo(9 + 1, 10);
    expect(fvdOfFeatures(a, b, settings)).toMatchObject({
      meanTerm: 9,
      generatedCount: 2,
      referenceCount: 2,
      settings,
    });
  });
  it("refuses rows that are no set", () => {
    const invalid = expect.objectContaining({ code: "VANS_METRICS_FEATURES_INVALID" });
    expect(() => stackFeatures([])).toThrow(invalid);
    expect(() => stackFeatures([[1], [1, 2]])).toThrow(invalid);
  });
});

describe("pairedFvdDifference", () => {
  const rows = (name: string, count: number, shift: number) =>
    stackFeatures(
      Array.from({ length: count }, (_, i) =>
        Array.from(normal(fold(keyFromSeed(9), name, i), 3), (z) => z + shift),
      ),
    );
  it("sees which system is nearer, and no difference where there is none", () => {
    const reference = rows("truth", 60, 0);
    const sets = { first: rows("first", 60, 1), second: rows("second", 60, 0.2), reference };
    const found = pairedFvdDifference(sets, settings, { resamples: 60 });
    expect(found.difference).toBeCloseTo(found.second - found.first, 12);
    expect(found.high).toBeLessThan(0);
    expect(found.low).toBeLessThan(found.difference);
    const same = pairedFvdDifference({ ...sets, second: sets.first }, settings, { resamples: 10 });
    expect(same).toMatchObject({ difference: 0, low: 0, high: 0 });
    expect(pairedFvdDifference(sets, settings, { resamples: 60 })).toEqual(found);
  });
  it("refuses sets of different samples", () => {
    const [few, many] = [rows("a", 2, 0), rows("a", 3, 0)];
    expect(() => pairedFvdDifference({ first: few, second: many, reference: many }, settings)).toThrow(
      /not of the same samples/,
    );
  });
});

describe("FvdMeter", () => {
  it("opens a folder, names all settings, and gives 0 for equal sets", async () => {
    await inFolder(async (folder) => {
      await using meter = await FvdMeter.open(folder, { fit: "crop", divisor: "N", tap: "pooled" });
      const expected = {
        weights: "tiny",
        weightsSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        fit: "crop",
        sizePx: 8,
        batchNormEpsilon: 0.01,
        divisor: "N",
        tap: "pooled",
      };
      expect(meter.settings).toEqual(expected);
      expect(describeFvd(meter.settings)).toMatch(
        /^I3D tiny \(SHA-256 [0-9a-f]{12}\), pooled, crop to 8 px, batch-norm epsilon 0.01, covariance \/ N$/,
      );
      expect(await fvdSettings(folder, { fit: "crop", divisor: "N", tap: "pooled" })).toEqual(meter.settings);
      const a = await meter.featureSet([clip(1), clip(2), clip(3)]);
      const b = await meter.featureSet([clip(4), clip(5), clip(6)]);
      expect(a).toMatchObject({ count: 3, size: 4 });
      expect(meter.distance(a, a).distance).toBeLessThan(1e-6);
      const { distance, settings: kept } = meter.distance(a, b);
      expect(distance).toBeGreaterThan(1e-4);
      expect(kept).toEqual(expected);
      expect(meter.distance(b, a).distance).toBeCloseTo(distance, 6);
      await expect(meter.featureSet([clip(1)], { signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: "VANS_RUN_ABORTED",
      });
    });
  });

  it("takes the logits, one a class, unless told otherwise", async () => {
    await inFolder(async (folder) => {
      await using meter = await FvdMeter.open(folder);
      expect(await meter.features(clip(1))).toHaveLength(3);
      expect(meter.settings).toMatchObject({ tap: "logits", divisor: "N-1", fit: "stretch" });
    });
  });

  it("refuses what describes no I3D", async () => {
    expect(() => i3dModel({ ...json, stages: [{ kind: "wave" }] })).toThrow(/stages\.0/);
    await expect(FvdMeter.open("/nowhere")).rejects.toMatchObject({ code: "VANS_METRICS_MODEL" });
  });
});
