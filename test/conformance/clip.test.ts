import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { clip } from "./clip.ts";

it("CLIP agrees with transformers in both towers", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/clip"));
  expect(clip.recognises(golden)).toBe(true);
  const checks = await clip.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
