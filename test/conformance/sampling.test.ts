import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { sampling } from "./sampling.ts";

it("sampling agrees with VANS from the clip to the frames", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/sampling"));
  expect(sampling.recognises(golden)).toBe(true);
  const checks = await sampling.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
