import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attention, input, linear, mul, parameter, reshape } from "../tensor/index.ts";
import { graphMemory } from "./graph-memory.ts";
import { fittingPlan, planMemory } from "./plan.ts";
import { loadSuite, type Suite } from "./suite.ts";
import { writeRandomSuite } from "./testing/random-suite.ts";

describe("memory of a graph", () => {
  const x = input("x", [100, 64]);

  it("counts values from their node to their last reader", () => {
    const y = linear(x, parameter("a", [256, 64]));
    const z = linear(y, parameter("b", [64, 256]));
    const memory = graphMemory({ z }, () => "f32");
    expect(memory.peakBytes).toBe(100 * (256 + 64) * 4);
    expect(memory.outputBytes).toBe(100 * 64 * 4);
    expect(memory.flops).toBe(2 * 2 * 100 * 64 * 256);
  });

  it("counts reshapes as nothing and sums in place", () => {
    const y = linear(x, parameter("a", [64, 64]));
    const z = mul(reshape(y, [64, 100]), reshape(y, [64, 100]));
    expect(graphMemory({ z: mul(z, 2) }, () => "f32").peakBytes).toBe(100 * 64 * 4);
  });

  it("adds what widened weights and attention take", () => {
    const wide = linear(input("long", [3000, 64]), parameter("a", [64, 64]));
    expect(graphMemory({ wide }, () => "half").peakBytes).toBe(3000 * 64 * 4 + 64 * 64 * 4);
    const q = input("q", [1, 2, 30, 8]);
    const mixed = attention(q, q, q);
    expect(graphMemory({ mixed }, () => "f32").peakBytes).toBe(2 * 30 * 8 * 4 + 2 * 2 * 30 * 30 * 4);
  });
});

describe("a plan", () => {
  let suite: Suite;
  let random: Suite;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vans-plan-"));
    suite = await loadSuite("vans-3b", { needsFiles: false, env: { HF_HUB_CACHE: join(folder, "none") } });
    random = await loadSuite(await writeRandomSuite(join(folder, "random")));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it("needs neither weights nor network, and knows the known costs", async () => {
    const plan = await planMemory(suite);
    const flops = Object.fromEntries(plan.stages.map((stage) => [stage.stage, stage.flops]));
    // 13,200 tokens through 30 blocks (design sheet: 66.5 TFLOP).
    expect(flops["dit"]! / 1e12).toBeCloseTo(66.6, 0);
    expect(plan.diskBytes / 1e9).toBeCloseTo(29.6, 0);
    expect(plan.fits).toBeUndefined();
    expect(plan.peakBytes).toBeLessThan(6e9);
  });

  it("says what fits, and finds settings that do", async () => {
    const small = { memoryBytes: 1.2e9 };
    const plan = await planMemory(suite, small);
    expect(plan.fits).toBe(false);
    expect(plan.stages.some((stage) => stage.fits)).toBe(true);
    const fitting = await fittingPlan(suite, small);
    expect(fitting!.peakBytes).toBeLessThanOrEqual(1.2e9);
    expect(fitting!.settings.width % 16).toBe(0);
    expect(await fittingPlan(suite, { memoryBytes: 1e8 })).toBeUndefined();
  });

  it("grows with frames and pixels, and keeps bits and decoding apart", async () => {
    const peak = async (options: object): Promise<number> => (await planMemory(suite, options)).peakBytes;
    expect(await peak({ frames: 81 })).toBeGreaterThan(await peak({ frames: 33 }));
    expect(await peak({ height: 720, width: 1280 })).toBeGreaterThan(await peak({}));
    const decode = async (vlm?: "4bit" | "8bit"): Promise<number> =>
      (await planMemory(suite, { quantized: vlm ? { vlm } : {} })).stages.find((s) => s.stage === "decode")!
        .anonymousBytes;
    expect(await decode("8bit")).toBeGreaterThan(await decode("4bit"));
    expect(await decode("4bit")).toBeLessThan(3e9);
  });

  it("refuses sizes and frame counts that the models cannot take", async () => {
    await expect(planMemory(suite, { width: 641 })).rejects.toMatchObject({ code: "VANS_PLAN_SIZE" });
    await expect(planMemory(suite, { frames: 34 })).rejects.toMatchObject({ code: "VANS_VAE_FRAME_COUNT" });
  });

  it("on a device counts weights in f32, and fewer bits as they are", async () => {
    const stages = async (options: object): Promise<Record<string, number>> =>
      Object.fromEntries(
        (await planMemory(suite, { device: "webgpu", ...options })).stages.map((s) => [
          s.stage,
          s.anonymousBytes,
        ]),
      );
    const [stored, packed] = [await stages({}), await stages({ quantized: { textEncoder: "8bit" } })];
    // 24 blocks of 193 M weights.
    expect(stored["text-encoder"]! / 1e9).toBeGreaterThan(18.5);
    expect(packed["text-encoder"]! / 1e9).toBeLessThan(6);
    expect(packed["prefill"]).toBe(stored["prefill"]);
  });

  it("works for suites without a table", async () => {
    expect((await planMemory(random)).stages).toHaveLength(7);
  });
});
