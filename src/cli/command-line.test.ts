/** The command line as a user meets it: results, refusals, exit codes, and what is left on disk. @module */
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { writeRandomSuite } from "../answer/testing/random-suite.ts";
import { probe, readMp4Metadata, writeMp4 } from "../media/index.ts";
import { sampleForSeed } from "../world/index.ts";
import { runCommandLine } from "./command-line.ts";

let root: string;
let suite: string;
let clip: string;
const question = "What happens next?";

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "vans-cli-"));
  suite = await writeRandomSuite(join(root, "suite"));
  clip = join(root, "clip.mp4");
  await writeMp4(clip, sampleForSeed(900_003).input);
});
afterAll(() => rm(root, { recursive: true, force: true }));
afterEach(() => {
  vi.restoreAllMocks();
});

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** Lines of the standard output as JSON. */
  readonly events: () => Record<string, unknown>[];
}

/** Runs a command line in this process. */
async function vans(...args: string[]): Promise<Outcome> {
  const out: string[] = [];
  const err: string[] = [];
  vi.spyOn(console, "log").mockImplementation((text: unknown) => void out.push(String(text)));
  vi.spyOn(console, "error").mockImplementation((text: unknown) => void err.push(String(text)));
  vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text).trimEnd()) > 0);
  vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text).trimEnd()) > 0);
  try {
    const code = await runCommandLine(args);
    const text = out.join("\n");
    const events = () => text.split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    return { code, out: text, err: err.join("\n"), events };
  } finally {
    vi.restoreAllMocks();
  }
}

