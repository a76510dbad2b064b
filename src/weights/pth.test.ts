import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { openWeights } from "./open-weights.ts";
import { openPth, readPthTree } from "./pth.ts";

const folder = mkdtempSync(join(tmpdir(), "vans-pth-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const golden = join(import.meta.dirname, "../../conformance/formats");

/** A zip of stored entries; with `zip64`, sizes and places are written in the 64-bit records alone. */
function zip(entries: Record<string, Uint8Array>, { zip64 = false, method = 0 } = {}): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, content] of Object.entries(entries)) {
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    local.writeUInt16LE(8, 28); // an extra field in the local header only, as torch pads with
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(zip64 ? 0xffffffff : content.length, 20);
    entry.writeUInt32LE(zip64 ? 0xffffffff : content.length, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(zip64 ? 0xffffffff : at, 42);
    const extra = Buffer.alloc(zip64 ? 28 : 0);
    if (zip64) {
      extra.writeUInt16LE(1, 0);
      extra.writeUInt16LE(24, 2);
      extra.writeBigUInt64LE(BigInt(content.length), 4);
      extra.writeBigUInt64LE(BigInt(content.length), 12);
      extra.writeBigUInt64LE(BigInt(at), 20);
      entry.writeUInt16LE(28, 30);
    }
    directory.push(entry, Buffer.from(name), extra);
    parts.push(local, Buffer.from(name), Buffer.alloc(8), Buffer.from(content));
    at += 30 + name.length + 8 + content.length;
  }
  const listing = Buffer.concat(directory);
  const count = Object.keys(entries).length;
  const ends: Buffer[] = [];
  if (zip64) {
    const end64 = Buffer.alloc(56);
    end64.writeUInt32LE(0x06064b50, 0);
    end64.writeBigUInt64LE(BigInt(count), 32);
    end64.writeBigUInt64LE(BigInt(listing.length), 40);
    end64.writeBigUInt64LE(BigInt(at), 48);
    const locator = Buffer.alloc(20);
    locator.writeUInt32LE(0x07064b50, 0);
    locator.writeBigUInt64LE(BigInt(at + listing.length), 8);
    ends.push(end64, locator);
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(zip64 ? 0xffff : count, 10);
  end.writeUInt32LE(zip64 ? 0xffffffff : listing.length, 12);
  end.writeUInt32LE(zip64 ? 0xffffffff : at, 16);
  return Buffer.concat([...parts, listing, ...ends, end]);
}

let made = 0;
function pth(pickle: string | Uint8Array, storages: Record<string, Uint8Array> = {}, options = {}): string {
  const entries: Record<string, Uint8Array> = { "x/data.pkl": Buffer.from(pickle as string, "latin1") };
  for (const [key, value] of Object.entries(storages)) entries[`x/data/${key}`] = value;
  const path = join(folder, `${made++}.pth`);
  writeFileSync(path, zip(entries, options));
  return path;
}

const text = (value: string) => `X${String.fromCharCode(value.length, 0, 0, 0)}${value}`;
const byte = (value: number) => `K${String.fromCharCode(value)}`;
/** The pickle of a float tensor over storage "0". */
const tensor = (offset: number, shape: number[], strides: number[], storage = "FloatStorage") =>
  `ctorch._utils\n_rebuild_tensor_v2\n((${text("storage")}ctorch\n${storage}\n${text("0")}${text("cpu")}${byte(4)}tQ` +
  `${byte(offset)}(${shape.map(byte).join("")}t(${strides.map(byte).join("")}t\x89ccollections\nOrderedDict\n)RtR`;
const four = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);

describe("openPth", () => {
  it.each([{ zip64: false }, { zip64: true }])("reads views of one storage ($zip64)", async (options) => {
    const pickle = `\x80\x02}(${text("a")}${tensor(0, [2, 2], [1, 2])}${text("b")}${tensor(2, [2], [1])}${text("n")}${byte(7)}u.`;
    const source = await openWeights(pth(pickle, { 0: four }, options));
    expect(source.names()).toEqual(["a", "b"]);
    expect([...(await source.readFloat32("a"))]).toEqual([1, 3, 2, 4]);
    expect([...(await source.readFloat32("b"))]).toEqual([3, 4]);
    expect(source.info("a").contiguous).toBe(false);
    const { path, byteOffset, byteLength, contiguous } = source.info("b");
    expect(contiguous).toBe(true);
    expect(readFileSync(path).subarray(byteOffset, byteOffset + byteLength)).toEqual(
      Buffer.from(four.slice(8)),
    );
  });

  it("opens a nested dict by its key", async () => {
    const path = join(golden, "nested.pth");
    expect((await openPth(path)).names()).toEqual(["state_dict.bias", "state_dict.weight"]);
    const inner = await openPth(path, { under: "state_dict" });
    expect(inner.names()).toEqual(["bias", "weight"]);
    expect(inner.info("weight").dtype).toBe("BF16");
    expect((await inner.readFloat32("weight")).length).toBe(21);
    await expect(openPth(path, { under: "model" })).rejects.toMatchObject({
      code: "VANS_WEIGHTS_TENSOR_MISSING",
    });
  });

  it("reads protocol 4 (framed, memoised, stack globals)", async () => {
    const short = (value: string) => `\x8c${String.fromCharCode(value.length)}${value}`;
    const pickle = `\x80\x04\x95${"\0".repeat(8)}}\x94${short("k")}\x94${short("collections")}${short("OrderedDict")}\x93)Rs.`;
    expect(await readPthTree(pth(pickle))).toEqual(new Map([["k", new Map()]]));
  });

  it("keeps an OrderedDict's module metadata out of the way", async () => {
    const pickle = `\x80\x02ccollections\nOrderedDict\n)R(${text("w")}${tensor(0, [4], [1])}u}${text("_metadata")}}sb.`;
    expect((await openPth(pth(pickle, { 0: four }))).names()).toEqual(["w"]);
  });
});

