import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { grpoTokens } from "./grpo-tokens.ts";

it("advantages and token losses agree with TRL, Flow-GRPO and VANS", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/grpo_tokens"));
  expect(grpoTokens.recognises(golden)).toBe(true);
  const checks = await grpoTokens.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
