import { join } from "node:path";
import { expect, it } from "vitest";
import { runRulesCase, runTokenizersCase } from "./conformance.ts";

const cases = join(import.meta.dirname, "../../conformance");

it("tokenizers, chat template and cleaning agree with the reference in every row", async () => {
  const checks = await runTokenizersCase(join(cases, "tokenizers"));
  expect(checks.filter((check) => !(check.maxError <= check.tolerance))).toEqual([]);
  expect(checks.length).toBeGreaterThan(3000);
});

it("answer rules, schedules and moving averages agree with the reference in every row", async () => {
  const checks = await runRulesCase(join(cases, "rules"));
  expect(checks.filter((check) => !(check.maxError <= check.tolerance))).toEqual([]);
  expect(checks.length).toBeGreaterThan(150);
});
