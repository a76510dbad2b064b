/** Which frames of a clip are looked at, and how they come to the models' sizes. @module */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { type Clip, clipOf, frameOf, writeMp4, writePng } from "../media/index.ts";
import { inputTimes, readInputFrames } from "./input-frames.ts";
import { type AnswerSettings, answerSchema } from "./suite-manifest.ts";

const settings: AnswerSettings = answerSchema.parse({
  height: 32,
  width: 48,
  inputFrames: 9,
  answerFrames: 5,
  frameRateHz: 8,
  vlmMinPixels: 4096,
  vlmMaxPixels: 4096,
});

/** Frame `i` is grey of level `i * step`. */
function greys(frameCount: number, frameRateHz: number, step = 5, height = 64, width = 64): Clip {
  const size = height * width * 3;
  const rgb = new Uint8Array(frameCount * size);
  for (let i = 0; i < frameCount; i++) rgb.fill(i * step, i * size, (i + 1) * size);
  return { frameCount, height, width, frameRateHz, rgb };
}

const levelsOf = (clip: Clip, step = 5): number[] =>
  Array.from({ length: clip.frameCount }, (_, i) => Math.round(frameOf(clip, i).rgb[0]! / step));

describe("inputTimes", () => {
  const facts = (frameCount: number, frameRateHz: number) => ({
    frameCount,
    frameRateHz,
    durationSecs: frameCount === 1 ? 0 : frameCount / frameRateHz,
  });

  it("reads a clip of the suite's length at the suite's rate", () => {
    const times = inputTimes(facts(9, 8), settings);
    expect(times).toMatchObject({ isStill: false, speed: 1 });
    expect(times.timesSecs).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8].map((k) => k / 8));
  });

  it("reads the same moments of a faster recording, and holds the end of a short one", () => {
    expect(inputTimes(facts(27, 24), settings).timesSecs).toEqual(
      inputTimes(facts(9, 8), settings).timesSecs,
    );
    expect(inputTimes(facts(2, 8), settings).timesSecs).toHaveLength(9);
  });

  it("spreads the frames over a longer clip, or takes its end", () => {
    const whole = inputTimes(facts(6000, 10), settings);
    expect(whole.speed).toBeCloseTo(600 / 1.125);
    expect(whole.timesSecs[0]).toBe(0);
    expect(whole.timesSecs.at(-1)).toBeCloseTo(599.9);
    const end = inputTimes(facts(6000, 10), { ...settings, inputPick: "end" });
    expect(end.speed).toBe(1);
    expect(end.timesSecs[0]).toBeCloseTo(600 - 1.125);
  });

  it("takes a still image as one frame, or as many as the suite asks for", () => {
    expect(inputTimes(facts(1, 1), settings)).toEqual({ timesSecs: [0], isStill: true, speed: 1 });
    expect(inputTimes(facts(1, 1), { ...settings, stillFrames: 9 }).timesSecs).toHaveLength(9);
  });
});

describe("readInputFrames", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "vans-input-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const options = { settings, vlmCell: 16 };

  it("gives the same frames from a file and from memory", async () => {
    const clip = greys(40, 20, 5);
    const path = join(folder, "grey.mp4");
    await writeMp4(path, clip);
    const [file, memory] = [await readInputFrames(path, options), await readInputFrames(clip, options)];
    // 40 frames at 20 Hz are 2 s, more than 9/8 s: spread over the whole.
    expect(levelsOf(memory.frames)).toEqual([0, 5, 10, 15, 20, 24, 29, 34, 39]);
    expect(levelsOf(file.frames)).toEqual(levelsOf(memory.frames));
    expect(file.timesSecs).toEqual(memory.timesSecs);
    expect(file.file?.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(memory.file).toBeUndefined();
    expect(file.speed).toBeCloseTo(2 / 1.125);
    expect([file.frames.height, file.frames.width]).toEqual([32, 48]);
    expect([file.vlmFrames.frameCount, file.vlmFrames.height, file.vlmFrames.width]).toEqual([6, 64, 64]);
    expect(levelsOf(file.vlmFrames)).toEqual([0, 10, 15, 24, 29, 39]);
    // Room for four frames at a time: the same in three turns.
    const inTurns = await readInputFrames(path, { ...options, sourceBytes: 4 * 64 * 64 * 3 });
    expect(inTurns).toEqual(file);
  });

  it("crops or stretches, as the suite says", async () => {
    // Left half black, right half white: a crop to 48x32 of a 64x64 picture keeps both, and so does stretching; rows tell.
    const rgb = new Uint8Array(64 * 64 * 3);
    rgb.fill(255, 0, 16 * 64 * 3);
    const clip = clipOf([{ height: 64, width: 64, rgb }], 8);
    const cropped = await readInputFrames(clip, options);
    const stretched = await readInputFrames(clip, {
      ...options,
      settings: { ...settings, resize: "stretch" },
    });
    const whiteRows = (one: Clip): number =>
      Array.from({ length: one.height }, (_, y) => one.rgb[y * one.width * 3]!).filter((level) => level > 127)
        .length;
    expect(whiteRows(cropped.frames)).toBe(4);
    expect(whiteRows(stretched.frames)).toBe(8);
  });

  it("repeats a still image for the language model only", async () => {
    const path = join(folder, "still.png");
    await writePng(path, frameOf(greys(1, 1, 0), 0));
    const still = await readInputFrames(path, options);
    expect(still.isStill).toBe(true);
    expect([still.frames.frameCount, still.vlmFrames.frameCount]).toEqual([1, 6]);
  });

  it("refuses frames whose fields do not fit together", async () => {
    const wrong = { ...greys(2, 8), frameCount: 3 };
    await expect(readInputFrames(wrong, options)).rejects.toSatisfy((error) =>
      isVansError(error, "VANS_CLIP_INVALID"),
    );
  });
});
