/** One owner at a time, and none that is dead. @module */
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { takeLock } from "./process-lock.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-lock-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("locks of items", () => {
  it("have one owner at a time", async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => takeLock(folder, "a")));
    const held = all.filter((lock) => lock !== undefined);
    expect(held).toHaveLength(1);
    expect(await takeLock(folder, "b")).toBeDefined();
    await held[0]!.release();
    expect((await readdir(folder)).filter((name) => name.startsWith("a."))).toEqual([]);
    expect(await takeLock(folder, "a")).toBeDefined();
  });

  it("pass from a dead owner to exactly one other", async () => {
    const dead = { pid: 2 ** 22 + 1, host: hostname(), started: "1" };
    await writeFile(join(folder, "c.1.lock"), JSON.stringify(dead));
    const all = await Promise.all(Array.from({ length: 20 }, () => takeLock(folder, "c")));
    const held = all.filter((lock) => lock !== undefined);
    expect(held).toHaveLength(1);
    await held[0]!.release();
    expect((await readdir(folder)).filter((name) => name.startsWith("c."))).toEqual([]);
  });

  it("stay with one owner while others come and go", async () => {
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    await writeFile(join(folder, "e.1.lock"), JSON.stringify({ pid, host: hostname(), started: "" }));
    let owners = 0;
    let mostOwners = 0;
    let turns = 0;
    const worker = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) {
        const lock = await takeLock(folder, "e");
        if (!lock) continue;
        mostOwners = Math.max(mostOwners, ++owners);
        turns++;
        await new Promise(setImmediate);
        owners--;
        await lock.release();
      }
    };
    await Promise.all(Array.from({ length: 10 }, worker));
    expect(turns).toBeGreaterThan(0);
    expect(mostOwners).toBe(1);
  });

  it("on another machine count by their signs of life", async () => {
    const path = join(folder, "d.1.lock");
    await writeFile(path, JSON.stringify({ pid: 1, host: "elsewhere", started: "" }));
    expect(await takeLock(folder, "d")).toBeUndefined();
    const old = new Date(Date.now() - 120_000);
    await utimes(path, old, old);
    expect(await takeLock(folder, "d")).toBeDefined();
  });
});
