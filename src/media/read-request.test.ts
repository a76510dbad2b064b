import { describe, expect, it } from "vitest";
import { frameTimesFrom, rateOf, sniffFormat } from "./media-info.ts";
import { checkFrameRequest, frameAt, pickFrames } from "./read-request.ts";

/** 24 frames at 8 Hz from 1.5 s on the container's clock, stored out of order. */
const even = frameTimesFrom(
  Float64Array.from({ length: 24 }, (_, k) => 1.5 + ((k * 7) % 24) / 8),
  0.125,
);
/** 0.1 s steps, then 0.4 s steps. */
const uneven = frameTimesFrom(Float64Array.of(0, 0.1, 0.2, 0.6, 1, 1.4), 0.4);

describe("frame times", () => {
  it("count from the first frame, in presentation order", () => {
    expect([...even.timesSecs.slice(0, 3)]).toEqual([0, 0.125, 0.25]);
    expect(rateOf(even)).toEqual({ frameCount: 24, frameRateHz: 8, isVariableFrameRate: false });
    expect(rateOf(uneven)).toMatchObject({ frameCount: 6, isVariableFrameRate: true });
    expect(uneven.durationSecs).toBeCloseTo(1.8);
  });
  it("tolerate a container's rounding", () => {
    const milliseconds = frameTimesFrom(
      Float64Array.from({ length: 90 }, (_, k) => Math.round((k * 1000) / 30) / 1000),
      0.033,
    );
    expect(rateOf(milliseconds).isVariableFrameRate).toBe(false);
    // 20 of 30 s is stored as 0.667 s, after the exact time.
    expect(frameAt(milliseconds, 20 / 30)).toBe(20);
  });
});

describe("frameAt", () => {
  it("is the last frame at or before a time", () => {
    expect([0, 0.05, 0.1, 0.59, 0.6, 1.39, 1.4, 99].map((time) => frameAt(uneven, time))).toEqual([
      0, 0, 1, 2, 3, 4, 5, 5,
    ]);
  });
});

describe("pickFrames", () => {
  const frames = (request: Parameters<typeof pickFrames>[1], times = even): readonly number[] =>
    pickFrames(times, request).frames;

  it("gives every frame, or as many as allowed", () => {
    expect(frames({})).toEqual(Array.from({ length: 24 }, (_, k) => k));
    expect(frames({ maxFrames: 4 })).toEqual([0, 8, 15, 23]);
    expect(pickFrames(even, {}).frameRateHz).toBe(8);
  });
  it("gives frames at times, in the order asked for", () => {
    expect(frames({ timesSecs: [1, 0, 1.2, 1] })).toEqual([8, 0, 9, 8]);
  });
  it("spreads a number of frames evenly, repeating where there are too few", () => {
    expect(frames({ frameCount: 6 })).toEqual([0, 5, 9, 14, 18, 23]);
    expect(frames({ frameCount: 8 }, uneven)).toEqual([0, 1, 1, 2, 3, 4, 4, 5]);
  });
  it("resamples a variable rate to a fixed one", () => {
    expect(pickFrames(uneven, { frameRateHz: 5 })).toMatchObject({
      frames: [0, 2, 2, 3, 3, 4, 4, 5, 5],
      frameRateHz: 5,
    });
    expect(frames({ frameRateHz: 5, maxFrames: 3 }, uneven)).toEqual([0, 2, 2]);
    expect(frames({ frameRateHz: 5, startSecs: 0.6, endSecs: 1.2 }, uneven)).toEqual([3, 3, 4]);
  });
  it("keeps to a window", () => {
    expect(frames({ startSecs: 0.5, endSecs: 0.75 })).toEqual([4, 5]);
    expect(frames({ startSecs: 0.51, endSecs: 0.76 })).toEqual([5, 6]);
    expect(frames({ startSecs: 2.875 })).toEqual([23]);
    expect(frames({ startSecs: 0.5, frameCount: 2 })).toEqual([4, 23]);
    // Between two frames: the one on screen.
    expect(frames({ startSecs: 0.7, endSecs: 0.8 }, uneven)).toEqual([3]);
  });
  it("refuses what makes no sense", () => {
    const invalid = expect.objectContaining({ code: "VANS_MEDIA_REQUEST_INVALID" });
    expect(() => pickFrames(even, { startSecs: 9 })).toThrow(invalid);
    for (const request of [
      { timesSecs: [] },
      { timesSecs: [Number.NaN] },
      { timesSecs: [-1] },
      { timesSecs: [0], frameCount: 2 },
      { timesSecs: [0], startSecs: 1 },
      { frameCount: 0 },
      { maxFrames: 1.5 },
      { frameRateHz: 0 },
      { startSecs: 2, endSecs: 1 },
      { startSecs: -1 },
    ])
      expect(() => checkFrameRequest(request)).toThrow(invalid);
  });
});

describe("sniffFormat", () => {
  const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
  it("tells files by their first bytes", () => {
    expect(sniffFormat(bytes("\0\0\0\x18ftypmp42"))).toBe("isobmff");
    expect(sniffFormat(bytes("\0\0\0\x18ftypavif"))).toBe("picture");
    expect(sniffFormat(bytes("\x1aE\xdf\xa3....webm"))).toBe("matroska");
    expect(sniffFormat(bytes("GIF89a"))).toBe("picture");
    expect(sniffFormat(bytes("RIFF....WEBPVP8 "))).toBe("picture");
    expect(sniffFormat(bytes("RIFF....AVI LIST"))).toBe("other");
    expect(sniffFormat(bytes("#!/bin/sh"))).toBe("other");
    expect(sniffFormat(new Uint8Array(0))).toBe("other");
  });
});
