import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { trainingDit } from "./training-dit.ts";

it("loss, gradients and optimizer steps of the video transformer agree with VANS and torch", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/training_dit"));
  expect(trainingDit.recognises(golden)).toBe(true);
  const checks = await trainingDit.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
