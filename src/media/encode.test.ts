import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import type { Clip } from "./clip.ts";
import { closeCodecProcesses } from "./codec-host.ts";
import { readClip } from "./decode.ts";
import { readMp4Metadata, writeAnimatedWebp, writeMp4, writePng } from "./encode.ts";
import { findFfmpeg } from "./ffmpeg.ts";
import { unwritable } from "./media-errors.ts";

const patience = { silenceSecs: 240 };
const ffmpeg = await findFfmpeg();
const withFfmpeg = it.skipIf(ffmpeg === undefined);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-encode-"));
});
afterAll(async () => {
  closeCodecProcesses();
  await rm(folder, { recursive: true });
});

/** Flat shapes in strong colours with edges at odd pixels, the hardest case for half-size chroma. */
function drawing(frameCount: number, height: number, width: number, frameRateHz = 8): Clip {
  const rgb = new Uint8Array(frameCount * height * width * 3);
  for (let t = 0; t < frameCount; t++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let colour = y > 46 ? [120, 170, 90] : [235, 228, 210];
        if (Math.hypot(x - (10 + t * 1.5), y - 30) < 8) colour = [220, 30, 40];
        if (x > 40 && x < 57 && y > 32 && y < 49) colour = [30, 60, 210];
        if (x > 20 && x < 35 && y > 6 && y < 18 + t * 0.5) colour = [240, 200, 20];
        rgb.set(colour, ((t * height + y) * width + x) * 3);
      }
    }
  }
  return { frameCount, height, width, frameRateHz, rgb };
}

function psnrDb(a: Uint8Array, b: Uint8Array): number {
  const squared = a.reduce((sum, value, index) => sum + (value - b[index]!) ** 2, 0);
  return 10 * Math.log10((255 * 255 * a.length) / squared);
}

const BACKENDS = [["npm"], ["ffmpeg"]] as const;

describe.each(BACKENDS)("writeMp4 with %s", (backend) => {
  const test = backend === "npm" ? it : withFfmpeg;
  const options = { backends: [backend], ...patience } as const;

  test("keeps a small clip above 35 dB, at its times", async () => {
    const clip = drawing(21, 64, 64);
    const path = join(folder, `${backend}.mp4`);
    await writeMp4(path, clip, options);
    const read = await readClip(path, patience);
    expect(read).toMatchObject({ frameCount: 21, height: 64, width: 64, lostFrames: 0 });
    expect(read.frameRateHz).toBeCloseTo(8, 6);
    expect(psnrDb(read.rgb, clip.rgb)).toBeGreaterThan(35);
  });

  test("gives the same bytes for the same clip", async () => {
    const [first, second] = [join(folder, "first.mp4"), join(folder, "second.mp4")];
    await writeMp4(first, drawing(9, 48, 64), { metadata: "x", ...options });
    await writeMp4(second, drawing(9, 48, 64), { metadata: "x", ...options });
    expect(await readFile(first)).toEqual(await readFile(second));
  });

  test("stores any text", async () => {
    const path = join(folder, "text.mp4");
    const metadata = JSON.stringify({
      seed: 7,
      question: 'What "comes" next?\n; # = \\ é 汉 🎬',
      long: "x".repeat(50_000),
    });
    await writeMp4(path, drawing(2, 16, 16), { metadata, title: "A title", ...options });
    expect(await readMp4Metadata(path, patience)).toBe(metadata);
  });

  test.each([
    [1, 1],
    [15, 17],
    [33, 47],
  ])("keeps sides of %i x %i", async (height, width) => {
    const path = join(folder, "odd.mp4");
    const flat = { ...drawing(3, height, width), rgb: new Uint8Array(3 * height * width * 3).fill(90) };
    await writeMp4(path, flat, options);
    for (const reader of BACKENDS) {
      if (reader[0] === "ffmpeg" && ffmpeg === undefined) continue;
      const read = await readClip(path, { backends: reader, ...patience });
      expect(read).toMatchObject({ height, width });
      expect(read.rgb.every((value) => Math.abs(value - 90) <= 2)).toBe(true);
    }
  });

  test.each([11, 23.976, 30000 / 1001, 12.5])("keeps a rate of %f", async (frameRateHz) => {
    const path = join(folder, "rate.mp4");
    await writeMp4(path, drawing(5, 16, 16, frameRateHz), options);
    const read = await readClip(path, patience);
    expect(read.frameRateHz).toBeCloseTo(frameRateHz, 2);
    expect(read.source.isVariableFrameRate).toBe(false);
  });
});

