import { existsSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { closeCodecProcesses } from "./codec-host.ts";
import { probe, readClip } from "./decode.ts";
import { findFfmpeg } from "./ffmpeg.ts";

const folder = new URL("../../../shared/data/real-videos/", import.meta.url).pathname;
const isHere = existsSync(folder);
const patience = { silenceSecs: 240 };
const npm = { backends: ["npm"], ...patience } as const;
const hasFfmpeg = (await findFfmpeg()) !== undefined;
afterAll(closeCodecProcesses);

/** Facts as ffprobe gives them. */
const FILES = [
  [
    "decord_flipping_a_pancake.mkv",
    { container: "mkv", codec: "h264", height: 240, width: 426, frameCount: 310 },
  ],
  ["decord_unordered.mov", { container: "mov", codec: "h264", height: 50, width: 50, frameCount: 4 }],
  ["decord_video_90.mov", { container: "mov", height: 568, width: 320, rotationDegrees: 90, frameCount: 3 }],
  [
    "decord_video_180.mov",
    { container: "mov", height: 320, width: 568, rotationDegrees: 180, frameCount: 3 },
  ],
  ["vans_gen_1_input.gif", { container: "gif", codec: "gif", height: 135, width: 240, frameCount: 34 }],
  [
    "vans_predictive_443_475.mp4",
    { container: "mp4", codec: "h264", height: 338, width: 640, frameCount: 33 },
  ],
  [
    "vans_predictive_173_399.mp4",
    { container: "mp4", codec: "h264", height: 338, width: 640, frameCount: 226 },
  ],
  [
    "vans_proce_1_input.gif",
    { container: "gif", height: 135, width: 240, frameCount: 55, isVariableFrameRate: true },
  ],
] as const;

describe.skipIf(!isHere)("real videos (skipped where ../shared/data/real-videos is absent)", () => {
  it.each(FILES)("%s is described", async (file, facts) => {
    expect(await probe(folder + file, npm)).toMatchObject(facts);
  });

  it.skipIf(!hasFfmpeg).each(FILES)("%s gives the frames that ffmpeg gives", async (file) => {
    const request = { frameCount: 4, ...patience };
    const ours = await readClip(folder + file, { ...request, backends: ["npm"] });
    const theirs = await readClip(folder + file, { ...request, backends: ["ffmpeg"] });
    expect(ours.lostFrames).toBe(0);
    expect(Buffer.compare(theirs.rgb, ours.rgb)).toBe(0);
  });

  it("decord_corrupted.mp4 gives the 49 sound frames of its 50", async () => {
    const clip = await readClip(`${folder}decord_corrupted.mp4`, npm);
    expect([clip.source.frameCount, clip.frameCount, clip.lostFrames]).toEqual([50, 49, 1]);
    expect(clip.timesSecs.some((time) => Math.abs(time - 3) < 0.01)).toBe(false);
    const stoodIn = await readClip(`${folder}decord_corrupted.mp4`, { timesSecs: [2.95, 3.05], ...npm });
    expect(stoodIn.timesSecs.map((time) => time.toFixed(1))).toEqual(["2.9", "2.9"]);
    expect(stoodIn.lostFrames).toBe(1);
  });
});
