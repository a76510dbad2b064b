/**
 * Whole training steps on WebGPU: state stays on the device, comes back when asked for, and follows the CPU.
 * @module
 */
import { describe, expect, it } from "vitest";
import { compileTrainStep, type TrainState, type TrainStep } from "../../src/nn/index.ts";
import { liveSessions } from "../../src/runtime/index.ts";
import { distance } from "../ops/agreement.ts";
import { findAdapter } from "../webgpu-adapter.ts";
import { tinyBatch, tinyLoss, tinyStep } from "./tiny-model.ts";

const adapter = await findAdapter();
if (adapter.missing !== undefined) console.warn(`WebGPU training skipped: ${adapter.missing}`);

const settings = { learningRate: 0.003, emaDecay: 0.9 };

async function losses(step: TrainStep, from: number, to: number): Promise<number[]> {
  const out: number[] = [];
  for (let i = from; i < to; i++) out.push((await step.step(tinyBatch(i), settings))["loss"]!.data[0]!);
  return out;
}

/** f32 in another order of summation; Adam blows rounding up where a second moment is tiny. */
function expectClose(found: TrainState, wanted: TrainState): void {
  expect(Object.keys(found).sort()).toEqual(Object.keys(wanted).sort());
  for (const [name, { shape, data }] of Object.entries(wanted)) {
    // The true gradient of a key bias is zero: what Adam makes of its rounding differs.
    if (name.endsWith(".k.bias")) continue;
    expect(distance(found[name]!, { shape, data: Float64Array.from(data) }), name).toBeLessThan(2e-4);
  }
}

describe.skipIf(adapter.missing !== undefined)(`training on ${adapter.name}`, { timeout: 600_000 }, () => {
  it("follows the CPU, also after its state was read and loaded again", async () => {
    const cpu = await tinyStep({ ema: true });
    const gpu = await tinyStep({ ema: true }, { device: "webgpu" });
    const wanted = await losses(cpu, 0, 4);
    const found = await losses(gpu, 0, 2);
    const saved = await gpu.state();
    const { stepCount } = gpu;
    found.push(...(await losses(gpu, 2, 4)));
    found.forEach((loss, i) => {
      expect(Math.abs(loss - wanted[i]!)).toBeLessThan(2e-5);
    });
    expectClose(await gpu.state(), await cpu.state());
    await gpu.release();

    const { loss, params } = tinyLoss();
    const resumed = await compileTrainStep({ loss, params, clipNorm: 1, ema: true }, saved, {
      device: "webgpu",
      stepCount,
    });
    const again = await losses(resumed, 2, 4);
    again.forEach((loss2, i) => {
      expect(Math.abs(loss2 - found[2 + i]!)).toBeLessThan(2e-5);
    });
    await resumed.release();
    await cpu.release();
    expect(liveSessions()).toBe(0);
  });

  it("accumulates gradients on the device", async () => {
    const cpu = await tinyStep({ accumulate: 2 });
    const gpu = await tinyStep({ accumulate: 2 }, { device: "webgpu" });
    for (let i = 0; i < 2; i++) {
      const batches = [tinyBatch(2 * i), tinyBatch(2 * i + 1)];
      const a = await cpu.step(batches, settings);
      const b = await gpu.step(batches, settings);
      expect(Math.abs(a["loss"]!.data[0]! - b["loss"]!.data[0]!)).toBeLessThan(2e-5);
    }
    expectClose(await gpu.state(), await cpu.state());
    await cpu.release();
    await gpu.release();
    expect(liveSessions()).toBe(0);
  });
});