const json = async (path: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;

describe("vans answer", () => {
  it("writes video, facts and sheet, and tells what it does", async () => {
    const out = join(root, "deep/er/one");
    const run = await vans(
      "answer",
      clip,
      question,
      "--suite",
      suite,
      "--out",
      out,
      "--seed",
      "5",
      "--steps",
      "2",
    );
    expect(run.code).toBe(0);
    expect((await readdir(out)).sort()).toEqual(["answer.json", "answer.mp4", "sheet.png"]);
    expect(run.out).toContain(join(out, "answer.mp4"));
    expect(run.err).toContain("Reasoning: the tower leans over\nNext: a red block falls down");
    expect(await probe(join(out, "answer.mp4"))).toMatchObject({ codec: "h264", frameCount: 17, height: 32 });
    const facts = await json(join(out, "answer.json"));
    expect(Object.keys(facts)).toEqual(
      expect.arrayContaining([
        "question",
        "reasoning",
        "caption",
        "settings",
        "seed",
        "timings",
        "versions",
        "hashes",
      ]),
    );
    expect(facts).toMatchObject({
      question,
      caption: "a red block falls down",
      seed: 5,
      settings: { steps: 2 },
    });
    const inside = JSON.parse((await readMp4Metadata(join(out, "answer.mp4"))) ?? "") as Record<
      string,
      unknown
    >;
    expect(inside).toMatchObject({ question, seed: 5, sample: 0, input: { path: clip }, device: "cpu" });
    expect((await readFile(join(out, "sheet.png"))).subarray(1, 4).toString()).toBe("PNG");
  });

  it("draws several futures, and speaks JSON", async () => {
    const out = join(root, "many");
    const run = await vans(
      "answer",
      clip,
      question,
      "--suite",
      suite,
      "--out",
      out,
      "--samples",
      "2",
      "--json",
    );
    expect(run.code).toBe(0);
    expect((await readdir(out)).sort()).toEqual([
      "answer-1.mp4",
      "answer-2.mp4",
      "answer.json",
      "sheet-1.png",
      "sheet-2.png",
    ]);
    const events = run.events();
    expect(new Set(events.map(({ type }) => type))).toEqual(
      new Set(["loaded", "input", "token", "caption", "step", "frames", "done"]),
    );
    expect(events.at(-1)).toMatchObject({
      type: "done",
      folder: out,
      captions: ["a red block falls down", "a red block falls down"],
    });
    expect(run.err).toBe("");
  });

  it("refuses what it cannot read with a code, and leaves nothing", async () => {
    const files = join(root, "files");
    await mkdir(join(files, "folder.mp4"), { recursive: true });
    await writeFile(join(files, "empty.mp4"), "");
    await writeFile(join(files, "text.mp4"), "this is no video at all, whatever its name says");
    const refusals = [
      ["none.mp4", "VANS_MEDIA_NOT_FOUND"],
      ["folder.mp4", "VANS_MEDIA_NOT_A_FILE"],
      ["empty.mp4", "VANS_MEDIA_EMPTY"],
      ["text.mp4", "VANS_MEDIA_FORMAT_UNKNOWN"],
    ] as const;
    for (const [name, code] of refusals) {
      const out = join(root, "nothing", name);
      const run = await vans("answer", join(files, name), question, "--suite", suite, "--out", out, "--json");
      expect([name, run.code]).toEqual([name, 1]);
      expect(run.err).toMatch(new RegExp(`^${code}: `));
      expect(run.events().at(-1)).toMatchObject({ type: "error", code });
    }
    expect(existsSync(join(root, "nothing"))).toBe(false);
  });

  it("answers a video of one frame and one of ten minutes", async () => {
    const { input } = sampleForSeed(900_005);
    const size = 64 * 64 * 3;
    const one = join(root, "one-frame.mp4");
    await writeMp4(one, { ...input, frameCount: 1, rgb: input.rgb.slice(0, size) });
    const still = await vans(
      "answer",
      one,
      question,
      "--suite",
      suite,
      "--out",
      join(root, "o1"),
      "--steps",
      "1",
    );
    expect(still.err).toContain("a still image");
    expect(still.code).toBe(0);
    // 10 minutes of 2 frames a second.
    const long = join(root, "long.mp4");
    const frames = new Uint8Array(1200 * 16 * 16 * 3).map((_, i) => Math.floor(i / 768) % 256);
    await writeMp4(long, { frameCount: 1200, height: 16, width: 16, frameRateHz: 2, rgb: frames });
    const run = await vans(
      "answer",
      long,
      question,
      "--suite",
      suite,
      "--out",
      join(root, "o2"),
      "--steps",
      "1",
    );
    expect(run.code).toBe(0);
    expect(run.err).toContain("VANS_CLIP_SPED_UP");
  });

  it("says beforehand that the output cannot be written", async () => {
    const run = await vans("answer", clip, question, "--suite", suite, "--out", join(clip, "below-a-file"));
    expect(run.code).toBe(1);
    expect(run.err).toMatch(/^VANS_MEDIA_UNWRITABLE: /);
  });

  it("refuses questions without end before the runtime sees them", async () => {
    const endless = "what happens next? ".repeat(2000);
    const run = await vans("answer", clip, endless, "--suite", suite, "--out", join(root, "long-question"));
    expect([run.code, run.err.split(":")[0]]).toEqual([1, "VANS_ANSWER_REQUEST"]);
    // A whole process, for the runtime reads the process's own command line.
    const args = ["answer", clip, endless, "--suite", suite, "--out", join(root, "long-question"), "--json"];
    const outcome = await vansProcess(args, () => undefined);
    expect(outcome.code).toBe(1);
    expect(outcome.out).toContain("VANS_ANSWER_REQUEST");
    expect(existsSync(join(root, "long-question"))).toBe(false);
  });

  /** A disk of its own below the tests' folder. */
  async function withDisk(size: string, skip: () => void, use: (disk: string) => Promise<void>) {
    const disk = await mkdtemp(join(root, "disk-"));
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", disk], { stdio: "ignore" });
    } catch {
      return skip();
    }
    try {
      await use(disk);
    } finally {
      execFileSync("umount", [disk]);
    }
  }

  it("leaves nothing on a full disk", (context) =>
    withDisk(
      "20k",
      () => context.skip("mounting a small disk needs root"),
      async (disk) => {
        const out = join(disk, "out");
        const ask = ["answer", clip, question, "--suite", suite, "--steps", "1", "--json"];
        for (const folder of [out, disk]) {
          const run = await vans(...ask, "--out", folder);
          expect(run.code).toBe(1);
          const told = run.events().at(-1);
          expect(told).toMatchObject({ type: "error", code: "VANS_MEDIA_DISK_FULL" });
          expect(told!["asked"]).toMatch(new RegExp(`^${folder}/(answer|sheet)[^/]*$`));
          expect(await readdir(disk)).toEqual([]);
        }
      },
    ));

  it("writes into a folder that is a disk of its own", (context) =>
    withDisk(
      "10m",
      () => context.skip("mounting a disk needs root"),
      async (disk) => {
        const run = await vans(
          "answer",
          clip,
          question,
          "--suite",
          suite,
          "--out",
          disk,
          "--steps",
          "1",
          "--samples",
          "2",
        );
        expect(run.code).toBe(0);
        expect((await readdir(disk)).length).toBe(5);
      },
    ));
});

