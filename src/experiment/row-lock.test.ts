/** Locks: one process at a time, and none forever. @module */
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { takeLock } from "./row-lock.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-lock-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("is held by one, and free again after its release", async () => {
  const path = join(folder, "deep", "one.lock");
  const first = await takeLock(path);
  expect(first.isHeld).toBe(true);
  expect(await takeLock(path)).toMatchObject({
    isHeld: false,
    holder: { pid: process.pid, host: hostname() },
  });
  if (first.isHeld) await first.release();
  const again = await takeLock(path);
  expect(again.isHeld).toBe(true);
  if (again.isHeld) await again.release();
  expect(await readdir(join(folder, "deep"))).toEqual([]);
});

it("is given to exactly one of many", async () => {
  const path = join(folder, "many.lock");
  const results = await Promise.all(Array.from({ length: 20 }, () => takeLock(path)));
  expect(results.filter(({ isHeld }) => isHeld)).toHaveLength(1);
});

it("is taken over from a process that has ended, by exactly one, but not from another machine", async () => {
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  const path = join(folder, "ended.lock");
  await writeFile(path, JSON.stringify({ pid, host: hostname() }));
  const results = await Promise.all(Array.from({ length: 20 }, () => takeLock(path)));
  expect(results.filter(({ isHeld }) => isHeld)).toHaveLength(1);
  await writeFile(path, JSON.stringify({ pid, host: "elsewhere" }));
  expect((await takeLock(path)).isHeld).toBe(false);
  await writeFile(path, "not a lock");
  expect((await takeLock(path)).isHeld).toBe(true);
});
