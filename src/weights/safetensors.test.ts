import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { openWeights } from "./open-weights.ts";
import {
  readSafetensors,
  readSafetensorsHeader,
  readTensor,
  type WritableTensor,
  writeSafetensors,
} from "./safetensors.ts";
import { asFloat32 } from "./tensor-data.ts";

const folder = mkdtempSync(join(tmpdir(), "vans-safetensors-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file from a header text (or object) and data bytes, with no check at all. */
function forge(name: string, header: unknown, dataBytes: number, claimedBytes?: bigint): string {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimedBytes ?? BigInt(json.length));
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
  return path;
}

const SAMPLE: [string, WritableTensor][] = [
  ["b", { shape: [2, 2], data: Float32Array.of(1, 2.5, -3, 1 / 3) }],
  ["a", { shape: [3], data: BigInt64Array.of(1n, -(2n ** 62n), 7n) }],
  ["flag", { shape: [3], data: Uint8Array.of(1, 0, 1), dtype: "BOOL" }],
  ["0", { shape: [], data: Int32Array.of(-5) }],
  ["empty", { shape: [0, 3], data: new Float32Array(0) }],
];

describe("writeSafetensors", () => {
  it("round-trips shapes, types, metadata and values", async () => {
    const path = join(folder, "sample.safetensors");
    await writeSafetensors(path, SAMPLE, { metadata: { note: "café" } });
    const header = await readSafetensorsHeader(path);
    expect(header.metadata).toEqual({ note: "café" });
    const tensors = await readSafetensors(path);
    expect([...tensors.keys()].sort()).toEqual(["0", "a", "b", "empty", "flag"]);
    for (const [name, { shape, data }] of SAMPLE) {
      expect(tensors.get(name)?.shape).toEqual(shape);
      expect(tensors.get(name)?.data).toEqual(data);
    }
    expect(tensors.get("flag")?.dtype).toBe("BOOL");
    expect((await readTensor(path, "b")).data).toEqual(SAMPLE[0]![1].data);
  });

  it("aligns data for mapping and gives the same bytes for the same tensors", async () => {
    const one = join(folder, "one.safetensors");
    const two = join(folder, "two.safetensors");
    await writeSafetensors(one, SAMPLE, { dtype: "BF16" });
    await writeSafetensors(two, [...SAMPLE].reverse(), { dtype: "BF16" });
    expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
    const header = await readSafetensorsHeader(one);
    expect(Math.min(...[...header.tensors.values()].map((info) => info.byteOffset)) % 8).toBe(0);
    for (const info of header.tensors.values()) {
      const elementBytes = { I64: 8, I32: 4, BF16: 2, BOOL: 1 }[info.dtype as string]!;
      expect(info.byteOffset % elementBytes).toBe(0);
    }
  });

  it("keeps values through every float type, rounded", async () => {
    const source = Float32Array.of(1, -2, 0.1, 1e-8, 70000, Number.NEGATIVE_INFINITY);
    const path = join(folder, "half.safetensors");
    await writeSafetensors(path, [["x", { shape: [6], data: source }]], { dtype: "F16" });
    const x = await readTensor(path, "x");
    expect(x.dtype).toBe("F16");
    expect([...asFloat32(x)]).toEqual([
      1,
      -2,
      0.0999755859375,
      0,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ]);
  });

  it("refuses a wrong shape and leaves the old file alone", async () => {
    const path = join(folder, "kept.safetensors");
    await writeSafetensors(path, SAMPLE);
    const before = readFileSync(path);
    const wrong = writeSafetensors(path, [["x", { shape: [3], data: new Float32Array(2) }]]);
    await expect(wrong).rejects.toMatchObject({ code: "VANS_WEIGHTS_SHAPE_MISMATCH" });
    await expect(
      writeSafetensors(path, [["x", { shape: [2], data: new Float32Array(2), dtype: "I64" }]]),
    ).rejects.toMatchObject({ code: "VANS_WEIGHTS_DTYPE_UNSUPPORTED" });
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});

describe("reading refuses", () => {
  const f32 = (shape: number[], from: number, to: number) => ({
    dtype: "F32",
    shape,
    data_offsets: [from, to],
  });
  const cases: [string, () => string, string][] = [
    ["a missing file", () => join(folder, "nothing"), "VANS_WEIGHTS_NOT_FOUND"],
    ["a folder", () => folder, "VANS_WEIGHTS_HEADER_INVALID"],
    [
      "an empty file",
      () => {
        writeFileSync(join(folder, "e"), "");
        return join(folder, "e");
      },
      "VANS_WEIGHTS_TRUNCATED",
    ],
    ["a huge header length", () => forge("h", {}, 0, 2n ** 63n), "VANS_WEIGHTS_HEADER_INVALID"],
    ["a header beyond the end", () => forge("h2", {}, 0, 5000n), "VANS_WEIGHTS_TRUNCATED"],
    ["text that is not JSON", () => forge("j", "{oops", 0), "VANS_WEIGHTS_HEADER_INVALID"],
    ["a header that is a list", () => forge("l", [], 0), "VANS_WEIGHTS_HEADER_INVALID"],
    ["missing data", () => forge("t", { a: f32([4], 0, 16) }, 12), "VANS_WEIGHTS_TRUNCATED"],
    ["bytes of nobody", () => forge("n", { a: f32([4], 0, 16) }, 20), "VANS_WEIGHTS_HEADER_INVALID"],
    [
      "a range that lies about the shape",
      () => forge("s", { a: f32([5], 0, 16) }, 16),
      "VANS_WEIGHTS_HEADER_INVALID",
    ],
    [
      "overlaps",
      () => forge("o", { a: f32([4], 0, 16), b: f32([2], 8, 16) }, 16),
      "VANS_WEIGHTS_HEADER_INVALID",
    ],
    ["holes", () => forge("g", { a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12), "VANS_WEIGHTS_HEADER_INVALID"],
    ["a reversed range", () => forge("r", { a: f32([1], 4, 0) }, 4), "VANS_WEIGHTS_HEADER_INVALID"],
    ["a negative size", () => forge("m", { a: f32([-1, -1], 0, 4) }, 4), "VANS_WEIGHTS_HEADER_INVALID"],
    [
      "an overflowing shape",
      () => forge("v", { a: f32([2 ** 40, 2 ** 40], 0, 4) }, 4),
      "VANS_WEIGHTS_HEADER_INVALID",
    ],
    [
      "an unknown type",
      () => forge("u", { a: { ...f32([1], 0, 4), dtype: "toString" } }, 4),
      "VANS_WEIGHTS_HEADER_INVALID",
    ],
    [
      "metadata that is not text",
      () => forge("md", { __metadata__: { a: 1 } }, 0),
      "VANS_WEIGHTS_HEADER_INVALID",
    ],
  ];
  it.each(cases)("%s", async (_, make, code) => {
    await expect(readSafetensorsHeader(make())).rejects.toMatchObject({ code });
  });

  it("a file cut anywhere", async () => {
    const path = join(folder, "cut.safetensors");
    await writeSafetensors(path, SAMPLE);
    const whole = readFileSync(path);
    for (let bytes = 0; bytes < whole.length; bytes += 7) {
      writeFileSync(path, whole);
      truncateSync(path, bytes);
      await expect(readSafetensors(path)).rejects.toMatchObject({ code: "VANS_WEIGHTS_TRUNCATED" });
    }
  });

  it("or reads, but never fails otherwise, when bytes are damaged", async () => {
    const path = join(folder, "fuzz.safetensors");
    await writeSafetensors(path, SAMPLE);
    const whole = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), async (at, value) => {
        const damaged = Buffer.from(whole);
        damaged[at] = value;
        writeFileSync(path, damaged);
        const error: unknown = await readSafetensors(path).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect(error === undefined || isVansError(error)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("a tensor that is not there", async () => {
    const path = join(folder, "missing.safetensors");
    await writeSafetensors(path, SAMPLE);
    await expect(readTensor(path, "nope")).rejects.toMatchObject({ code: "VANS_WEIGHTS_TENSOR_MISSING" });
  });
});

it("reads a tensor behind 3 GB without reading those (a sparse file)", async () => {
  const [before, mine] = [3 * 2 ** 30, 8];
  const header = {
    big: { dtype: "U8", shape: [before], data_offsets: [0, before] },
    last: { dtype: "F32", shape: [2], data_offsets: [before, before + mine] },
  };
  const path = forge("sparse.safetensors", header, 0);
  const start = statSync(path).size;
  truncateSync(path, start + before + mine);
  const file = openSync(path, "r+");
  writeSync(file, new Uint8Array(Float32Array.of(7, -2).buffer), 0, mine, start + before);
  closeSync(file);
  expect((await readTensor(path, "last")).data).toEqual(Float32Array.of(7, -2));
  expect((await openWeights(path)).info("last").byteOffset).toBe(start + before);
});

describe("openWeights", () => {
  const shard = (name: string, tensors: [string, WritableTensor][]) =>
    writeSafetensors(join(folder, name), tensors);
  const index = (map: Record<string, string>) =>
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }));

  it("reads a folder of shards", async () => {
    await shard("s1.safetensors", [["x", { shape: [2], data: Float32Array.of(1, 2) }]]);
    await shard("s2.safetensors", [["y", { shape: [1], data: BigInt64Array.of(9n) }]]);
    index({ x: "s1.safetensors", y: "s2.safetensors" });
    const source = await openWeights(folder);
    expect(source.names()).toEqual(["x", "y"]);
    expect([...(await source.readFloat32("y"))]).toEqual([9]);
    expect(source.info("x")).toMatchObject({ dtype: "F32", shape: [2], byteLength: 8, contiguous: true });
    expect(() => source.info("z")).toThrow(/no tensor z/);
  });

  it.each([
    ["a tensor in another shard", { x: "s2.safetensors", y: "s2.safetensors" }],
    ["a tensor that the index leaves out", { x: "s1.safetensors", y: "s2.safetensors", z: "s1.safetensors" }],
    ["a shard outside the folder", { x: "../s1.safetensors" }],
  ])("refuses %s", async (_, map) => {
    index(map);
    await expect(openWeights(folder)).rejects.toMatchObject({ code: "VANS_WEIGHTS_INDEX_INVALID" });
  });

  it("says what it looked for in an empty folder", async () => {
    const empty = mkdtempSync(join(folder, "empty-"));
    await expect(openWeights(empty)).rejects.toMatchObject({ code: "VANS_WEIGHTS_NOT_FOUND" });
  });
});
