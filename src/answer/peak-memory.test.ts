import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { availableBytes } from "./peak-memory.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "vans-memory-"));
  await put("proc/meminfo", "MemTotal:  20000000 kB\nMemAvailable:   16000000 kB\n");
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

it("says what the system has, and nothing where the system does not say", () => {
  expect(availableBytes(root)).toBe(16_000_000 * 1024);
  expect(availableBytes(join(root, "nowhere"))).toBeUndefined();
});

it("heeds the limit of a group around the process's own; page cache does not count", async () => {
  await put("proc/self/cgroup", "0::/user.slice/run-1.scope\n");
  await put("sys/fs/cgroup/user.slice/memory.max", "6000000000\n");
  await put("sys/fs/cgroup/user.slice/memory.stat", "anon 1000000000\nfile 4500000000\n");
  await put("sys/fs/cgroup/user.slice/run-1.scope/memory.max", "max\n");
  await put("sys/fs/cgroup/user.slice/run-1.scope/memory.stat", "anon 500000000\nfile 0\n");
  expect(availableBytes(root)).toBe(5_000_000_000);
});

it("knows groups of the first version, and containers that see their group as the root", async () => {
  await put("proc/self/cgroup", "5:cpu:/other\n4:memory:/docker/abc\n0::/\n");
  await put("sys/fs/cgroup/memory/memory.limit_in_bytes", "3000000000\n");
  await put("sys/fs/cgroup/memory/memory.stat", "rss 1\ntotal_rss 1000000000\n");
  expect(availableBytes(root)).toBe(2_000_000_000);
});

it("heeds a limit of data, and never goes below nothing", async () => {
  const limits = (most: string): string =>
    `Limit  Soft Limit  Hard Limit  Units\nMax data size     ${most}      unlimited   bytes\n`;
  await put("proc/self/status", "VmData:\t 1000000 kB\n");
  await put("proc/self/limits", limits("unlimited"));
  expect(availableBytes(root)).toBe(16_000_000 * 1024);
  await put("proc/self/limits", limits("2000000000"));
  expect(availableBytes(root)).toBe(2_000_000_000 - 1_024_000_000);
  await put("proc/self/limits", limits("1000"));
  expect(availableBytes(root)).toBe(0);
});
