/** Cuts have exactly the frames of their window, at constant and at variable rates. @module */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { probe, readClip, writeMp4 } from "../../media/index.ts";
import { cutClip } from "./cut-clip.ts";
import { splitVideo } from "./split-stage.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-cut-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const [WIDTH, HEIGHT] = [64, 48];

/** A frame that says its number: eight columns, a bit each, black or white. */
function numbered(number: number): Uint8Array {
  const rgb = new Uint8Array(WIDTH * HEIGHT * 3);
  for (let y = 0; y < HEIGHT; y++)
    for (let x = 0; x < WIDTH; x++) {
      const bit = (number >> Math.floor(x / 8)) & 1;
      rgb.fill(bit ? 220 : 30, (y * WIDTH + x) * 3, (y * WIDTH + x) * 3 + 3);
    }
  return rgb;
}

function numberIn(rgb: Uint8Array, frame: number): number {
  let number = 0;
  for (let bit = 0; bit < 8; bit++) {
    const at = ((frame * HEIGHT + HEIGHT / 2) * WIDTH + bit * 8 + 4) * 3;
    if (rgb[at]! > 125) number |= 1 << bit;
  }
  return number;
}

describe("cutting", () => {
  it.each([8, 24, 29.97])("takes exactly the frames of a window at %d Hz", async (frameRateHz) => {
    const count = 150;
    const rgb = new Uint8Array(count * WIDTH * HEIGHT * 3);
    for (let i = 0; i < count; i++) rgb.set(numbered(i), i * WIDTH * HEIGHT * 3);
    const path = join(folder, `constant-${frameRateHz}.mp4`);
    await writeMp4(path, { frameCount: count, width: WIDTH, height: HEIGHT, frameRateHz, rgb });
    const steps = [
      { label: "a", startSecs: 0, endSecs: 31 / frameRateHz },
      { label: "b", startSecs: 31 / frameRateHz, endSecs: 100.4 / frameRateHz },
    ];
    const { segments } = await splitVideo(path, { id: "x", steps, leastSecs: 0.5 });
    expect(segments.map(({ startFrame, endFrame }) => [startFrame, endFrame])).toEqual([
      [0, 31],
      [31, 101],
    ]);
    const out = join(folder, `cut-${frameRateHz}.mp4`);
    const { startSecs, endSecs } = segments[1]!;
    const cut = await cutClip(path, out, { startSecs, endSecs });
    expect(cut.frameCount).toBe(70);
    const clip = await readClip(out);
    const numbers = Array.from({ length: clip.frameCount }, (_, i) => numberIn(clip.rgb, i));
    expect(numbers).toEqual(Array.from({ length: 70 }, (_, i) => 31 + i));
  });

  it("shows what is on screen of a video with a variable rate", async () => {
    const path = fileURLToPath(new URL("../../media/fixtures/h264-variable-rate.mp4", import.meta.url));
    const info = await probe(path);
    expect(info.isVariableFrameRate).toBe(true);
    const split = await splitVideo(path, { id: "x", steps: [], leastSecs: 0 });
    expect(split.frameCount).toBe(info.frameCount);
    const all = await readClip(path);
    const [startSecs, endSecs] = [all.timesSecs[2]!, all.timesSecs.at(-2)!];
    const cut = await cutClip(path, join(folder, "vfr.mp4"), { startSecs, endSecs });
    expect(cut.timesSecs[0]).toBe(startSecs);
    const rate = cut.frameRateHz;
    cut.timesSecs.forEach((time, k) => {
      const wanted = Math.min(startSecs + k / rate, endSecs - 2e-3);
      const onScreen = all.timesSecs.filter((start) => start <= wanted + 0.0006).at(-1);
      expect(time).toBe(onScreen);
      // Never a frame of what follows the window.
      expect(time).toBeLessThan(endSecs);
    });
  });
});
