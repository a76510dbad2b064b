import { afterEach, expect, it, vi } from "vitest";
import { runCommandLine } from "./command-line.ts";
import { byteSize } from "./plan.ts";

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

it("reads sizes as people write them", () => {
  expect([byteSize("8GB"), byteSize("512 mb"), byteSize("7.5GiB"), byteSize("1000")]).toEqual([
    8e9,
    512e6,
    7.5 * 2 ** 30,
    1000,
  ]);
  expect(() => byteSize("much")).toThrow(/8GB/);
});

it("plans an answer and a training step without weights", async () => {
  const printed: string[] = [];
  vi.spyOn(console, "log").mockImplementation((line: string) => void printed.push(line));
  expect(await runCommandLine(["plan", "--suite", "vans-3b", "--memory", "8GB", "--json"])).toBe(0);
  const plan = JSON.parse(printed.pop()!) as { fits: boolean; stages: unknown[] };
  expect(plan).toMatchObject({ suite: "vans-3b", fits: true });
  expect(plan.stages).toHaveLength(7);
  expect(await runCommandLine(["plan", "--memory", "1.3GB"])).toBe(1);
  expect(printed.join("\n")).toMatch(/does not fit into 1\.30 GB; this does[\s\S]*--frames \d+ --height \d+/);
  process.exitCode = undefined;
  expect(await runCommandLine(["plan", "--train", "vans-3b-sft-vlm", "--memory", "16GB", "--json"])).toBe(0);
  expect(JSON.parse(printed.pop()!)).toMatchObject({ recipe: "vans-3b-sft-vlm", fits: true, trains: "vlm" });
});

it("plans training steps at other sizes, and finds one that fits", async () => {
  const printed: string[] = [];
  vi.spyOn(console, "log").mockImplementation((line: string) => void printed.push(line));
  vi.spyOn(console, "error").mockImplementation((line: string) => void printed.push(line));
  const small = ["--frames", "9", "--height", "128", "--width", "128"];
  const args = ["plan", "--train", "vans-3b-sft-vdm", "--memory", "16GB"];
  expect(await runCommandLine([...args, ...small, "--json"])).toBe(0);
  // (3 + 6) latent frames of 8 x 8 tokens.
  expect(JSON.parse(printed.pop()!)).toMatchObject({ fits: true, tokens: 576, clip: { frames: 9 } });
  expect(await runCommandLine([...args, "--json"])).toBe(1);
  const plan = JSON.parse(printed.pop()!) as { fits: boolean; fitting: { fits: boolean; peakBytes: number } };
  expect(plan).toMatchObject({ fits: false, fitting: { fits: true } });
  expect(plan.fitting.peakBytes).toBeLessThanOrEqual(16e9);
  process.exitCode = undefined;
  for (const [asked, code] of [
    [["vans-3b-sft-vdm", "--height", "100"], "VANS_PLAN_SIZE"],
    [["vans-3b-sft-vdm", "--frames", "10"], "VANS_VAE_FRAME_COUNT"],
    [["vans-3b-sft-vlm", "--frames", "9"], "VANS_PLAN_TRAIN"],
    [["vans-3b-sft-vlm", "--device", "webgpu"], "VANS_PLAN_TRAIN"],
    [["nothing"], "VANS_RECIPE_NOT_FOUND"],
  ] as const) {
    expect(await runCommandLine(["plan", "--train", ...asked])).not.toBe(0);
    expect(printed.splice(0).join("\n")).toContain(code);
  }
});
