/** Every scalar that policy training logs is explained in docs/grpo.md, and every test that it names exists. */
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { REWARD_NAMES } from "../rewards/index.ts";
import { ALARMS, alarmScalar } from "./grpo-alarms.ts";

const at = (path: string): Promise<string> => readFile(new URL(path, import.meta.url), "utf8");
const SOURCES = [
  "joint-grpo-stage-1.ts",
  "joint-grpo-stage-2.ts",
  "joint-grpo-all-in-one.ts",
  "caption-learner.ts",
  "video-learner.ts",
  "anchors.ts",
] as const;

/** Names that the sources give to scalars: keys of metric records, and names in the tables of the learners. */
function loggedNames(source: string): string[] {
  const names = new Set<string>();
  for (const [, name] of source.matchAll(/["`]([a-z_]+(?:\/[a-zA-Z_]+)+)["`]/g)) names.add(name!);
  for (const [, name] of source.matchAll(/["`]([a-z_]+\/[a-z_/]*step_)\$\{/g)) names.add(`${name!}<i>`);
  for (const [, block] of source.matchAll(/(?:metrics(?:: Record<string, number>)? = \{|return \{)([^}]*)/g))
    for (const [, name] of block!.matchAll(/^\s+([a-z]+(?:_[a-z]+)+):/gm)) names.add(name!);
  return [...names];
}

it("docs/grpo.md explains every logged scalar", async () => {
  const docs = await at("../../docs/grpo.md");
  const explained = new Set([...docs.matchAll(/`([^`\n]+)`/g)].map(([, name]) => name!));
  const all: string[] = [];
  for (const file of SOURCES) {
    const source = await at(file);
    // Imports look like names, too.
    all.push(...loggedNames(source.replace(/from "[^"]*"/g, "")));
  }
  expect(all.length).toBeGreaterThan(25);
  for (const name of ["reward_std", "kl/step_<i>", "anchors/from_truth", "completions/clipped_ratio"])
    expect(all).toContain(name);
  const isModel = (name: string): boolean => /^(vlm|vdm)\//.test(name);
  for (const name of all) if (!isModel(name)) expect([...explained], name).toContain(name);
  for (const name of Object.keys(ALARMS) as (keyof typeof ALARMS)[])
    expect(docs, name).toContain(`\`${alarmScalar(name)}\``);
  expect(REWARD_NAMES.length).toBeGreaterThan(0);
  expect([...explained]).toContain("rewards/<name>/mean");
});

it("the table of tests names files that exist", async () => {
  const docs = await at("../../docs/grpo.md");
  const files = [...docs.matchAll(/`(?:src\/rewards\/)?([a-z0-9-]+(?:\.slow)?\.test\.ts)`/g)].map(
    ([, name]) => name!,
  );
  expect(new Set(files).size).toBeGreaterThan(8);
  for (const file of new Set(files)) await (file === "format.test.ts" ? at(`../rewards/${file}`) : at(file));
});
