/** Devices are tried for real, in a process of their own. @module */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { chooseDevice, probeDevice } from "./devices.ts";
import { loadSuite } from "./suite.ts";
import { writeRandomSuite } from "./testing/random-suite.ts";

it("measures the CPU, which always works", async () => {
  const report = await probeDevice("cpu");
  expect(report).toMatchObject({ device: "cpu", isUsable: true });
  expect(report.gigaflops).toBeGreaterThan(0.1);
});

it("says what is missing, why, and what to do", async () => {
  const report = await probeDevice("cuda");
  if (report.isUsable) return;
  expect(report.found).toBeTruthy();
  expect(report.why).toBeTruthy();
  expect(report.fix).toBeTruthy();
});

it("stops with its signal", async () => {
  const run = probeDevice("cpu", { signal: AbortSignal.timeout(5) });
  await expect(run).rejects.toSatisfy((error) => isVansError(error, "VANS_RUN_ABORTED"));
});

it("takes the CPU for small suites without trying anything, and refuses what does not work", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vans-devices-"));
  try {
    const suite = await loadSuite(await writeRandomSuite(join(folder, "random")));
    const started = performance.now();
    expect(await chooseDevice("auto", suite)).toBe("cpu");
    expect(performance.now() - started).toBeLessThan(1000);
    const chosen = await chooseDevice("cuda", suite).catch((error: unknown) => error);
    expect(chosen === "cuda" || isVansError(chosen, "VANS_DEVICE_UNUSABLE")).toBe(true);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
