import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { metrics } from "./metrics.ts";

it("text scores, Fréchet distance and a reduced I3D agree with their references", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/metrics"));
  expect(metrics.recognises(golden)).toBe(true);
  const checks = await metrics.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
