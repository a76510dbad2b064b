import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { qwen25vl } from "./qwen25vl.ts";

it("Qwen2.5-VL agrees with transformers from patches to sampled tokens", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/qwen25vl"));
  expect(qwen25vl.recognises(golden)).toBe(true);
  const checks = await qwen25vl.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
