import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { crc32c, frameRecord, TensorBoardWriter } from "./tensorboard.ts";

describe("TensorBoard files", () => {
  it("use CRC-32C", () => {
    // The check value of the CRC catalogue (CRC-32/ISCSI).
    expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
  });

  it("frame records with length and masked checksums", () => {
    const record = frameRecord(Uint8Array.of(1, 2, 3));
    expect(record.length).toBe(19);
    expect(new DataView(record.buffer).getBigUint64(0, true)).toBe(3n);
  });

  it("hold what was written", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vans-board-"));
    const writer = await TensorBoardWriter.open(folder);
    await writer.scalars(7, { loss: 0.25 });
    await writer.close();
    const bytes = await readFile(join(folder, (await readdir(folder))[0]!));
    expect(bytes.includes("brain.Event:2")).toBe(true);
    expect(bytes.includes("loss")).toBe(true);
    const value = Buffer.from(Float32Array.of(0.25).buffer);
    expect(bytes.includes(value)).toBe(true);
  });
});
