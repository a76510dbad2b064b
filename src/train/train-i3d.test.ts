/** The reduced I3D: its classes, its description, a few steps, and that a distance can be measured with the result. @module */
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { FvdMeter, i3dModel } from "../metrics/index.ts";
import { candidates, sampleForSeed } from "../world/index.ts";
import { parseRecipe, type Recipe, readRecipe } from "./recipe.ts";
import { runTraining } from "./run.ts";
import { taskNamed } from "./tasks.ts";
import { eventClasses, playroomI3dJson } from "./train-i3d.ts";

const recipePath = (name: string): string => fileURLToPath(new URL(`../../recipes/${name}`, import.meta.url));

it("every event of the world is a class", () => {
  const classes = new Set(eventClasses());
  for (let seed = 500_000; seed < 500_200; seed++) {
    const sample = sampleForSeed(seed);
    for (const { event } of candidates(sample)) expect(classes).toContain(`${sample.family}:${event}`);
  }
  expect(classes).toContain("candle:nothing");
});

it("the committed recipe describes a network that can be opened", async () => {
  const recipe = await readRecipe(recipePath("playroom-i3d.yaml"));
  const model = i3dModel(playroomI3dJson(recipe.model));
  expect(model).toMatchObject({ name: "playroom-i3d", sizePx: 64, frameCount: 17 });
  expect(model.config.classCount).toBe(eventClasses().length);
});

it("the evaluating CLIP is the rewarding one with another seed", async () => {
  const [rewards, evaluates] = await Promise.all(
    ["playroom-clip.yaml", "playroom-clip-eval.yaml"].map((name) => readRecipe(recipePath(name))),
  );
  // How long each is trained is free.
  const network = ({ task, batch, model, settings }: Recipe) => ({ task, batch, model, settings });
  expect(network(evaluates!)).toEqual(network(rewards!));
  expect(evaluates!.seed).not.toBe(rewards!.seed);
});

it("trains, keeps its statistics, and gives features for the distance", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vans-i3d-"));
  const recipe = parseRecipe(
    `
name: tiny-i3d
task: i3d
steps: 3
batch: 2
model: { name: tiny, stem: 2, second: 3, branch: 2 }
settings: { heldOut: 2 }
optimizer: { kind: muon, rate: { peak: 0.01, warmupSteps: 0 } }
logEvery: 1
sheetEvery: 3
threads: 1
`,
    "tiny",
  );
  const losses: number[] = [];
  for await (const event of runTraining(recipe, taskNamed("i3d"), { runFolder: folder })) {
    if (event.type === "step") losses.push(event.metrics["loss"]!);
    if (event.type === "evaluated") expect(event.metrics["eventClassAccuracy"]).toBeGreaterThanOrEqual(0);
  }
  // The first guess is even among all classes.
  expect(losses[0]).toBeCloseTo(Math.log(eventClasses().length), 5);
  expect(losses).toHaveLength(3);
  // Stopped and continued, the same weights come out, statistics included.
  const [whole, parts] = [join(folder, "weights.safetensors"), join(folder, "parts")];
  for (const options of [{ untilStep: 1 }, { resume: true }])
    for await (const _ of runTraining(recipe, taskNamed("i3d"), { runFolder: parts, ...options }));
  expect((await readFile(join(parts, "weights.safetensors"))).equals(await readFile(whole))).toBe(true);
  await rename(join(folder, "weights.safetensors"), join(folder, "model.safetensors"));
  await writeFile(join(folder, "config.json"), JSON.stringify(playroomI3dJson(recipe.model)));
  await using meter = await FvdMeter.open(folder, { run: { threads: 1 } });
  const features = await meter.featureSet([sampleForSeed(1).output, sampleForSeed(2).output]);
  expect(features).toMatchObject({ count: 2, size: eventClasses().length });
  expect(meter.distance(features, features).distance).toBeLessThan(1e-6);
  await rm(folder, { recursive: true });
});
