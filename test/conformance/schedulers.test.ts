import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { schedulers } from "./schedulers.ts";

it("schedules and solvers agree with VANS, Wan and diffusers", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/schedulers"));
  expect(schedulers.recognises(golden)).toBe(true);
  const checks = await schedulers.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
