import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { parseRecipe, type Recipe } from "./recipe.ts";
import { readCheckpoint, runTraining, type TrainEvent } from "./run.ts";
import { taskNamed } from "./tasks.ts";

const tiny = parseRecipe(
  `
name: tiny-autoencoder
task: vae
seed: 7
steps: 6
batch: 2
model: { base_dim: 2, dim_mult: [1, 2], temperal_downsample: [true], num_res_blocks: 1 }
settings: { frames: 5, size: 8, tries: 2, motion: 2 }
optimizer: { kind: muon, rate: { peak: 0.01, warmupSteps: 2 } }
logEvery: 1
checkpointEvery: 2
sheetEvery: 1000
threads: 1
`,
  "tiny",
);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-train-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function run(
  recipe: Recipe,
  name: string,
  options: { resume?: boolean; untilStep?: number; signal?: AbortSignal } = {},
): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  // Sheets decode whole clips; this test is about the loop.
  const prepare: typeof taskNamed = (task) => async (given, context) => {
    const { evaluate: _, sheet: __, ...rest } = await taskNamed(task)(given, context);
    return rest;
  };
  for await (const event of runTraining(recipe, prepare(recipe.task), {
    runFolder: join(folder, name),
    ...options,
  }))
    events.push(event);
  return events;
}

describe("runTraining", () => {
  it("continues a stopped run to the same numbers, bit for bit", async () => {
    await run(tiny, "whole");
    await run(tiny, "parts", { untilStep: 3 });
    await run(tiny, "parts", { resume: true });
    for (const file of ["checkpoint.safetensors", "weights.safetensors", "log.jsonl"]) {
      expect(
        (await readFile(join(folder, "parts", file))).equals(await readFile(join(folder, "whole", file))),
        file,
      ).toBe(true);
    }
    const losses = (await readFile(join(folder, "whole", "log.jsonl"), "utf8")).trim().split("\n");
    expect(losses).toHaveLength(6);
  });

  it("reduces the loss", async () => {
    const events = await run({ ...tiny, steps: 30 }, "longer");
    const losses = events.flatMap((event) => (event.type === "step" ? [event.metrics["loss"]!] : []));
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    expect(mean(losses.slice(-5))).toBeLessThan(0.9 * mean(losses.slice(0, 5)));
  });

  it("stops within a step and leaves a checkpoint", async () => {
    const stop = new AbortController();
    const seen: TrainEvent[] = [];
    const consume = async (): Promise<void> => {
      for await (const event of runTraining(tiny, taskNamed("vae"), {
        runFolder: join(folder, "stopped"),
        signal: stop.signal,
      })) {
        seen.push(event);
        if (event.type === "step" && event.step === 3) stop.abort();
      }
    };
    await expect(consume()).rejects.toSatisfy((error: unknown) => isVansError(error, "VANS_RUN_ABORTED"));
    expect((await readCheckpoint(join(folder, "stopped", "checkpoint.safetensors"))).step).toBe(3);
    expect(await readdir(join(folder, "stopped"))).not.toContain("weights.safetensors");
  });

  it("refuses a checkpoint of another recipe", async () => {
    await run(tiny, "one", { untilStep: 2 });
    await expect(run({ ...tiny, name: "another" }, "one", { resume: true })).rejects.toThrow(
      /another recipe/,
    );
  });
});

describe("parseRecipe", () => {
  it("names line and field of what is wrong", () => {
    const text = "name: x\ntask: vae\nsteps: 5\nbatch: two\noptimizer: { rate: { peak: 0.1 } }\n";
    expect(() => parseRecipe(text, "file.yaml")).toThrow(/line 4: batch/);
    expect(() =>
      parseRecipe("name: x\ntask: cook\nsteps: 5\nbatch: 2\noptimizer: { rate: { peak: 0.1 } }\n", "f"),
    ).toThrow(/task/);
  });
});
