import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { wanDit } from "./wan-dit.ts";

it("the video transformer agrees with diffusers and VANS", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/wan_dit"));
  expect(wanDit.recognises(golden)).toBe(true);
  const checks = await wanDit.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
