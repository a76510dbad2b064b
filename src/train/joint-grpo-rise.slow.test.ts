/** Stage 1 repairs a policy that was damaged on purpose, by rewards for text alone and without KL. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadSuite } from "../answer/index.ts";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { initQwen, qwenLora } from "../models/qwen25vl/index.ts";
import { writeSafetensors } from "../weights/index.ts";
import { isAdapterName } from "./caption-policy.ts";
import { prepareJointGrpo1 } from "./joint-grpo-stage-1.ts";
import { parseRecipe } from "./recipe.ts";
import { runTraining } from "./run.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-rise-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("the reward rises in a handful of updates", async () => {
  const suite = await loadSuite("playroom-sft");
  // Adapters of noise: at 0.06 fewer than half of the responses keep the format.
  const adapters = Object.entries(initQwen(suite.vlm.config, keyFromSeed(5), { lora: qwenLora() }))
    .filter(([name]) => isAdapterName(name))
    .map(([name, { shape, data }]): [string, { shape: readonly number[]; data: Float32Array }] => {
      const noise = normal(fold(keyFromSeed(6), name), data.length).map((z) => 0.06 * z);
      return [name, { shape, data: name.endsWith("lora_B.weight") ? noise : (data as Float32Array) }];
    });
  await writeSafetensors(join(folder, "damaged.safetensors"), adapters, { dtype: "F32" });
  const recipe = parseRecipe(
    `
name: damaged
task: joint-grpo-1
seed: 11
steps: 16
batch: 4
init: { vlm: damaged.safetensors }
settings: { samples: 4, rewards: { format: 1, rouge-l: 1 }, beta: 0, heldOut: 0 }
optimizer: { rate: { peak: 0.0008, warmupSteps: 0, decayFrom: 1 }, beta2: 0.999 }
logEvery: 1
threads: 1
`,
    "damaged",
  );
  const rewards: number[] = [];
  const options = { runFolder: join(folder, "run"), baseFolder: folder };
  for await (const event of runTraining(recipe, prepareJointGrpo1, options))
    if (event.type === "step") rewards.push(event.metrics["reward"]!);
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(mean(rewards.slice(-4)) - mean(rewards.slice(0, 2))).toBeGreaterThan(0.25);
});
