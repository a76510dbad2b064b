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
