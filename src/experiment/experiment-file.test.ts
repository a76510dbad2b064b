/** Experiment files: what is read, what is refused and in which words. @module */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { loadSuite } from "../answer/index.ts";
import { isVansError } from "../base/errors.ts";
import { readRecipe } from "../train/index.ts";
import { type Experiment, parseExperiment } from "./experiment-file.ts";
import { changedRecipe, deepMerge, fieldChanges, recipeFile } from "./merge-recipe.ts";
import { chosenRuns, planExperiment } from "./plan.ts";
import { startingFrom } from "./task-results.ts";

const HEAD = `
name: small
baseSuite: playroom-sft
seeds: [3, 4]
evaluation: { procedural: 4, predictive: 4 }
baseRow: sft
metrics: [rougeL]
`;
const ROWS = `
rows:
  - { name: sft, title: SFT }
  - name: joint
    title: Joint
    seeds: [3, 4]
    uses: { vlm: stage-1 }
    trains: [{ recipe: playroom-joint-grpo-2, overrides: { settings: { window: null, rewards: { clip-score: 0 } } } }]
  - name: stage-1
    title: Stage 1
    trains: [{ recipe: playroom-joint-grpo-1, cpuBudgetCoreHours: 0.5, overrides: { steps: 7 } }]
  - name: more
    title: More SFT
    trains: [{ recipe: playroom-vlm-2-sft, cpuBudgetCoreHours: { sameAs: joint } }]
  - { name: extension, title: Extension, of: sft, system: extension }
`;

const small = (text = HEAD + ROWS): Experiment => parseExperiment(text, "small.yaml");

function refusal(text: string): string {
  try {
    small(text);
  } catch (error) {
    if (isVansError(error, "VANS_EXPERIMENT_INVALID")) return `${error.message} ${error.details.found}`;
    throw error;
  }
  return "";
}

describe("experiment files", () => {
  it("name line and field of what is wrong", () => {
    const text = refusal(HEAD + ROWS.replace("title: Stage 1", "titel: Stage 1"));
    expect(text).toMatch(/line 16: rows\.2\.title/);
    expect(text).toContain("titel");
    expect(refusal("name: [")).toContain("not valid YAML");
    expect(refusal(`${HEAD}rows: [{ name: sft, title: SFT, answer: { stepz: 3 } }]`)).toContain("answer");
  });

  it("refuse rows that are not there and fields that exclude each other", () => {
    expect(refusal(HEAD + ROWS.replace("uses: { vlm: stage-1 }", "uses: { vlm: stage-9 }"))).toContain(
      'no row "stage-9"',
    );
    expect(refusal(HEAD.replace("baseRow: sft", "baseRow: none") + ROWS)).toContain(
      'baseRow: there is no row "none"',
    );
    expect(refusal(HEAD + ROWS.replace("name: more", "name: joint"))).toContain("two rows have one name");
    expect(refusal(HEAD + ROWS.replace("of: sft, system: extension", "of: sft"))).toContain("needs a system");
    expect(refusal(HEAD + ROWS.replace("title: Stage 1", "title: Stage 1\n    system: best-of"))).toContain(
      "best-of",
    );
    expect(refusal(`${HEAD}${ROWS}claims: [{ text: x, metric: rougeL, row: joint, than: none }]`)).toContain(
      'claim "x"',
    );
    expect(
      refusal(
        HEAD + ROWS.replace("title: SFT }", "title: SFT, evaluation: { procedural: 5, predictive: 4 } }"),
      ),
    ).toContain("more samples");
  });

  it("answer settings keep only what was said", () => {
    const { rows } = small(`${HEAD}rows: [{ name: sft, title: SFT, answer: { steps: 3 } }]`);
    expect(rows[0]!.answer).toEqual({ steps: 3 });
  });

  it("the ablation grid of the package is valid and can be planned", async () => {
    const path = fileURLToPath(new URL("../../recipes/experiments/ablations.yaml", import.meta.url));
    const experiment = parseExperiment(await readFile(path, "utf8"), path);
    const plan = await planExperiment(experiment);
    expect(plan.map(({ id }) => id)).toEqual(
      expect.arrayContaining(["joint-s11", "joint-s12", "both-separately-s11"]),
    );
    for (const run of plan)
      for (const id of run.needs)
        expect(plan.findIndex((one) => one.id === id)).toBeLessThan(plan.indexOf(run));
  });
});