describe("writeMp4", () => {
  withFfmpeg("writes what browsers play: H.264, yuv420p, tagged colours, index first", async () => {
    const path = join(folder, "browser.mp4");
    await writeMp4(path, drawing(9, 64, 64), { backends: ["npm"], ...patience });
    const entries = "stream=codec_name,pix_fmt,profile,color_space,color_range,nb_frames";
    const { stdout } = await promisify(execFile)(ffmpeg!.ffprobe, [
      "-v",
      "error",
      "-show_entries",
      entries,
      "-of",
      "json",
      path,
    ]);
    const [stream] = (JSON.parse(stdout) as { streams: Record<string, string>[] }).streams;
    expect(stream).toMatchObject({
      codec_name: "h264",
      pix_fmt: "yuv420p",
      color_space: "smpte170m",
      color_range: "tv",
      nb_frames: "9",
    });
    const bytes = (await readFile(path)).toString("latin1");
    expect(bytes.indexOf("moov")).toBeGreaterThan(0);
    expect(bytes.indexOf("moov")).toBeLessThan(bytes.indexOf("mdat"));
  });

  it("enlarges by repeating pixels if asked, which keeps the colours better", async () => {
    const clip = drawing(5, 64, 64);
    const path = join(folder, "large.mp4");
    await writeMp4(path, clip, { scale: 2, ...patience });
    const read = await readClip(path, patience);
    expect(read).toMatchObject({ height: 128, width: 128 });
    const small = read.rgb.filter((_, index) => {
      const pixel = Math.floor(index / 3);
      return pixel % 2 === 0 && Math.floor(pixel / 128) % 2 === 0;
    });
    expect(psnrDb(small, clip.rgb)).toBeGreaterThan(42);
  });

  it("writes noise, which the encoder refuses at first", async () => {
    const clip = drawing(6, 64, 64);
    for (let i = 0; i < clip.rgb.length; i++) clip.rgb[i] = Math.imul(i, 2654435761) >>> 24;
    const path = join(folder, "noise.mp4");
    await writeMp4(path, clip, { backends: ["npm"], ...patience });
    expect(await readClip(path, patience)).toMatchObject({ frameCount: 6, lostFrames: 0 });
  });

  it("refuses clips that are none", async () => {
    const clip = drawing(2, 16, 16);
    const path = join(folder, "wrong.mp4");
    const invalid = { code: "VANS_MEDIA_REQUEST_INVALID" };
    await expect(writeMp4(path, { ...clip, frameCount: 3 })).rejects.toMatchObject(invalid);
    await expect(writeMp4(path, { ...clip, frameRateHz: 0 })).rejects.toMatchObject(invalid);
    await expect(writeMp4(path, clip, { scale: 0.5 })).rejects.toMatchObject(invalid);
    await expect(writeMp4(path, clip, { backends: [] })).rejects.toMatchObject({
      code: "VANS_MEDIA_BACKEND_MISSING",
    });
  });

  it("leaves nothing behind when it fails, and keeps an older file", async () => {
    const inside = join(folder, "failing");
    await mkdir(join(inside, "taken.mp4", "full"), { recursive: true });
    await expect(writeMp4(join(inside, "taken.mp4"), drawing(2, 16, 16), patience)).rejects.toMatchObject({
      code: "VANS_MEDIA_UNWRITABLE",
    });
    expect(await readdir(inside)).toEqual(["taken.mp4"]);
    const old = join(inside, "old.mp4");
    await writeFile(old, "old");
    const controller = new AbortController();
    const writing = writeMp4(old, drawing(60, 64, 64), { signal: controller.signal, ...patience });
    controller.abort();
    await expect(writing).rejects.toMatchObject({ code: "VANS_RUN_ABORTED" });
    expect(await readFile(old, "utf8")).toBe("old");
    expect((await readdir(inside)).sort()).toEqual(["old.mp4", "taken.mp4"]);
  });

  it("names a full disk", async () => {
    const error = unwritable("a.mp4", Object.assign(new Error("write"), { code: "ENOSPC" }));
    expect(isVansError(error, "VANS_MEDIA_DISK_FULL")).toBe(true);
  });

  it("meets a disk that really is full", async (context) => {
    const mount = join(folder, "tiny");
    await mkdir(mount);
    try {
      await promisify(execFile)("mount", ["-t", "tmpfs", "-o", "size=8k", "tmpfs", mount]);
    } catch {
      context.skip("mounting a small file system needs root");
    }
    try {
      const noise = drawing(8, 64, 64);
      for (let i = 0; i < noise.rgb.length; i++) noise.rgb[i] = Math.imul(i, 2654435761) >>> 24;
      await expect(writeMp4(join(mount, "a.mp4"), noise, patience)).rejects.toMatchObject({
        code: "VANS_MEDIA_DISK_FULL",
      });
      expect(await readdir(mount)).toEqual([]);
    } finally {
      await promisify(execFile)("umount", [mount]);
    }
  });
});

describe("previews and pictures", () => {
  it("move in webp with the clip's timing", async () => {
    const path = join(folder, "preview.webp");
    const clip = drawing(9, 64, 64, 30);
    await writeAnimatedWebp(path, clip, { scale: 2 });
    const metadata = await sharp(path, { animated: true }).metadata();
    expect(metadata).toMatchObject({ width: 128, pageHeight: 128, loop: 0 });
    expect(metadata.delay!.reduce((a, b) => a + b, 0)).toBe(300);
    const read = await readClip(path, { timesSecs: [0, 0.25], ...patience });
    expect([...read.rgb.subarray(0, 3)]).toEqual([...clip.rgb.subarray(0, 3)]);
  });
  it("are written as png", async () => {
    const path = join(folder, "picture.png");
    const { rgb } = drawing(1, 20, 30);
    await writePng(path, { height: 20, width: 30, rgb });
    expect((await readClip(path, patience)).rgb).toEqual(rgb);
  });
});
