/** Costs that were measured on another machine. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadSuite } from "../answer/index.ts";
import { readRecipe } from "../train/index.ts";
import { costKey, StepCosts, type Yardstick } from "./step-cost.ts";
import { startingFrom } from "./task-results.ts";

it("what is measured on a second machine is told in seconds of the first", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vans-costs-"));
  try {
    const long = await readRecipe("recipes/playroom-vlm-2-sft.yaml");
    const start = { suite: await loadSuite("playroom-sft"), folder };
    const known = await startingFrom({ ...long, batch: 4 }, {}, start);
    const unknown = await startingFrom({ ...long, batch: 2 }, {}, start);
    const cost = {
      recipe: known.name,
      cpuSecs: 1000,
      wallSecs: 1000,
      startCpuSecs: 0,
      steps: 10,
      machine: "slow",
    };
    await writeFile(join(folder, "step-costs.json"), JSON.stringify({ [costKey(known)]: cost }));
    const yardstick: Yardstick = { recipe: known, start: async () => known };
    const found = await (await StepCosts.open(folder, [yardstick])).measure(unknown);
    // Half of the samples take between a quarter and all of the time.
    expect(found.cpuSecs).toBeGreaterThan(250);
    expect(found.cpuSecs).toBeLessThan(1200);
    expect(found.machine).toBe("slow");
    // The known cost stands, and what it is here is kept beside it.
    const file = JSON.parse(await readFile(join(folder, "step-costs.json"), "utf8")) as Record<
      string,
      typeof cost
    >;
    expect(file[costKey(known)]).toEqual(cost);
    const here = Object.entries(file).find(([key]) => key.startsWith(`${costKey(known)}@`))![1];
    expect(here.cpuSecs).toBeLessThan(10);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
