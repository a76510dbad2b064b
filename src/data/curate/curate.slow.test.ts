/** The whole pipeline through the command line, against a provider that misbehaves, killed and continued. @module */
import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { importItems, validate, writeImport } from "../index.ts";
import { writeDrawnVideo } from "../testing/make-videos.ts";
import { type SeenRequest, startStandIn } from "../testing/stand-in.ts";
import { LEDGER_NAME, type LedgerLine } from "./assemble.ts";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const VIDEOS = 3;
const FAULTS = {
  timeout: 8,
  rateLimit: 10,
  serverError: 10,
  brokenBody: 8,
  truncatedJson: 12,
  wrongSchema: 10,
  refusal: 8,
  neverFits: 8,
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-curate-"));
  for (let n = 0; n < VIDEOS; n++) {
    await writeDrawnVideo(join(folder, "videos", `film-${n}.mp4`), {
      seed: 40 + n,
      width: 96,
      height: 64,
      frameRateHz: 10,
      shots: 5,
      shotFrames: [32, 44],
      dissolves: 0.2,
      fades: 0,
      scenes: ["texture", "shapes"],
    });
  }
  const { writeFile } = await import("node:fs/promises");
  await writeFile(join(folder, "videos", "broken.mp4"), Buffer.alloc(4000, 7));
  const settings = { annotations: "", videos: join(folder, "videos"), licence: "CC0-1.0" };
  await writeImport(join(folder, "start"), "videos", importItems("videos", settings));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function curateProcess(work: string, url: string): ChildProcess {
  const args = ["--import", "tsx", MAIN, "data", "curate", work, "--provider", "openai", "--base-url", url];
  return spawn(
    process.execPath,
    [...args, "--timeout", "6", "--backoff", "0.01", "--price", "1,1", "--json"],
    { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, OPENAI_API_KEY: "test" } },
  );
}

function ended(child: ChildProcess): Promise<{ code: number | null; text: string }> {
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, text })));
}

async function filesOf(work: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(work, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(work.length + 1);
    // Marks of requests that were lost with a process are about the runs, not the result.
    if (!name.startsWith("locks/") && !name.endsWith(".asked"))
      found[name] = (await readFile(path)).toString("base64");
  }
  return found;
}

const answered = (seen: readonly SeenRequest[]): string[] =>
  seen.filter(({ status }) => status === 200).map(({ hash }) => hash);

describe("curation against a provider that misbehaves", () => {
  it("accounts for every input, asks nothing twice after kill -9, ends with the same bytes", async () => {
    const whole = join(folder, "whole");
    await cp(join(folder, "start"), whole, { recursive: true });
    const calm = await startStandIn({ faults: FAULTS });
    const first = await ended(curateProcess(whole, calm.url));
    expect(first, first.text).toMatchObject({ code: 0 });
    await calm.close();
    expect(new Set(answered(calm.seen)).size).toBe(answered(calm.seen).length);
    expect(new Set(calm.seen.map(({ status }) => status))).toEqual(new Set([200, 429, 500, 0, -1]));

    // The same again, killed every few answers.
    const broken = join(folder, "killed");
    await cp(join(folder, "start"), broken, { recursive: true });
    const stand = await startStandIn({ faults: FAULTS, delayMs: 20 });
    let kills = 0;
    let lost = 0;
    let last: { code: number | null; text: string } | undefined;
    for (let round = 0; round < 12 && last === undefined; round++) {
      const child = curateProcess(broken, stand.url);
      const over = ended(child);
      const target = answered(stand.seen).length + 5 + round * 2;
      const timer = setInterval(() => {
        if (round < 3 && answered(stand.seen).length >= target) child.kill("SIGKILL");
      }, 3);
      const result = await over;
      clearInterval(timer);
      if (result.code === null) kills++;
      else last = result;
    }
    expect(last, last?.text).toMatchObject({ code: 0 });
    expect(kills).toBeGreaterThanOrEqual(2);
    await stand.close();
    // An answer that was on its way when the process died was never received: at most one for each request at a time.
    lost = answered(stand.seen).length - new Set(answered(stand.seen)).size;
    expect(lost).toBeLessThanOrEqual(kills * 4);
    expect(new Set(answered(stand.seen))).toEqual(new Set(answered(calm.seen)));
    const [one, other] = [await filesOf(whole), await filesOf(broken)];
    expect(Object.keys(other).sort()).toEqual(Object.keys(one).sort());
    for (const name of Object.keys(one)) expect(other[name] === one[name], name).toBe(true);

    // Every input has one line in the ledger, and everything refused or unfit says so.
    const ledger = (await readFile(join(whole, LEDGER_NAME), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as LedgerLine);
    const videos = ledger.filter(({ level }) => level === "video");
    expect(videos.length).toBe(VIDEOS + 1);
    expect(videos.find(({ item }) => item === "broken")?.reason).toMatch(/VANS_MEDIA_/);
    for (const level of ["segment", "pair", "sample"] as const) {
      const items = ledger.filter((line) => line.level === level).map(({ item }) => item);
      expect(new Set(items).size).toBe(items.length);
    }
    expect(ledger.every(({ outcome, reason }) => outcome === "kept" || reason)).toBe(true);
    expect(ledger.some(({ outcome }) => outcome === "quarantined")).toBe(true);
    expect(ledger.some(({ reason }) => reason?.includes("refused"))).toBe(true);

    // Once more: nothing is asked, nothing changes.
    const idle = await startStandIn();
    const again = await ended(curateProcess(whole, idle.url));
    expect(again.code).toBe(0);
    expect(idle.seen).toEqual([]);
    await idle.close();
    expect(await filesOf(whole)).toEqual(one);
    const findings = [];
    for await (const event of validate(whole))
      if (event.type === "finding" && event.severity === "fault") findings.push(event);
    expect(findings).toEqual([]);
  });

  it("lets two processes share the work without doing anything twice", async () => {
    const work = join(folder, "shared");
    await cp(join(folder, "start"), work, { recursive: true });
    const stand = await startStandIn({ delayMs: 10 });
    const results = await Promise.all([1, 2].map(() => ended(curateProcess(work, stand.url))));
    await stand.close();
    expect(results.map(({ code }) => code)).toEqual([0, 0]);
    const done = results.flatMap(({ text }) =>
      text
        .split("\n")
        .filter((line) => line.startsWith('{"type":"done"'))
        .map((line) => JSON.parse(line) as { stage: string; video: string }),
    );
    const names = done.map(({ stage, video }) => `${stage} ${video}`);
    expect(names.length).toBe(4 * (VIDEOS + 1));
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(answered(stand.seen)).size).toBe(stand.seen.length);
  });
});
