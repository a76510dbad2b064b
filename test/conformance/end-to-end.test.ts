import { join } from "node:path";
import { expect, it } from "vitest";
import { GoldenCase, passes } from "./case.ts";
import { endToEnd } from "./end-to-end.ts";

it("a clip and a prompt become the frames that the references make of them", async () => {
  const golden = await GoldenCase.open(join(import.meta.dirname, "../../conformance/end_to_end"));
  expect(endToEnd.recognises(golden)).toBe(true);
  const checks = await endToEnd.run(golden);
  expect(checks.filter((check) => !passes(check))).toEqual([]);
  expect(golden.unused()).toEqual([]);
});
