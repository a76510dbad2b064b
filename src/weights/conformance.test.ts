import { join } from "node:path";
import { expect, it } from "vitest";
import { runFormatsCase } from "./conformance.ts";

const folder = join(import.meta.dirname, "../../conformance/formats");

it("reads and writes every file of the reference case exactly", async () => {
  const checks = await runFormatsCase(folder);
  expect(checks.filter((check) => !(check.maxError <= check.tolerance))).toEqual([]);
  expect(checks.length).toBeGreaterThan(40);
});
