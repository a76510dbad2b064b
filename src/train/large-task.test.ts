/** Large recipes through the runner, on tiny suites: steps, adapters, resume, errors. @module */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadSuite } from "../answer/index.ts";
import { neededTensors, partNaming } from "../answer/suite-weights.ts";
import { writeRandomSuite } from "../answer/testing/random-suite.ts";
import { liveSessions } from "../runtime/index.ts";
import { matchAdapter, openWeights, readSafetensors } from "../weights/index.ts";
import { parseRecipe, type Recipe, readRecipe } from "./recipe.ts";
import { runTraining, type TrainEvent } from "./run.ts";
import { taskNamed } from "./tasks.ts";

let folder: string;
let suite: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-large-task-"));
  suite = await writeRandomSuite(join(folder, "suite"), { answer: { maxNewTokens: 8 } });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A bundled recipe at the size of a test. */
async function tiny(name: string, settings: Record<string, unknown>): Promise<Recipe> {
  const recipe = await readRecipe(`recipes/${name}.yaml`);
  const { height: _, width: __, frames: ___, ...kept } = recipe.settings;
  return { ...recipe, steps: 2, threads: 1, settings: { ...kept, suite, loraRank: 2, ...settings } };
}

async function run(recipe: Recipe, runFolder: string, options = {}): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of runTraining(recipe, taskNamed(recipe.task), { runFolder, ...options }))
    events.push(event);
  return events;
}

const metricsOf = (events: readonly TrainEvent[]): Readonly<Record<string, number>>[] =>
  events.flatMap((event) => (event.type === "step" ? [event.metrics] : []));

describe("supervised", () => {
  it.each(["vlm", "vdm"] as const)(
    "%s: learns, resumes to the same bytes, writes its adapter",
    async (part) => {
      const recipe = await tiny(`vans-3b-sft-${part}`, {});
      const whole = join(folder, `${part}-whole`);
      const metrics = metricsOf(await run(recipe, whole));
      expect(metrics).toHaveLength(2);
      for (const { loss, grad_norm: norm } of metrics) {
        expect(loss).toBeGreaterThan(0);
        expect(norm).toBeGreaterThan(0);
      }
      const broken = join(folder, `${part}-broken`);
      await run(recipe, broken, { untilStep: 1 });
      await run(recipe, broken, { resume: true });
      const bytes = (path: string): Promise<Buffer> => readFile(join(path, "weights.safetensors"));
      expect((await bytes(broken)).equals(await bytes(whole))).toBe(true);
      const moved = [...(await readSafetensors(join(whole, "weights.safetensors")))].filter(
        ([name, { data }]) => name.includes("lora_B") && data.some((byte) => byte !== 0),
      );
      expect(moved.length).toBeGreaterThan(0);
      // The adapter that other programs read is found again, whole.
      const loaded = await loadSuite(suite);
      const file = join(
        whole,
        "adapter",
        part === "vlm" ? "adapter_model.safetensors" : "adapter.safetensors",
      );
      const found = matchAdapter(
        await openWeights(file),
        neededTensors(loaded, part),
        partNaming(loaded, part),
      );
      expect(found.factors.size).toBeGreaterThan(0);
      expect(found.report.unexpected).toEqual([]);
      expect(liveSessions()).toBe(0);
    },
  );
});

describe("Joint-GRPO", () => {
  it("stage 1 rewards responses and moves the language model", async () => {
    const recipe = await tiny("vans-3b-joint-grpo-1", {
      suite: "playroom-sft",
      group: 3,
      promptTokens: 256,
      answerTokens: 64,
      // Captions at temperature 1 differ, and with them their likeness to the reference.
      rewards: { "rouge-l": 1 },
    });
    const [first] = metricsOf(await run({ ...recipe, steps: 1 }, join(folder, "grpo-1")));
    expect(first!["completions/mean_length"]).toBeGreaterThan(0);
    expect(first!["skipped"]).toBe(0);
    expect(first!["grad_norm"]).toBeGreaterThan(0);
  });

  it("stage 2 rolls videos out and moves the video model", async () => {
    const recipe = await tiny("vans-3b-joint-grpo-2", {
      suite: "playroom-sft",
      group: 2,
      rolloutSteps: 3,
      trainedSteps: 1,
      anchorDraws: 1,
      answerTokens: 48,
      promptTokens: 256,
      rewards: { "clip-video": 1 },
    });
    const [first] = metricsOf(await run({ ...recipe, steps: 1 }, join(folder, "grpo-2")));
    expect(first!["skipped"]).toBe(0);
    expect(first!["grad_norm"]).toBeGreaterThan(0);
  });
});

describe("errors", () => {
  it("names the missing files of a suite that was not pulled", async () => {
    const recipe = await readRecipe("recipes/vans-3b-sft-vlm.yaml");
    const before = process.env["HF_HUB_CACHE"];
    process.env["HF_HUB_CACHE"] = join(folder, "no-cache");
    try {
      await expect(run(recipe, join(folder, "unpulled"))).rejects.toMatchObject({
        code: "VANS_SUITE_NOT_PULLED",
        message: expect.stringContaining("vans suites pull vans-3b"),
      });
    } finally {
      if (before === undefined) delete process.env["HF_HUB_CACHE"];
      else process.env["HF_HUB_CACHE"] = before;
    }
  });

  it("refuses samples that are longer than the recipe's places, and empty datasets", async () => {
    const short = await tiny("vans-3b-sft-vlm", { promptTokens: 4 });
    await expect(run(short, join(folder, "short"))).rejects.toMatchObject({
      code: "VANS_TRAIN_PROMPT_LENGTH",
    });
    const empty = await tiny("vans-3b-sft-vlm", { data: join(folder, "nothing") });
    await expect(run(empty, join(folder, "empty"))).rejects.toMatchObject({ code: "VANS_TRAIN_DATA" });
  });

  it("keeps small recipes on their own path", () => {
    const recipe = parseRecipe("name: a\ntask: vae\nsteps: 1\nbatch: 1\noptimizer: {rate: {peak: 1}}", "a");
    expect(recipe.settings["blockwise"]).toBeUndefined();
  });
});
