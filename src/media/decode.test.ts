import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { closeCodecProcesses } from "./codec-host.ts";
import { type DecodedClip, probe, readClip } from "./decode.ts";
import { writeMp4 } from "./encode.ts";
import { findFfmpeg } from "./ffmpeg.ts";
import type { MediaBackend } from "./media-info.ts";
import { frameOf } from "./resize.ts";

const fixture = (name: string): string => new URL(`./fixtures/${name}`, import.meta.url).pathname;
// Tests must also pass where training keeps the cores busy.
const patience = { silenceSecs: 240 };
const hasFfmpeg = (await findFfmpeg()) !== undefined;
const withFfmpeg = it.skipIf(!hasFfmpeg);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-decode-"));
});
afterAll(async () => {
  closeCodecProcesses();
  await rm(folder, { recursive: true });
});

/** The fixtures' frame k has luma 24 + 8 k everywhere but in the top left: read the number back from the pixels. */
function numbers(clip: DecodedClip): number[] {
  return Array.from({ length: clip.frameCount }, (_, index) => {
    const { rgb } = frameOf(clip, index);
    const level = rgb.subarray(rgb.length / 2).reduce((sum, value) => sum + value, 0) / (rgb.length / 2);
    return Math.abs(Math.round(((level * 219) / 255 + 16 - 24) / 8));
  });
}

const all = Array.from({ length: 24 }, (_, k) => k);
const npm: readonly MediaBackend[] = ["npm"];

const VIDEOS = [
  { file: "h264-bframes.mp4", container: "mp4", codec: "h264" },
  { file: "h264-fragmented.mp4", container: "mp4", codec: "h264" },
  { file: "h264-with-audio.mp4", container: "mp4", codec: "h264" },
  { file: "h264-open-gop.mkv", container: "mkv", codec: "h264" },
  { file: "vp8.webm", container: "webm", codec: "vp8" },
  { file: "vp9.webm", container: "webm", codec: "vp9" },
  { file: "vp9.mp4", container: "mp4", codec: "vp9" },
  { file: "av1.mp4", container: "mp4", codec: "av1" },
  { file: "av1.mkv", container: "mkv", codec: "av1" },
] as const;

describe.each(VIDEOS)("$file without ffmpeg", ({ file, container, codec }) => {
  it("is described", async () => {
    const info = await probe(fixture(file), { backends: npm, ...patience });
    expect(info).toMatchObject({
      container,
      codec,
      height: 32,
      width: 48,
      rotationDegrees: 0,
      frameCount: 24,
      isVariableFrameRate: false,
      backend: "npm",
    });
    expect(info.frameRateHz).toBeCloseTo(10, 1);
    expect(info.durationSecs).toBeCloseTo(2.4, 1);
  });

  it("gives every frame in order", async () => {
    const clip = await readClip(fixture(file), { backends: npm, ...patience });
    expect(numbers(clip)).toEqual(all);
    expect(clip.lostFrames).toBe(0);
    expect(clip.rgb.length).toBe(24 * 32 * 48 * 3);
  });

  it("gives the frames at chosen times", async () => {
    const timesSecs = [2.3, 0, 1.04, 0.96, 1.1, 0.3, 99];
    const clip = await readClip(fixture(file), { timesSecs, backends: npm, ...patience });
    expect(numbers(clip)).toEqual([23, 0, 10, 9, 11, 3, 23]);
    expect(clip.timesSecs.map((time) => Math.round(time * 10))).toEqual([23, 0, 10, 9, 11, 3, 23]);
  });

  it("gives a number of frames, a window, a rate", async () => {
    const read = (request: Parameters<typeof readClip>[1]): Promise<number[]> =>
      readClip(fixture(file), { ...request, backends: npm, ...patience }).then(numbers);
    expect(await read({ frameCount: 6 })).toEqual([0, 5, 9, 14, 18, 23]);
    expect(await read({ startSecs: 0.7, endSecs: 1.2 })).toEqual([7, 8, 9, 10, 11]);
    expect(await read({ frameRateHz: 5, maxFrames: 4 })).toEqual([0, 2, 4, 6]);
  });
});

