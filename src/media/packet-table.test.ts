import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { planGroups } from "./decode-packets.ts";
import { impossibleClaim, withoutClockTimes } from "./mp4-boxes.ts";
import { isShownFrame, type PacketEntry } from "./packet-table.ts";
import { pictureSizeFrom, writerTag } from "./writer-tag.ts";

const packet = (timestampSecs: number, isKey = false, isShown = true): PacketEntry => ({
  timestampSecs,
  durationSecs: 1,
  isKey,
  hasPicture: true,
  isShown,
});

describe("hidden frames", () => {
  it("are told by the VP8 frame tag", () => {
    expect(isShownFrame({ data: Uint8Array.of(0x10, 0, 0) }, "vp8")).toBe(true);
    expect(isShownFrame({ data: Uint8Array.of(0x01, 0, 0) }, "vp8")).toBe(false);
    expect(isShownFrame({ data: new Uint8Array(0) }, "vp8")).toBe(false);
  });
  it("are told by the VP9 header, also inside superframes", () => {
    const shown = 0b10000110; // marker, profile 0, no existing frame, inter, shown
    const hidden = 0b10000100;
    const existing = 0b10001000;
    expect(
      [shown, hidden, existing].map((byte) => isShownFrame({ data: Uint8Array.of(byte, 0) }, "vp9")),
    ).toEqual([true, false, true]);
    // Two frames of 2 and 1 bytes; the index holds sizes of one byte.
    const superframe = (first: number, second: number): Uint8Array =>
      Uint8Array.of(first, 0, second, 0b11000001, 2, 1, 0b11000001);
    expect(isShownFrame({ data: superframe(hidden, shown) }, "vp9")).toBe(true);
    expect(isShownFrame({ data: superframe(hidden, hidden) }, "vp9")).toBe(false);
  });
});

describe("planGroups", () => {
  it("starts at the key frame before each wanted frame and goes as far as its references", () => {
    // Decode order I0 P3 B1 B2 | I4 P7 B5 B6: presentation order 0 1 2 3 4 5 6 7.
    const table = [
      packet(0, true),
      packet(3),
      packet(1),
      packet(2),
      packet(4, true),
      packet(7),
      packet(5),
      packet(6),
    ];
    expect(planGroups(table, [1])).toEqual([{ start: 0, end: 3, wanted: new Map([[2, 1]]) }]);
    expect(planGroups(table, [0, 5, 7])).toEqual([
      { start: 0, end: 1, wanted: new Map([[0, 0]]) },
      {
        start: 4,
        end: 8,
        wanted: new Map([
          [6, 5],
          [5, 7],
        ]),
      },
    ]);
  });
  it("decodes frames shown before a key frame with the group before it", () => {
    // Open group: I4 is stored before B2 and B3, which are shown first.
    const table = [packet(0, true), packet(1), packet(4, true), packet(2), packet(3), packet(5)];
    expect(planGroups(table, [3])).toEqual([{ start: 0, end: 5, wanted: new Map([[4, 3]]) }]);
    expect(planGroups(table, [4])).toEqual([{ start: 2, end: 5, wanted: new Map([[2, 4]]) }]);
  });
  it("counts shown frames only, but starts at hidden key frames", () => {
    const table = [packet(-2, true, false), packet(-1, false, false), packet(0), packet(1)];
    expect(planGroups(table, [0])).toEqual([{ start: 0, end: 3, wanted: new Map([[2, 0]]) }]);
  });
});

describe("mp4 boxes", () => {
  const box = (type: string, ...content: number[][]): number[] => {
    const bytes = content.flat();
    const size = bytes.length + 8;
    return [0, 0, size >> 8, size & 255, ...[...type].map((c) => c.charCodeAt(0)), ...bytes];
  };
  const movie = (table: number[]): Uint8Array =>
    Uint8Array.from(
      box(
        "moov",
        box("mvhd", [0, 0, 0, 0, 9, 9, 9, 9, 8, 8, 8, 8, 7]),
        box("trak", box("mdia", box("minf", box("stbl", table)))),
      ),
    );

  it("lose their clock times and nothing else", () => {
    const bytes = movie(box("stsz", Array<number>(12).fill(1)));
    const cleared = withoutClockTimes(bytes.slice());
    expect(cleared.filter((value, index) => value !== bytes[index]).length).toBe(8);
    expect(cleared[28]).toBe(7);
  });

  it("are refused when they claim more frames than the file has bytes", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vans-boxes-"));
    try {
      const claims = async (table: number[]): Promise<string | undefined> => {
        await writeFile(join(folder, "a.mp4"), movie(table));
        return impossibleClaim(join(folder, "a.mp4"));
      };
      expect(await claims(box("stts", [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 1, 0]))).toBeUndefined();
      expect(await claims(box("stts", [0, 0, 0, 0, 0, 0, 0, 1, 127, 0, 0, 5, 0, 0, 1, 0]))).toMatch(
        /stts for 2130706437 frames/,
      );
      expect(await claims(box("stsz", [0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]))).toMatch(/stsz/);
      expect(await claims(box("stco", [0, 0, 0, 0, 9, 0, 0, 0]))).toMatch(/stco/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("the writer's tag", () => {
  it("carries the size of padded pictures", () => {
    const stored = { height: 32, width: 48 };
    expect(writerTag(stored, stored)).toBe("vans");
    expect(writerTag({ height: 31, width: 47 }, stored)).toBe("vans 47x31");
    expect(pictureSizeFrom("vans 47x31", stored)).toEqual({ height: 31, width: 47 });
    for (const tag of ["vans", "Lavf59", undefined, "vans 0x3", "vans 99x1"])
      expect(pictureSizeFrom(tag, stored)).toBe(stored);
  });
});
