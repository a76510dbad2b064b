/**
 * What the assertions of documentation examples call; see doc-examples.test.ts.
 * @module
 */
import { expect } from "vitest";
import { isVansError } from "../src/base/index.ts";

/** `expression; // => value`: equal as data; numbers may differ in the last bits. */
export function check(actual: unknown, wanted: unknown, source: string): void {
  if (typeof actual === "number" && typeof wanted === "number" && Number.isFinite(wanted)) {
    if (Math.abs(actual - wanted) <= 1e-12 * (1 + Math.abs(wanted))) return;
  }
  expect(actual, source).toEqual(wanted);
}

/** `expression; // => throws VANS_CODE` */
export async function checkThrows(run: () => unknown, code: string, source: string): Promise<void> {
  try {
    await run();
  } catch (error) {
    expect(isVansError(error) ? error.code : String(error), source).toBe(code);
    return;
  }
  expect.fail(`${source}: nothing was thrown`);
}