describe("both backends", () => {
  const files = [
    ...VIDEOS.map(({ file }) => file),
    "h264-variable-rate.mp4",
    "h264-rotated.mov",
    "vp9-odd-size.webm",
    "vp8-hidden-frame.webm",
    "h264-10-bit.mp4",
    "vp9-10-bit.webm",
    "av1-10-bit.mkv",
    "h264-422-10-bit.mkv",
    "h264-full-range.mp4",
  ];
  withFfmpeg.each(files)("give the same frames of %s", async (file) => {
    const request = { timesSecs: [0, 0.55, 1.9, 2.3], ...patience };
    const ours = await readClip(fixture(file), { ...request, backends: npm });
    const theirs = await readClip(fixture(file), { ...request, backends: ["ffmpeg"] });
    expect(theirs.source.backend).toBe("ffmpeg");
    expect(theirs.rgb).toEqual(ours.rgb);
    expect(theirs.timesSecs.map((time) => time.toFixed(3))).toEqual(
      ours.timesSecs.map((time) => time.toFixed(3)),
    );
    const { backend: _ours, frameRateHz, durationSecs, ...facts } = ours.source;
    expect(theirs.source).toMatchObject(facts);
    // How long the last frame lasts is a matter of opinion where the rate varies.
    expect(Math.abs(theirs.source.durationSecs - durationSecs)).toBeLessThan(0.5);
    if (!facts.isVariableFrameRate) expect(theirs.source.frameRateHz / frameRateHz).toBeCloseTo(1, 1);
  });

  withFfmpeg("read a long way into a file by seeking", async () => {
    const path = join(folder, "seek.mp4");
    const frameCount = 400;
    const rgb = new Uint8Array(frameCount * 16 * 16 * 3);
    for (let k = 0; k < frameCount; k++) rgb.fill(40 + (k % 160), k * 768, (k + 1) * 768);
    await writeMp4(path, { frameCount, height: 16, width: 16, frameRateHz: 10, rgb }, patience);
    const request = { timesSecs: [0, 11.1, 25, 39.9], ...patience };
    const ours = await readClip(path, { ...request, backends: npm });
    const theirs = await readClip(path, { ...request, backends: ["ffmpeg"] });
    expect(theirs.rgb).toEqual(ours.rgb);
  });
});

describe("unusual videos", () => {
  it("with a variable rate are read at their true times", async () => {
    const clip = await readClip(fixture("h264-variable-rate.mp4"), { backends: npm, ...patience });
    expect(clip.source.isVariableFrameRate).toBe(true);
    expect(numbers(clip)).toEqual(all);
    expect(clip.timesSecs.slice(7, 11).map((time) => time.toFixed(2))).toEqual([
      "0.70",
      "0.80",
      "1.10",
      "1.60",
    ]);
    const fixed = await readClip(fixture("h264-variable-rate.mp4"), {
      frameRateHz: 5,
      endSecs: 2,
      backends: npm,
      ...patience,
    });
    expect(numbers(fixed)).toEqual([0, 2, 4, 6, 8, 8, 9, 9, 10, 10]);
    expect(fixed.frameRateHz).toBe(5);
  });

  it("are turned as their metadata asks", async () => {
    const upright = await readClip(fixture("h264-bframes.mp4"), {
      timesSecs: [0],
      backends: npm,
      ...patience,
    });
    const turned = await readClip(fixture("h264-rotated.mov"), {
      timesSecs: [0],
      backends: npm,
      ...patience,
    });
    expect(turned.source).toMatchObject({ container: "mov", height: 48, width: 32 });
    expect([90, 270]).toContain(turned.source.rotationDegrees);
    const isWhite = (clip: DecodedClip, y: number, x: number): boolean =>
      clip.rgb[(y * clip.width + x) * 3]! > 200;
    expect(isWhite(upright, 2, 2)).toBe(true);
    // The white corner goes to the top right when turned clockwise, to the bottom left otherwise.
    const corner = turned.source.rotationDegrees === 90 ? [2, 29] : [45, 2];
    expect(isWhite(turned, corner[0]!, corner[1]!)).toBe(true);
    expect(isWhite(turned, 2, 2)).toBe(false);
  });

  it("do not show the frames that only serve as reference", async () => {
    // 25 packets, one of them hidden.
    const clip = await readClip(fixture("vp8-hidden-frame.webm"), { backends: npm, ...patience });
    expect(clip.source).toMatchObject({ frameCount: 24, isVariableFrameRate: false });
    expect([clip.frameCount, clip.lostFrames]).toEqual([24, 0]);
    expect(clip.timesSecs.map((time) => Math.round(time * 10))).toEqual(all);
  });

  it("may have odd sides", async () => {
    const clip = await readClip(fixture("vp9-odd-size.webm"), { backends: npm, ...patience });
    expect([clip.height, clip.width, clip.frameCount]).toEqual([31, 47, 24]);
    expect(numbers(clip)).toEqual(all);
  });

  it("of ten minutes give a few frames with little memory", async () => {
    const path = join(folder, "long.mp4");
    const frameCount = 4800;
    const rgb = new Uint8Array(frameCount * 768);
    for (let k = 0; k < frameCount; k++) rgb.fill(40 + (k % 160), k * 768, (k + 1) * 768);
    await writeMp4(path, { frameCount, height: 16, width: 16, frameRateHz: 8, rgb }, patience);
    const before = process.memoryUsage().arrayBuffers;
    const clip = await readClip(path, { frameCount: 6, maxBytes: 6 * 768, backends: npm, ...patience });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(5 * 2 ** 20);
    expect(clip.source).toMatchObject({ durationSecs: 600, frameCount });
    const level = [0, 960, 1920, 2879, 3839, 4799].map((k) => 40 + (k % 160));
    const found = clip.rgb.filter((_, index) => index % 768 === 0);
    expect(level.every((value, index) => Math.abs(value - found[index]!) < 3)).toBe(true);
  });
});