describe("vans again", () => {
  let first: string;
  beforeAll(async () => {
    first = join(root, "first");
    const run = await vans(
      "answer",
      clip,
      question,
      "--suite",
      suite,
      "--out",
      first,
      "--seed",
      "9",
      "--samples",
      "2",
    );
    expect(run.code).toBe(0);
  });

  it("repeats one future exactly", async () => {
    const run = await vans("again", join(first, "answer-2.mp4"), "--json");
    expect(run.events().at(-1)).toMatchObject({ type: "done", identical: true });
    expect(run.code).toBe(0);
    const [before, after] = [join(first, "answer-2.mp4"), join(first, "again/answer.mp4")];
    expect(await readMp4Metadata(after)).toBe(await readMp4Metadata(before));
  });

  it("refuses another clip and another suite, and finds a moved clip", async () => {
    const other = join(root, "other.mp4");
    await writeMp4(other, sampleForSeed(900_007).input);
    const answer = join(first, "answer-1.mp4");
    const wrong = await vans("again", answer, "--clip", other);
    expect([wrong.code, wrong.err.split(":")[0]]).toEqual([1, "VANS_AGAIN_INPUT_MISMATCH"]);
    const gone = await vans("again", answer, "--clip", join(root, "gone.mp4"));
    expect([gone.code, gone.err.split(":")[0]]).toEqual([1, "VANS_AGAIN_INPUT_MISSING"]);
    const changed = join(root, "changed");
    await cp(suite, changed, { recursive: true });
    const config = join(changed, "vdm/config.json");
    await writeFile(config, `${await readFile(config, "utf8")}\n`);
    const drifted = await vans("again", answer, "--suite", changed);
    expect([drifted.code, drifted.err.split(":")[0]]).toEqual([1, "VANS_AGAIN_SUITE_MISMATCH"]);
    expect(drifted.err).toContain("vdm/config.json");
    const moved = join(root, "moved.mp4");
    await copyFile(clip, moved);
    const run = await vans("again", answer, "--clip", moved, "--out", join(root, "moved"), "--json");
    expect(run.events().at(-1)).toMatchObject({ identical: true });
  });

  it("refuses a video that does not say how it was made", async () => {
    const run = await vans("again", clip);
    expect([run.code, run.err.split(":")[0]]).toEqual([1, "VANS_AGAIN_NO_SETTINGS"]);
  });
});

describe("wrong usage", () => {
  it("exits 2 with the reason, in JSON too", async () => {
    const cases = [
      [["answer", clip], "missing required argument 'question'"],
      [["answer", clip, question, "--seed", "-1"], "Give a whole number from 0 on."],
      [["answer", clip, question, "--samples", "0"], "Give a whole number from 1 to 1000."],
      [["answer", clip, question, "--guidance", "x"], "Give a number from 0 on."],
      [["answer", clip, question, "--device", "tpu"], "Allowed choices are auto, cpu, webgpu, cuda."],
      [["answer", clip, question, "--speed"], "unknown option '--speed'"],
      [["ansver"], "unknown command 'ansver'"],
      [["world"], "a command is missing"],
      [[], "a command is missing"],
    ] as const;
    for (const [args, reason] of cases) {
      const run = await vans(...args);
      expect([args, run.code]).toEqual([args, 2]);
      expect(run.err).toContain(reason);
    }
    const run = await vans("answer", "--json");
    expect(run.events()).toEqual([
      { type: "error", code: "VANS_CLI_USAGE", message: "missing required argument 'clip'" },
    ]);
  });

  it("is not asking for help or the version", async () => {
    const help = await vans("--help");
    expect(help.code).toBe(0);
    for (const command of ["answer", "again", "demo", "suites", "devices", "world", "train"])
      expect(help.out).toMatch(new RegExp(`^  ${command} `, "m"));
    expect((await vans("--version")).out).toMatch(/^\d+\.\d+\.\d+/);
  });
});

