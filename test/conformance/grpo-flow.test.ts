import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { grpoFlow } from "./grpo-flow.ts";

it("stochastic steps, their probabilities, losses and gradients agree with Flow-GRPO and DanceGRPO", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/grpo_flow"));
  expect(grpoFlow.recognises(golden)).toBe(true);
  const checks = await grpoFlow.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
