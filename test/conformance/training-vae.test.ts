import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { trainingVae } from "./training-vae.ts";

it("the autoencoder's loss and gradients agree with torch", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/training_vae"));
  expect(trainingVae.recognises(golden)).toBe(true);
  const checks = await trainingVae.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
