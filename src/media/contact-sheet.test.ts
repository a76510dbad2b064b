import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { contactSheet, escapeXml, wrapText } from "./contact-sheet.ts";

const grey = {
  frameCount: 4,
  height: 64,
  width: 64,
  frameRateHz: 8,
  rgb: new Uint8Array(4 * 64 * 64 * 3).fill(120),
};

async function pixels(png: Uint8Array) {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const dark = (top: number, bottom: number): number => {
    let count = 0;
    for (let at = top * info.width * 3; at < bottom * info.width * 3; at += 3) if (data[at]! < 90) count++;
    return count;
  };
  return { data, info, dark };
}

describe("contactSheet", () => {
  it("shows input over answer, with text above and below", async () => {
    const rows = [
      { label: "input", frames: grey },
      { label: "answer", frames: grey, notes: ["0.00 s", "0.12 s", "0.25 s", "0.38 s"] },
    ];
    const bare = await pixels(await contactSheet({ rows }));
    const full = await pixels(
      await contactSheet({ rows, title: "What happens next?", captions: ["The ball falls.", "seed 7"] }),
    );
    expect(full.info.height).toBeGreaterThan(bare.info.height + 60);
    // Four frames of 128 pixels with gaps do not fill the least width.
    expect(full.info.width).toBe(bare.info.width);
    expect(full.dark(0, 50)).toBeGreaterThan(150);
    expect(full.dark(full.info.height - 60, full.info.height)).toBeGreaterThan(100);
    // Frames are enlarged to 128 pixels: 2 rows of 4 frames of level 120.
    const level = full.data.filter((value, index) => index % 3 === 0 && value === 120).length;
    expect(level).toBeGreaterThanOrEqual(2 * 4 * 128 * 128);
    expect(level).toBeLessThan(2 * 4 * 128 * 128 + 100);
  });

  it("is the same picture every time", async () => {
    const options = { title: "Again", rows: [{ label: "input", frames: grey }], captions: ["The same."] };
    expect(await contactSheet(options)).toEqual(await contactSheet(options));
  });

  it("thins long clips and accepts pictures of several sizes", async () => {
    const long = { ...grey, frameCount: 40, rgb: new Uint8Array(40 * 64 * 64 * 3) };
    const small = await sharp(
      await contactSheet({ rows: [{ label: "a", frames: long }], maxColumns: 3, frameHeight: 64 }),
    ).metadata();
    expect(small.width).toBeLessThan(700);
    const wide = { height: 200, width: 900, rgb: new Uint8Array(200 * 900 * 3) };
    const mixed = [wide, { height: 10, width: 10, rgb: new Uint8Array(300) }];
    expect(
      (await sharp(await contactSheet({ rows: [{ label: "", frames: mixed }] })).metadata()).format,
    ).toBe("png");
  });

  it("refuses sheets without frames", async () => {
    await expect(contactSheet({ rows: [] })).rejects.toMatchObject({ code: "VANS_MEDIA_REQUEST_INVALID" });
  });

  it("survives any text", async () => {
    const text = "<svg>&\"'\u0000\u001f\ud800 ]]> 汉字 🎬 é \n second line";
    const sheet = await contactSheet({
      title: text,
      rows: [{ label: text, frames: grey, notes: [text] }],
      captions: [text],
    });
    expect((await sharp(sheet).metadata()).format).toBe("png");
  });
});

describe("text", () => {
  it("is escaped for XML", () => {
    expect(escapeXml(`a < b & "c" > d\u0007\ud800`)).toBe("a &lt; b &amp; &quot;c&quot; &gt; d\ufffd\ufffd");
    expect(escapeXml("🎬")).toBe("🎬");
  });
  it("is wrapped at spaces, and inside words where it must", () => {
    expect(wrapText("aa bb cc", 1000, 10)).toEqual(["aa bb cc"]);
    expect(wrapText("aaaa bbbb cccc", 50, 10)).toEqual(["aaaa bbbb", "cccc"]);
    expect(wrapText("one\ntwo", 1000, 10)).toEqual(["one", "two"]);
    const pieces = wrapText("x".repeat(100), 60, 10);
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.join("")).toBe("x".repeat(100));
    expect(wrapText("", 10, 10)).toEqual([""]);
  });
});
