import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { grpoRollout } from "./grpo-rollout.ts";

it("a policy-gradient round of the video transformer agrees with Flow-GRPO and VANS", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/grpo_rollout"));
  expect(grpoRollout.recognises(golden)).toBe(true);
  const checks = await grpoRollout.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