describe("pictures", () => {
  const size = { height: 20, width: 31 };
  const rgb = Uint8Array.from({ length: 20 * 31 * 3 }, (_, index) => (index * 37) % 256);
  const raw = { raw: { ...size, channels: 3 as const } };

  it.each([
    ["png", () => sharp(rgb, raw).png()],
    ["webp", () => sharp(rgb, raw).webp({ lossless: true })],
    ["tiff", () => sharp(rgb, raw).tiff({ compression: "lzw" })],
  ] as const)("in %s are clips of one frame", async (format, make) => {
    const path = join(folder, `picture.${format}`);
    await make().toFile(path);
    const clip = await readClip(path, { backends: npm, ...patience });
    expect(clip).toMatchObject({ frameCount: 1, ...size, timesSecs: [0] });
    expect(clip.source).toMatchObject({
      container: format,
      durationSecs: 0,
      frameCount: 1,
      isVariableFrameRate: false,
    });
    expect(clip.rgb).toEqual(rgb);
    // A still is the same at all times.
    const many = await readClip(path, { frameCount: 3, backends: npm, ...patience });
    expect(many.frameCount).toBe(3);
  });

  it("in jpeg are turned by their orientation", async () => {
    const path = join(folder, "picture.jpg");
    await sharp(rgb, raw).withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toFile(path);
    const clip = await readClip(path, { backends: npm, ...patience });
    expect(clip).toMatchObject({ height: 31, width: 20 });
    expect(clip.source).toMatchObject({ container: "jpeg", rotationDegrees: 90 });
  });

  it("with transparency, grey or 16 bits become RGB", async () => {
    const path = join(folder, "transparent.png");
    await sharp(Buffer.from([255, 0, 0, 255, 9, 9, 9, 0]), { raw: { height: 1, width: 2, channels: 4 } })
      .png()
      .toFile(path);
    expect([...(await readClip(path, { backends: npm, ...patience })).rgb]).toEqual([255, 0, 0, 0, 0, 0]);
    const grey = join(folder, "grey.png");
    await sharp(Buffer.from([0, 128]), { raw: { height: 1, width: 2, channels: 1 } })
      .toColourspace("grey16")
      .png()
      .toFile(grey);
    expect([...(await readClip(grey, { backends: npm, ...patience })).rgb]).toEqual([0, 0, 0, 128, 128, 128]);
  });

  it.each(["gif", "webp"] as const)("that move (%s) keep their frames and times", async (format) => {
    const path = join(folder, `moving.${format}`);
    const frames = Buffer.concat([10, 90, 200].map((level) => Buffer.alloc(12 * 10 * 3, level)));
    const stack = sharp(frames, { raw: { width: 10, height: 36, channels: 3, pageHeight: 12 } });
    const delay = [100, 300, 200];
    await (format === "gif" ? stack.gif({ delay }) : stack.webp({ delay, lossless: true })).toFile(path);
    const clip = await readClip(path, { backends: npm, ...patience });
    expect(clip).toMatchObject({ frameCount: 3, height: 12, width: 10 });
    expect(clip.source).toMatchObject({ container: format, isVariableFrameRate: true });
    expect(clip.timesSecs.map((time) => time.toFixed(1))).toEqual(["0.0", "0.1", "0.4"]);
    expect(clip.source.durationSecs).toBeCloseTo(0.6);
    expect([0, 1, 2].map((index) => frameOf(clip, index).rgb[0])).toEqual([10, 90, 200]);
    const chosen = await readClip(path, { timesSecs: [0.39, 0.4], backends: npm, ...patience });
    expect([0, 1].map((index) => frameOf(chosen, index).rgb[0])).toEqual([90, 200]);
  });

  it("that move without saying how fast take 0.1 s a frame", async () => {
    const path = join(folder, "fast.gif");
    const frames = Buffer.concat([10, 90].map((level) => Buffer.alloc(12 * 10 * 3, level)));
    await sharp(frames, { raw: { width: 10, height: 24, channels: 3, pageHeight: 12 } })
      .gif({ delay: [0, 0] })
      .toFile(path);
    expect((await probe(path, { backends: npm, ...patience })).frameRateHz).toBeCloseTo(10);
  });
});