describe("other commands", () => {
  it("shows and makes samples of the world", async () => {
    const shown = await vans("world", "show", "--seed", "900001", "--out", join(root, "shown"));
    expect(shown.code).toBe(0);
    expect(shown.out).toMatch(/^playroom-v\d+-900001 {2}\(predictive, /);
    expect((await readdir(join(root, "shown"))).sort()).toEqual(["input.mp4", "output.mp4", "sheet.png"]);
    const made = await vans(
      "world",
      "make",
      "--seed",
      "0",
      "--count",
      "2",
      "--out",
      join(root, "made"),
      "--json",
    );
    expect(made.events().map(({ type }) => type)).toEqual(["sample", "sample", "manifest"]);
    expect(await readdir(join(root, "made"))).toContain("manifest.parquet");
  });

  it("describes a suite", async () => {
    const run = await vans("suites", suite);
    expect(run.code).toBe(0);
    expect(run.out).toContain("random 0.0.1  (Apache-2.0, ");
    expect(run.out).toContain("card: Random weights: answers are noise.");
    expect((await vans("suites")).code).toBe(0);
    const missing = await vans("suites", "none-such");
    expect([missing.code, missing.err.split(":")[0]]).toEqual([1, "VANS_SUITE_NOT_FOUND"]);
  });

  it("answers the bundled clips", async () => {
    const out = join(root, "demo");
    const run = await vans("demo", "--suite", suite, "--out", out);
    expect(run.code).toBe(0);
    const names = (await readdir(out)).sort();
    expect(names).toEqual(["image", "procedure", "what-if-blown", "what-if-watered"]);
    for (const name of names) {
      expect(existsSync(join(out, name, "answer.mp4"))).toBe(true);
      expect(run.out).toContain(join(name, "sheet.png"));
    }
  });
});

/** Runs the program in a process of its own. `onText` sees its output as it grows. */
async function vansProcess(
  args: readonly string[],
  onText: (child: ReturnType<typeof spawn>, text: string) => void,
): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const main = new URL("./main.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, ["--import", loader, main, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const text = { out: "", err: "" };
  child.stderr.on("data", (chunk: Buffer) => {
    text.err += chunk.toString();
  });
  child.stdout.on("data", (chunk: Buffer) => {
    text.out += chunk.toString();
    onText(child, text.out);
  });
  const code = await new Promise<number | null>((done) => child.on("close", done));
  return { code, ...text };
}

describe("Ctrl-C", () => {
  it("stops within a step, exits 130, and leaves nothing", async () => {
    const out = join(root, "stopped/deeper");
    const args = ["answer", clip, question, "--suite", suite, "--out", out, "--steps", "1000", "--json"];
    let isSent = false;
    const run = await vansProcess(args, (child, text) => {
      if (!isSent && text.includes('"step"')) isSent = child.kill("SIGINT");
    });
    expect(run.code).toBe(130);
    const events = run.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.at(-1)).toMatchObject({ type: "error", code: "VANS_RUN_ABORTED" });
    expect(events.filter(({ type }) => type === "step").length).toBeLessThan(500);
    expect(existsSync(join(root, "stopped"))).toBe(false);
  });
});

describe("a reader that leaves", () => {
  it("stops the work like Ctrl-C, without a stack of its own", async () => {
    const out = join(root, "unread/deeper");
    const args = ["answer", clip, question, "--suite", suite, "--out", out, "--steps", "1000", "--json"];
    const run = await vansProcess(args, (child, text) => {
      if (text.includes('"step"')) child.stdout!.destroy();
    });
    expect(run).toMatchObject({ code: 130, err: "VANS_RUN_ABORTED: stopped; nothing was written\n" });
    expect(existsSync(join(root, "unread"))).toBe(false);
  });
});
