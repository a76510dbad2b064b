/** Stage 1 on the playroom suite with tiny groups and rewards that need no video. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { isAdapterName } from "./caption-policy.ts";
import { prepareJointGrpo1 } from "./joint-grpo-stage-1.ts";
import { parseRecipe, type Recipe } from "./recipe.ts";
import { readCheckpoint, runTraining, type TrainEvent } from "./run.ts";

const tiny = parseRecipe(
  `
name: tiny-stage-1
task: joint-grpo-1
seed: 3
steps: 3
batch: 2
settings: { suite: playroom-sft, group: 3, rewards: { format: 1, rouge-l: 1 }, loraRank: 2, heldOut: 2, heldOutVideos: 1, replayCheckEvery: 1 }
optimizer: { rate: { peak: 0.001, warmupSteps: 0 }, beta2: 0.999, emaDecay: 0.9 }
logEvery: 1
checkpointEvery: 1
sheetEvery: 1000
threads: 1
`,
  "tiny",
);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-stage-1-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(
  recipe: Recipe,
  name: string,
  options: { resume?: boolean; untilStep?: number; signal?: AbortSignal } = {},
): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of runTraining(recipe, prepareJointGrpo1, {
    runFolder: join(folder, name),
    ...options,
  }))
    events.push(event);
  return events;
}

const metricsOf = (events: readonly TrainEvent[]): Readonly<Record<string, number>>[] =>
  events.flatMap((event) => (event.type === "step" ? [event.metrics] : []));

describe("stage 1", () => {
  let whole: TrainEvent[];
  beforeAll(async () => {
    whole = await run(tiny, "whole");
  });

  it("starts on policy: ratio exactly 1, KL exactly 0, loss 0, and a gradient", () => {
    const [first, second] = metricsOf(whole);
    expect(first!["log_ratio/first_max"]).toBe(0);
    expect(first!["kl"]).toBe(0);
    expect(first!["clip_ratio/region_mean"]).toBe(0);
    expect(Math.abs(first!["loss"]!)).toBeLessThan(1e-6);
    expect(first!["grad_norm"]).toBeGreaterThan(1e-4);
    // One update a rollout: every rollout is on policy, and the policy has left the reference.
    expect(second!["log_ratio/first_max"]).toBe(0);
    expect(second!["kl"]).toBeGreaterThan(0);
  });

  it("cached decoding and replay agree on log-probabilities", () => {
    for (const metrics of metricsOf(whole)) expect(metrics["log_ratio/cached_max"]).toBeLessThan(1e-4);
  });

  it("logs rewards and completions under TRL's names", () => {
    const [first] = metricsOf(whole);
    for (const name of [
      "reward",
      "reward_std",
      "frac_reward_zero_std",
      "rewards/format/mean",
      "rewards/rouge-l/std",
      "completions/mean_length",
      "completions/clipped_ratio",
      "entropy",
      "num_tokens",
      "policy_loss",
      "clip_ratio/high_max",
    ])
      expect(first).toHaveProperty([name], expect.any(Number));
    expect(first!["videos_drawn"]).toBe(0);
    const held = whole.find((event) => event.type === "evaluated");
    expect(held).toMatchObject({
      metrics: {
        rougeL: expect.any(Number),
        templateRate: expect.any(Number),
        videoEventAccuracy: expect.any(Number),
        motionEnergy: expect.any(Number),
        "alarm/motion": expect.any(Number),
      },
    });
    expect(whole.some((event) => event.type === "sheet")).toBe(true);
  });

  it("trains exactly the adapters", async () => {
    const { state } = await readCheckpoint(join(folder, "whole", "checkpoint.safetensors"));
    const names = Object.keys(state).filter((name) => !name.includes(":"));
    // Four decoder layers of seven linears and the MLPs of four vision blocks, two factors each.
    expect(names).toHaveLength((4 * 7 + 4 * 3) * 2);
    expect(names.every(isAdapterName)).toBe(true);
  });

  it("continues a stopped run to the same numbers, bit for bit", async () => {
    await run(tiny, "parts", { untilStep: 1 });
    await run(tiny, "parts", { resume: true });
    for (const file of ["checkpoint.safetensors", "weights.safetensors", "log.jsonl"])
      expect(
        (await readFile(join(folder, "parts", file))).equals(await readFile(join(folder, "whole", file))),
        file,
      ).toBe(true);
  });

  it("stops inside of an update, and continues as if it had not", async () => {
    const stop = new AbortController();
    const consume = async (): Promise<void> => {
      // While the second update draws its responses.
      for await (const event of runTraining(tiny, prepareJointGrpo1, {
        runFolder: join(folder, "stopped"),
        signal: stop.signal,
      }))
        if (event.type === "checkpoint" && event.step === 1) setTimeout(() => stop.abort(), 5);
    };
    await expect(consume()).rejects.toSatisfy((error: unknown) => isVansError(error, "VANS_RUN_ABORTED"));
    const { step } = await readCheckpoint(join(folder, "stopped", "checkpoint.safetensors"));
    expect(step).toBeLessThan(3);
    await run(tiny, "stopped", { resume: true });
    const [stopped, unstopped] = await Promise.all(
      ["stopped", "whole"].map((name) => readFile(join(folder, name, "weights.safetensors"))),
    );
    expect(stopped!.equals(unstopped!)).toBe(true);
  });
});

describe("variants", () => {
  it("two updates a rollout leave the ratio in the second", async () => {
    const twice = {
      ...tiny,
      steps: 1,
      settings: { ...tiny.settings, updatesPerRollout: 2, replayCheckEvery: 1, heldOut: 0 },
    };
    const [metrics] = metricsOf(await run(twice, "twice"));
    expect(metrics!["log_ratio/first_max"]).toBe(0);
    // Of the second update: the policy has left both the rollout and the reference.
    expect(metrics!["kl"]).toBeGreaterThan(0);
    expect(metrics!["log_ratio/std"]).toBeGreaterThan(0);
  });

  it("adding gradients up over prompts gives the gradient of the whole batch", async () => {
    for (const loss of ["grpo", "bnpo"]) {
      const settings = { ...tiny.settings, loss, heldOut: 0, beta: 0 };
      const one = { ...tiny, steps: 1, settings };
      const [whole] = metricsOf(await run({ ...one, settings: { ...settings, accumulate: 1 } }, `${loss}-1`));
      const [parts] = metricsOf(await run(one, `${loss}-2`));
      expect(parts!["grad_norm"]! / whole!["grad_norm"]!, loss).toBeCloseTo(1, 4);
    }
  });

  it("an update whose groups are all without spread is skipped and moves nothing", async () => {
    const flat = { ...tiny, steps: 1, settings: { ...tiny.settings, rewards: { format: 1e-9 }, heldOut: 0 } };
    const [metrics] = metricsOf(await run(flat, "flat"));
    // The suite's model keeps the format here; were it to break it, the group would have spread.
    expect(metrics!["rewards/format/mean"]).toBe(1);
    expect(metrics).toMatchObject({ skipped: 1, frac_reward_zero_std: 1, loss: 0 });
    const { state, optimizerSteps } = await readCheckpoint(join(folder, "flat", "checkpoint.safetensors"));
    expect(optimizerSteps).toBe(0);
    for (const [name, { data }] of Object.entries(state))
      if (name.endsWith("lora_B.weight")) expect(data.every((value) => value === 0)).toBe(true);
  });

  it("responses that are cut off get no reward, or stay outside of the loss", async () => {
    const cut = { ...tiny.settings, maxNewTokens: 8, heldOut: 0, rewards: { "rouge-l": 1 } };
    const one = { ...tiny, steps: 1 };
    // Eight tokens end no answer, so all responses are cut: nothing is left of either.
    const zero = { ...one, settings: { ...cut, truncated: "zero" } };
    const [zeroed] = metricsOf(await run(zero, "zero"));
    expect(zeroed).toMatchObject({ "completions/clipped_ratio": 1, reward: 0, skipped: 1 });
    expect(zeroed!["alarm/length-saturated"]).toBe(1);
    const masked = { ...one, settings: { ...cut, truncated: "mask" } };
    const [left] = metricsOf(await run(masked, "mask"));
    expect(left).toMatchObject({ "completions/clipped_ratio": 1, skipped: 1 });
  });

  it("sequence ratios and rewards normalised one by one", async () => {
    const settings = {
      ...tiny.settings,
      heldOut: 0,
      ratioLevel: "sequence",
      loss: "dr_grpo",
      advantageOrder: "normalize-then-sum",
      rewards: { "rouge-l": 1, "caption-event": 0.5 },
    };
    const [metrics] = metricsOf(await run({ ...tiny, steps: 1, settings }, "sequence"));
    expect(metrics!["rewards/caption-event/mean"]).toEqual(expect.any(Number));
    expect(metrics!["grad_norm"]).toBeGreaterThan(0);
  });

  it("refuses prompts that are longer than their places", async () => {
    const short = { ...tiny, settings: { ...tiny.settings, promptLength: 60 } };
    await expect(run(short, "short")).rejects.toSatisfy((error: unknown) =>
      isVansError(error, "VANS_TRAIN_PROMPT_LENGTH"),
    );
  });
});
