import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { umt5 } from "./umt5.ts";

it("the text encoder agrees with transformers and Wan", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/umt5"));
  expect(umt5.recognises(golden)).toBe(true);
  const checks = await umt5.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
