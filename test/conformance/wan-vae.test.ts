import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { wanVae } from "./wan-vae.ts";

it("the autoencoder agrees with Wan, diffusers and VANS: whole, streamed, tiled", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/wan_vae"));
  expect(wanVae.recognises(golden)).toBe(true);
  const checks = await wanVae.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
