import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { grpoVlm } from "./grpo-vlm.ts";

it("a policy-gradient step of the vision-language model agrees with TRL, PEFT and torch", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/grpo_vlm"));
  expect(grpoVlm.recognises(golden)).toBe(true);
  const checks = await grpoVlm.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