describe("refuses", () => {
  const selfish = "\x80\x02}q\0"; // a dict in memo 0 that is put into itself
  const hostile: [string, () => string, string][] = [
    ["os.system", () => pth(`cos\nsystem\n(${text("touch /tmp/owned")}tR.`), "VANS_WEIGHTS_PICKLE_REFUSED"],
    ["eval", () => pth(`\x80\x02cbuiltins\neval\n(${text("1")}tR.`), "VANS_WEIGHTS_PICKLE_REFUSED"],
    ["a global under a clever name", () => pth("\x80\x02ctorch\ntoString\n."), "VANS_WEIGHTS_PICKLE_REFUSED"],
    [
      "a stack global",
      () => pth(`\x80\x04${text("posix")}${text("system")}\x93.`),
      "VANS_WEIGHTS_PICKLE_REFUSED",
    ],
    ["calling a storage class", () => pth("ctorch\nFloatStorage\n)R."), "VANS_WEIGHTS_PICKLE_REFUSED"],
    ["INST", () => pth(`(${text("x")}ios\nsystem\n.`), "VANS_WEIGHTS_PICKLE_REFUSED"],
    ["an extension code", () => pth("\x82\x01."), "VANS_WEIGHTS_PICKLE_REFUSED"],
    ["a dict inside itself", () => pth(`${selfish}${text("a")}h\0s.`), "VANS_WEIGHTS_PICKLE_REFUSED"],
    ["an empty pickle", () => pth(""), "VANS_WEIGHTS_PICKLE_REFUSED"],
    ["a stack underflow", () => pth("\x80\x02s."), "VANS_WEIGHTS_PICKLE_REFUSED"],
    ["a text of 4 GB", () => pth("X\xff\xff\xff\xff."), "VANS_WEIGHTS_PICKLE_REFUSED"],
    ["state on a text", () => pth(`${text("a")}}b.`), "VANS_WEIGHTS_PICKLE_REFUSED"],
    ["a storage that is not there", () => pth(`${tensor(0, [1], [1])}.`), "VANS_WEIGHTS_PICKLE_REFUSED"],
    [
      "a view behind its storage",
      () => pth(`${tensor(1, [4], [1])}.`, { 0: four }),
      "VANS_WEIGHTS_SHAPE_MISMATCH",
    ],
    [
      "strides behind the storage",
      () => pth(`${tensor(0, [2, 2], [3, 1])}.`, { 0: four }),
      "VANS_WEIGHTS_SHAPE_MISMATCH",
    ],
    [
      "a broadcast without bound",
      () => pth(`${tensor(0, [255, 255, 255, 255, 255], [0, 0, 0, 0, 0])}.`, { 0: four }),
      "VANS_WEIGHTS_PICKLE_REFUSED",
    ],
    ["a compressed entry", () => pth("N.", {}, { method: 8 }), "VANS_WEIGHTS_ZIP_INVALID"],
  ];
  it.each(hostile)("%s", async (_, make, code) => {
    await expect(openPth(make())).rejects.toMatchObject({ code });
  });

  it("other files, with a hint", async () => {
    const path = join(folder, "text.pth");
    writeFileSync(path, "not a zip at all");
    await expect(openPth(path)).rejects.toMatchObject({ code: "VANS_WEIGHTS_TRUNCATED" });
    writeFileSync(path, zip({ "other.txt": Buffer.from("x") }));
    await expect(openPth(path)).rejects.toMatchObject({ code: "VANS_WEIGHTS_ZIP_INVALID" });
    writeFileSync(path, zip({ "m/data.pkl": Buffer.from("N."), "m/constants.pkl": Buffer.from("N.") }));
    await expect(openPth(path)).rejects.toThrow(/TorchScript/);
  });

  it("or reads damaged files, but never fails otherwise", async () => {
    const whole = readFileSync(join(golden, "tensors.pth"));
    const path = join(folder, "fuzz.pth");
    const attempt = async (bytes: Uint8Array) => {
      writeFileSync(path, bytes);
      try {
        const source = await openPth(path);
        for (const name of source.names()) await source.read(name);
      } catch (error) {
        if (!isVansError(error)) throw error;
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), async (at, value) => {
        const damaged = Buffer.from(whole);
        damaged[at] = value;
        await attempt(damaged);
      }),
      { numRuns: 300 },
    );
    for (let bytes = 0; bytes < whole.length; bytes += 97) await attempt(whole.subarray(0, bytes));
  });
});