describe("plans", () => {
  it("put what is needed first, and take the same seed where there is one", async () => {
    const plan = await planExperiment(small());
    expect(plan.map(({ id }) => id)).toEqual(["sft-s3", "stage-1-s3", "joint-s3", "joint-s4", "more-s3"]);
    const uses = Object.fromEntries(plan.map(({ id, uses: own }) => [id, own]));
    // Stage 1 has one seed, so both joint runs start from it.
    expect(uses).toMatchObject({ "joint-s3": { vlm: "stage-1-s3" }, "joint-s4": { vlm: "stage-1-s3" } });
    expect(plan[4]!.needs).toEqual(["joint-s3"]);
  });

  it("change recipes deeply, and tell how", async () => {
    const plan = await planExperiment(small());
    const { recipe, changes } = plan[3]!.trainings[0]!;
    expect(recipe).toMatchObject({ seed: 4, settings: { rewards: { "clip-video": 1, "clip-score": 0 } } });
    expect(recipe.settings).not.toHaveProperty("window");
    expect(changes).toEqual(
      expect.arrayContaining([
        { field: "settings.rewards.clip-score", was: "1", is: "0" },
        expect.objectContaining({ field: "settings.window", is: null }),
        expect.objectContaining({ field: "seed", is: "4" }),
      ]),
    );
  });

  it("choose rows with what they need, columns with their owner, and refuse unknown ones", async () => {
    const experiment = small();
    const plan = await planExperiment(experiment);
    const chosen = (only?: string[]) =>
      chosenRuns(plan, experiment, only).map(({ run, isAsked }) => `${run.id}${isAsked ? "" : " (needed)"}`);
    expect(chosen(["more"])).toEqual(["stage-1-s3 (needed)", "joint-s3 (needed)", "more-s3"]);
    expect(chosen(["extension"])).toEqual(["sft-s3"]);
    expect(chosen()).toHaveLength(5);
    expect(() => chosen(["nothing"])).toThrow('no row "nothing"');
  });

  it("refuse circles", async () => {
    const text = HEAD + ROWS.replace("cpuBudgetCoreHours: 0.5", "cpuBudgetCoreHours: { sameAs: joint }");
    await expect(planExperiment(small(text))).rejects.toThrow("circle");
  });

  it("refuse recipes that train nothing of an answer", async () => {
    const text = HEAD + ROWS.replace("recipe: playroom-vlm-2-sft", "recipe: playroom-clip");
    await expect(planExperiment(small(text))).rejects.toThrow("trains nothing that answers");
  });
});

describe("starts", () => {
  it("a policy starts from the base suite and the adapters of its row; supervised training from the base's weights", async () => {
    const suite = await loadSuite("playroom-sft");
    const options = { suite, folder: "." };
    const stage2 = await readRecipe(recipeFile("playroom-joint-grpo-2"));
    const alone = await startingFrom(stage2, {}, options);
    // The recipe's own stage 1 is not this row's.
    expect(alone.init).toEqual({});
    expect(alone.settings["suite"]).toBe("suites/playroom-sft");
    const sft = await startingFrom(await readRecipe(recipeFile("playroom-vlm-2-sft")), {}, options);
    expect(sft.init["vlm"]).toBe("suites/playroom-sft/vlm/model.safetensors");
    const replaced = { vlm: { part: "vlm", kind: "full", weights: "x.safetensors" } } as const;
    await expect(startingFrom(stage2, replaced, options)).rejects.toThrow("cannot train on weights");
  });
});

describe("merging", () => {
  it("goes into objects, replaces lists, takes away what is null", () => {
    const base = { a: { b: 1, c: [1, 2] }, d: 2 };
    expect(deepMerge(base, { a: { c: [3] }, d: null, e: { f: 1 } })).toEqual({
      a: { b: 1, c: [3] },
      e: { f: 1 },
    });
    expect(base).toEqual({ a: { b: 1, c: [1, 2] }, d: 2 });
    expect(fieldChanges({ a: { b: 1 } }, { a: { b: 2 }, c: 1 })).toEqual([
      { field: "a.b", was: "1", is: "2" },
      { field: "c", was: null, is: "1" },
    ]);
  });

  it("checks the changed recipe again", async () => {
    const recipe = await readRecipe(recipeFile("playroom-joint-grpo-1"));
    expect(changedRecipe(recipe, {}, "same")).toEqual(recipe);
    expect(() => changedRecipe(recipe, { steps: -1 }, "negative")).toThrow("not a valid recipe");
  });
});
