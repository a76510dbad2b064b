/** What a killed process left behind is found and removed; what a living one writes is not. @module */
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { removeAbandonedFiles, writeFileAtomically } from "./atomic-file.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-atomic-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("leaves nothing behind, whether writing succeeds or fails", async () => {
  const path = join(folder, "deep", "a.json");
  await writeFileAtomically(path, async (file) => void (await file.writeFile("1")));
  await expect(
    writeFileAtomically(path, async () => {
      throw new Error("full");
    }),
  ).rejects.toThrow("full");
  expect(await readdir(join(folder, "deep"))).toEqual(["a.json"]);
});

it("removes what killed processes left, and nothing else", async () => {
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  const below = join(folder, "below");
  await mkdir(below);
  const names = [
    `.a.json.${pid}-3.tmp`,
    `.b.json.${process.pid}-4.tmp`,
    `.c.json.${pid}-5.tmp`,
    `d.${pid}-1.tmp`,
  ];
  for (const name of names) await writeFile(join(below, name), "");
  const old = new Date(Date.now() - 60_000);
  for (const name of names.filter((_, i) => i !== 2)) await utimes(join(below, name), old, old);
  await removeAbandonedFiles(folder);
  // The third is so young that a process of another machine may be at it.
  expect((await readdir(below)).sort()).toEqual(names.slice(1).sort());
  await removeAbandonedFiles(join(folder, "none"));
});
