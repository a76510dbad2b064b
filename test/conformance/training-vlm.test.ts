import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { trainingVlm } from "./training-vlm.ts";

it("training the vision-language model's adapters agrees with transformers, PEFT and torch", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/training_vlm"));
  expect(trainingVlm.recognises(golden)).toBe(true);
  const checks = await trainingVlm.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