describe("unusual pixels", () => {
  it.each(["h264-10-bit.mp4", "vp9-10-bit.webm", "av1-10-bit.mkv", "h264-422-10-bit.mkv"])(
    "%s, of more than 8 bits, is read without ffmpeg",
    async (file) => {
      const clip = await readClip(fixture(file), { backends: npm, ...patience });
      expect(numbers(clip)).toEqual(all);
      // Grey stays grey.
      const { rgb } = frameOf(clip, 12);
      const [red, green, blue] = rgb.subarray(-3);
      expect(Math.max(red!, green!, blue!) - Math.min(red!, green!, blue!)).toBeLessThan(4);
    },
  );
  it("that could be read in two ways are refused without ffmpeg", async () => {
    await expect(readClip(fixture("h264-rgb.mp4"), { backends: npm, ...patience })).rejects.toMatchObject({
      code: "VANS_MEDIA_CODEC_UNSUPPORTED",
      message: expect.stringMatching(/h264 in an unusual pixel format \(avc1\.f4/),
    });
  });
  withFfmpeg.each(["h264-rgb.mp4", "h264-no-times.avi"])("%s is read by ffmpeg", async (file) => {
    const clip = await readClip(fixture(file), patience);
    expect(clip.source.backend).toBe("ffmpeg");
    expect(numbers(clip)).toEqual(all);
    const some = await readClip(fixture(file), { timesSecs: [2.3, 0, 1.04], ...patience });
    expect(numbers(some)).toEqual([23, 0, 10]);
  });
});

describe("other codecs", () => {
  it.each(["mpeg4.mp4", "mpeg4.avi", "animated.png"])(
    "(%s) name themselves and the fix where ffmpeg is missing",
    async (file) => {
      const code = "VANS_MEDIA_CODEC_UNSUPPORTED";
      const path = process.env["PATH"];
      process.env["PATH"] = folder;
      try {
        await expect(readClip(fixture(file), patience)).rejects.toMatchObject({ code });
        await expect(readClip(fixture(file), patience)).rejects.toThrow(/install ffmpeg/);
      } finally {
        process.env["PATH"] = path;
      }
      const named = { "mpeg4.mp4": /mp4v.*mp4/, "mpeg4.avi": /(FMP4|mpeg4).*avi/i }[file] ?? /apng.*png/;
      await expect(probe(fixture(file), { backends: npm, ...patience })).rejects.toThrow(named);
    },
  );
  withFfmpeg.each(["mpeg4.mp4", "mpeg4.avi"])("(%s) are read by ffmpeg", async (file) => {
    const clip = await readClip(fixture(file), patience);
    expect(clip.source).toMatchObject({ codec: "mpeg4", backend: "ffmpeg" });
    expect(numbers(clip)).toEqual(all);
  });
  withFfmpeg.each(["mpeg4-5-hz.avi", "animated.png"])(
    "(%s) lose no frame to a coarse unit of time",
    async (file) => {
      const clip = await readClip(fixture(file), patience);
      expect(clip.source).toMatchObject({ backend: "ffmpeg", frameCount: 24 });
      expect(clip.frameRateHz).toBeCloseTo(5, 6);
      expect(numbers(clip)).toEqual(all);
      const some = await readClip(fixture(file), { timesSecs: [4.6, 0, 2.1], ...patience });
      expect(numbers(some)).toEqual([23, 0, 10]);
    },
  );
  it("are left alone by VANS_MEDIA_BACKENDS", async () => {
    process.env["VANS_MEDIA_BACKENDS"] = "npm";
    try {
      await expect(probe(fixture("mpeg4.mp4"), patience)).rejects.toMatchObject({
        code: "VANS_MEDIA_CODEC_UNSUPPORTED",
      });
      process.env["VANS_MEDIA_BACKENDS"] = "quicktime";
      await expect(probe(fixture("mpeg4.mp4"))).rejects.toMatchObject({ code: "VANS_MEDIA_REQUEST_INVALID" });
    } finally {
      delete process.env["VANS_MEDIA_BACKENDS"];
    }
  });
  it("without pictures are refused", async () => {
    await expect(readClip(fixture("audio-only.m4a"), patience)).rejects.toMatchObject({
      code: "VANS_MEDIA_NO_VIDEO",
    });
  });
  it("that no one knows are refused", async () => {
    const path = join(folder, "text.mp4");
    await writeFile(path, "this is not a video\n".repeat(100));
    await expect(readClip(path, patience)).rejects.toMatchObject({ code: "VANS_MEDIA_FORMAT_UNKNOWN" });
  });
});
