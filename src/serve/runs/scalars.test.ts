/** Explanations cover what is logged and what docs/grpo.md lists. */
import { readdir, readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { explainScalar, SCALARS } from "./scalars.ts";

it("explains every scalar of the table in docs/grpo.md", async () => {
  const docs = await readFile(new URL("../../../docs/grpo.md", import.meta.url), "utf8");
  const table = docs.slice(docs.indexOf("## Every logged scalar"), docs.indexOf("## Alarms"));
  const names = table
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .flatMap((line) => [...line.split("|")[1]!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!));
  expect(names.length).toBeGreaterThan(40);
  for (const name of names) {
    if (name.includes("…")) continue;
    const real = name.replace("<name>", "clip-video").replace("<i>", "3");
    expect(explainScalar(real), name).toBeDefined();
    // Not only by a pattern that takes anything.
    if (name.startsWith("held.")) expect(explainScalar(real)?.pattern, name).not.toBe("held.<name>");
  }
});

it("explains every scalar in the logs that the project keeps", async () => {
  const folder = new URL("../../../runs/logs/", import.meta.url);
  const files = (await readdir(folder).catch(() => [] as string[])).filter((name) => name.endsWith(".jsonl"));
  expect(files.length).toBeGreaterThan(5);
  for (const file of files) {
    const lines = (await readFile(new URL(file, folder), "utf8")).split("\n").filter(Boolean);
    for (const line of lines)
      for (const name of Object.keys(JSON.parse(line) as object))
        if (name !== "step") expect(explainScalar(name), `${file}: ${name}`).toBeDefined();
  }
});

it("explains scalars of one model in joint training, and knows nothing of others", () => {
  expect(explainScalar("vdm/kl/step_4")?.about).toMatch(/^Video model: KL/);
  expect(explainScalar("rewards/rouge-l/mean")?.pattern).toBe("rewards/<name>/mean");
  expect(explainScalar("alarm/kl")?.pattern).toBe("alarm/kl");
  expect(explainScalar("held.eventAccuracy.abstract.predictive")?.group).toBe("Held out");
  expect(explainScalar("nothing/like/it")).toBeUndefined();
  expect(new Set(SCALARS.map(({ pattern }) => pattern)).size).toBe(SCALARS.length);
});
