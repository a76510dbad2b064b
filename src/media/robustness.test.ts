import { readFileSync } from "node:fs";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { fold, integer, keyFromSeed } from "../base/keys.ts";
import { closeCodecProcesses } from "./codec-host.ts";
import { probe, readClip } from "./decode.ts";
import { writeMp4 } from "./encode.ts";

const fixture = (name: string): string => new URL(`./fixtures/${name}`, import.meta.url).pathname;
const patience = { silenceSecs: 240 };
const npm = { backends: ["npm"], ...patience } as const;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-robust-"));
});
afterAll(async () => {
  closeCodecProcesses();
  await rm(folder, { recursive: true });
});

describe("paths that cannot be read", () => {
  it("have their own codes", async () => {
    const expectCode = async (path: string, code: string): Promise<void> => {
      await expect(readClip(path, patience)).rejects.toMatchObject({ code });
      await expect(probe(path, patience)).rejects.toMatchObject({ code });
    };
    await expectCode(join(folder, "missing.mp4"), "VANS_MEDIA_NOT_FOUND");
    await expectCode(join(fixture("vp9.mp4"), "inside.mp4"), "VANS_MEDIA_NOT_FOUND");
    await expectCode(folder, "VANS_MEDIA_NOT_A_FILE");
    await expectCode("/dev/null", "VANS_MEDIA_NOT_A_FILE");
    await writeFile(join(folder, "empty.mp4"), "");
    await expectCode(join(folder, "empty.mp4"), "VANS_MEDIA_EMPTY");
  });

  it("include files without permission", async (context) => {
    if (process.getuid?.() === 0) context.skip("root reads everything");
    const path = join(folder, "locked.mp4");
    await writeFile(path, await readFile(fixture("vp9.mp4")));
    await chmod(path, 0o000);
    await expect(readClip(path, patience)).rejects.toMatchObject({ code: "VANS_MEDIA_UNREADABLE" });
  });
});

describe("limits", () => {
  it("on memory are kept before anything is decoded", async () => {
    await expect(readClip(fixture("vp9.mp4"), { maxBytes: 1000, ...npm })).rejects.toMatchObject({
      code: "VANS_MEDIA_TOO_LARGE",
    });
  });
  it("count a frame as often as it is asked for", async () => {
    const timesSecs = Array.from({ length: 100 }, () => 0);
    await expect(
      readClip(fixture("vp9.webm"), { timesSecs, maxBytes: 10_000, ...npm }),
    ).rejects.toMatchObject({
      code: "VANS_MEDIA_TOO_LARGE",
    });
  });
  it("on requests are checked first of all", async () => {
    await expect(readClip(join(folder, "missing.mp4"), { frameCount: -1 })).rejects.toMatchObject({
      code: "VANS_MEDIA_REQUEST_INVALID",
    });
  });
});

describe("cancelling", () => {
  it("stops a read and leaves the next one working", async () => {
    const controller = new AbortController();
    const reading = readClip(fixture("h264-bframes.mp4"), { signal: controller.signal, ...npm });
    controller.abort();
    await expect(reading).rejects.toMatchObject({ code: "VANS_RUN_ABORTED" });
    expect((await readClip(fixture("h264-bframes.mp4"), { timesSecs: [0], ...npm })).frameCount).toBe(1);
  });
});

describe("a decoder that dies or hangs", () => {
  /** Process ids of our codec processes. */
  async function codecProcesses(): Promise<number[]> {
    const found: number[] = [];
    for (const thread of await readdir("/proc/self/task")) {
      const children = readFileSync(`/proc/self/task/${thread}/children`, "utf8").trim();
      for (const child of children.split(" ").filter((text) => text !== "")) {
        const command = readFileSync(`/proc/${child}/cmdline`, "utf8");
        if (command.includes("codec-process")) found.push(Number(child));
      }
    }
    return found;
  }

  async function longVideo(): Promise<string> {
    const path = join(folder, "long.mp4");
    const [frameCount, side] = [1500, 64];
    await writeMp4(
      path,
      {
        frameCount,
        height: side,
        width: side,
        frameRateHz: 30,
        rgb: new Uint8Array(frameCount * side * side * 3),
      },
      patience,
    );
    return path;
  }

  it.skipIf(process.platform !== "linux")("costs one call, not the program", async () => {
    const path = await longVideo();
    for (const [signal, code] of [
      ["SIGSEGV", "VANS_MEDIA_DECODER_CRASHED"],
      ["SIGSTOP", "VANS_MEDIA_TIMEOUT"],
    ] as const) {
      closeCodecProcesses();
      const silenceSecs = signal === "SIGSTOP" ? 1 : 240;
      const reading = readClip(path, { backends: ["npm"], silenceSecs });
      const outcome = reading.then(
        () => "read",
        (error: unknown) => (isVansError(error) ? error.code : String(error)),
      );
      // The file is long enough that its reading is under way when the process is found.
      let victims: number[] = [];
      while (victims.length === 0) {
        await sleep(2);
        victims = await codecProcesses();
      }
      await sleep(50);
      for (const victim of await codecProcesses()) process.kill(victim, signal);
      // A stopped process that had not yet said anything is given the time to start up.
      const result = await Promise.race([outcome, sleep(signal === "SIGSTOP" ? 4000 : 30_000, "slow")]);
      if (result === "slow") for (const victim of await codecProcesses()) process.kill(victim, "SIGKILL");
      expect([code, "slow", "VANS_MEDIA_DECODER_CRASHED"]).toContain(result);
      await outcome;
    }
    expect((await readClip(path, { timesSecs: [1], ...npm })).frameCount).toBe(1);
  });
});

