/** Recipes that build on other recipes. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readRecipe } from "./recipe.ts";

const code = (name: string) => expect.objectContaining({ code: name });
let folder: string;
const write = (name: string, text: string): Promise<void> => writeFile(join(folder, `${name}.yaml`), text);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-extends-"));
  await write(
    "base",
    `
name: base
task: joint-grpo-1
steps: 4
batch: 2
init: { vlm: a.safetensors }
settings: { group: 8, beta: 0.1, rewards: { format: 1, rouge-l: 1 } }
optimizer: { rate: { peak: 0.5 }, clipNorm: 3 }
`,
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("takes what it does not set from its base, and from the base of that", async () => {
  await write("middle", "extends: base\nname: middle\nsteps: 9\noptimizer: { rate: { warmupSteps: 7 } }\n");
  await write(
    "top",
    "extends: middle\nname: top\nsettings: { rewards: { rouge-l: 2 }, beta: null }\ninit: null\n",
  );
  const top = await readRecipe(join(folder, "top.yaml"));
  expect(top).toMatchObject({ name: "top", steps: 9, batch: 2, init: {} });
  expect(top.optimizer.rate).toMatchObject({ peak: 0.5, warmupSteps: 7 });
  expect(top.optimizer.clipNorm).toBe(3);
  expect(top.settings).toEqual({ group: 8, rewards: { "rouge-l": 2 } });
});

it("refuses circles, missing bases and fields that no recipe has", async () => {
  await write("round", "extends: round\nname: round\n");
  await write("lost", "extends: nowhere\nname: lost\n");
  await write("wrong", "extends: base\nname: wrong\nstepss: 3\n");
  await write("number", "extends: 3\nname: number\n");
  for (const name of ["round", "wrong", "number"])
    await expect(readRecipe(join(folder, `${name}.yaml`)), name).rejects.toThrow(code("VANS_RECIPE_INVALID"));
  await expect(readRecipe(join(folder, "lost.yaml"))).rejects.toThrow(code("VANS_RECIPE_NOT_FOUND"));
});

it("reads every recipe of the project", async () => {
  const recipes = new URL("../../recipes/", import.meta.url).pathname;
  const names = (await readdir(recipes)).filter((name) => name.endsWith(".yaml"));
  for (const name of names) expect(`${(await readRecipe(join(recipes, name))).name}.yaml`).toBe(name);
});
