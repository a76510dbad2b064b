import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { runPreprocessingCase } from "./conformance.ts";

const folder = new URL("../../conformance/preprocessing", import.meta.url).pathname;
const copies: string[] = [];
afterAll(() => Promise.all(copies.map((copy) => rm(copy, { recursive: true, force: true }))));

async function changedCopy(file: string, change: (table: unknown[]) => void): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "vans-case-"));
  copies.push(copy);
  await cp(folder, copy, { recursive: true });
  const table = JSON.parse(await readFile(join(copy, file), "utf8")) as unknown[];
  change(table);
  await writeFile(join(copy, file), JSON.stringify(table));
  return copy;
}

describe("the preprocessing case", () => {
  it("passes in every row", async () => {
    const checks = await runPreprocessingCase(folder);
    expect(checks.length).toBeGreaterThan(30);
    expect(checks.filter(({ maxError, tolerance }) => !(maxError <= tolerance))).toEqual([]);
  });

  it("fails where a table says otherwise", async () => {
    const copy = await changedCopy("smart_resize.json", (table) => {
      (table[1] as { result: number[] }).result[0]! += 28;
    });
    const failed = (await runPreprocessingCase(copy)).filter(
      ({ maxError, tolerance }) => maxError > tolerance,
    );
    expect(failed).toEqual([{ name: "smart_resize.json", maxError: 1, tolerance: 0 }]);
  });

  it("fails on tables that it does not know", async () => {
    const copy = await changedCopy("linspace.json", () => {});
    await writeFile(join(copy, "other.json"), "[]");
    const failed = (await runPreprocessingCase(copy)).filter(
      ({ maxError, tolerance }) => maxError > tolerance,
    );
    expect(failed.map(({ name }) => name)).toEqual(["unknown tables: other.json"]);
  });
});
