/**
 * Generation on WebGPU: the cache stays on the device as the state of the decode step.
 * @module
 */
import { describe, expect, it } from "vitest";
import { generate, QwenRunner } from "../../src/models/qwen25vl/index.ts";
import { relativeError } from "../conformance/case.ts";
import { findAdapter } from "../webgpu-adapter.ts";
import { TINY_PATCH, tinyQwen, tinyQwenWeights, wave } from "./tiny-qwen.ts";

const adapter = await findAdapter();
if (adapter.missing !== undefined) console.warn(`generation on WebGPU skipped: ${adapter.missing}`);

const weights = tinyQwenWeights();
const binding = { weight: (name: string) => weights[name] };

async function answer(
  device: "cpu" | "webgpu",
): Promise<{ tokens: number[][]; features: ArrayLike<number> }> {
  const runner = new QwenRunner(tinyQwen, { weights: binding, device });
  const patches = wave([60, TINY_PATCH]);
  const features = await runner.features(patches, [[1, 6, 10]]);
  const video = Array<number>(15).fill(tinyQwen.videoTokenId);
  const prompts = [{ ids: [5, ...video, 9, 8], features, grids: [[1, 6, 10]] as const }, { ids: [3, 4] }];
  const steps = generate(runner, prompts, { maxNewTokens: 6, temperature: 0, stopTokenIds: [] });
  const tokens: number[][] = [];
  for await (const step of steps) tokens.push([...step.tokens]);
  await runner.release();
  return { tokens, features: features.data };
}

describe.skipIf(adapter.missing !== undefined)(`Qwen2.5-VL on ${adapter.name}`, () => {
  it("sees and writes what it does on the CPU", async () => {
    const wanted = await answer("cpu");
    const found = await answer("webgpu");
    expect(relativeError(found.features, wanted.features)).toBeLessThan(1e-4);
    expect(found.tokens).toEqual(wanted.tokens);
    // Shaders are compiled on the CPU: 5 s of its time, and more on a busy machine.
  }, 600_000);
});