describe("damaged files", () => {
  const files = ["h264-bframes.mp4", "h264-open-gop.mkv", "vp8.webm", "vp9.webm", "av1.mp4"];
  /** Codes that a damaged file may give. A hang or a crash of the decoder is survived as well, but not expected here. */
  const allowed = [
    "VANS_MEDIA_CORRUPT",
    "VANS_MEDIA_NO_VIDEO",
    "VANS_MEDIA_FORMAT_UNKNOWN",
    "VANS_MEDIA_CODEC_UNSUPPORTED",
    "VANS_MEDIA_TOO_LARGE",
    "VANS_MEDIA_EMPTY",
  ];

  it.each(files)("%s, cut off, gives what is there or says that it is damaged", async (file) => {
    const whole = await readFile(fixture(file));
    const counts: number[] = [];
    for (const share of [0.2, 0.5, 0.8, 0.95]) {
      const path = join(folder, `cut-${file}`);
      await writeFile(path, whole.subarray(0, Math.round(whole.length * share)));
      try {
        counts.push((await readClip(path, npm)).frameCount);
      } catch (error) {
        if (!isVansError(error)) throw error;
        expect(allowed).toContain(error.code);
      }
    }
    // mp4 files of ffmpeg have their index at the end; Matroska can be cut anywhere.
    if (/mkv|webm/.test(file)) expect(counts.length).toBeGreaterThanOrEqual(2);
    expect(counts.every((count) => count >= 1 && count <= 24)).toBe(true);
  });

  it.each(files)("%s, with bytes changed, never harms", async (file) => {
    const whole = await readFile(fixture(file));
    for (let variant = 0; variant < 6; variant++) {
      const key = fold(keyFromSeed(1), file, variant);
      const bytes = Buffer.from(whole);
      const changes = [1, 8, 64][variant % 3]!;
      for (let i = 0; i < changes; i++)
        bytes[integer(fold(key, "at", i), bytes.length)] = integer(fold(key, "to", i), 256);
      const path = join(folder, `changed-${file}`);
      await writeFile(path, bytes);
      try {
        const clip = await readClip(path, { ...npm, maxFrames: 12 });
        expect(clip.rgb.length).toBe(clip.frameCount * clip.height * clip.width * 3);
      } catch (error) {
        if (!isVansError(error)) throw error;
        expect(allowed).toContain(error.code);
      }
    }
  });

  it("keep the frames around a lost packet at their times", async () => {
    const whole = await readFile(fixture("vp9.webm"));
    const intact = await readClip(fixture("vp9.webm"), npm);
    // Cut the file in the middle: the frames before are untouched, numbered and timed as before.
    const path = join(folder, "half.webm");
    await writeFile(path, whole.subarray(0, Math.round(whole.length * 0.6)));
    const half = await readClip(path, npm);
    const same = half.frameCount - 1;
    expect(same).toBeGreaterThan(3);
    expect(half.rgb.subarray(0, same * 32 * 48 * 3)).toEqual(intact.rgb.subarray(0, same * 32 * 48 * 3));
    expect(half.timesSecs.slice(0, same)).toEqual(intact.timesSecs.slice(0, same));
    // Asked for a number of frames, lost ones are stood in for.
    const asked = await readClip(path, { frameCount: 12, ...npm });
    expect(asked.frameCount).toBe(12);
  });
});
