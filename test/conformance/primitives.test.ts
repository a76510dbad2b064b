import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { primitives } from "./primitives.ts";

it("norms, activations, softmax and time embedding agree with their references", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/primitives"));
  expect(primitives.recognises(golden)).toBe(true);
  const checks = await primitives.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
