/**
 * Weights that stay in their files: the runtime maps safetensors of every stored type.
 * @module
 */
import { mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/index.ts";
import {
  add,
  type FileWeight,
  f32,
  input,
  matmul,
  type NdArray,
  parameter,
  type StoredDType,
  type Tensor,
  type WeightBinding,
} from "../tensor/index.ts";
import {
  bf16FromFloat32,
  f16FromFloat32,
  float32FromBf16,
  float32FromF16,
  openWeights,
  writeSafetensors,
} from "../weights/index.ts";
import { compile, liveSessions } from "./executable.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-weights-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  expect(liveSessions()).toBe(0);
});

const STORED = { f32: "F32", bf16: "BF16", f16: "F16" } as const;
const values = (name: string, size: number): Float32Array => normal(fold(keyFromSeed(5), name), size);
/** What a type makes of numbers. */
const rounded: Readonly<Record<StoredDType, (data: Float32Array) => Float32Array>> = {
  f32: (data) => data,
  bf16: (data) => float32FromBf16(bf16FromFloat32(data)),
  f16: (data) => float32FromF16(f16FromFloat32(data)),
};

const SHAPES = { w: [8, 4], bias: [8] } as const;
const outputs = (): Record<string, Tensor> => {
  const product = matmul(input("x", [3, 4]), parameter("w", SHAPES.w), { transposeB: true });
  return { y: add(product, parameter("bias", SHAPES.bias)) };
};
const x = f32(values("x", 12), [3, 4]);

/** Writes both tensors (behind one of an odd size) and gives the path. */
async function write(name: string, dtype: StoredDType): Promise<string> {
  const path = join(folder, name);
  await writeSafetensors(path, [
    ["aaa", { dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 3) }],
    ["w", { dtype: STORED[dtype], shape: SHAPES.w, data: values("w", 32) }],
    ["bias", { dtype: STORED[dtype], shape: SHAPES.bias, data: values("bias", 8) }],
  ]);
  return path;
}

async function locate(path: string, name: string, dtype: StoredDType): Promise<FileWeight> {
  const { byteOffset, byteLength, shape } = (await openWeights(path)).info(name);
  return { path, byteOffset, byteLength, dtype, shape };
}

const binding = (weights: Record<string, FileWeight | NdArray>): WeightBinding => ({
  weight: (name) => weights[name],
});

async function run(weights: Record<string, FileWeight | NdArray>): Promise<Float32Array> {
  const executable = await compile(outputs(), { weights: binding(weights) });
  try {
    return (await executable.run({ x }))["y"]!.data as Float32Array;
  } finally {
    await executable.release();
  }
}

const inline = (dtype: StoredDType): Record<string, NdArray> => ({
  w: f32(rounded[dtype](values("w", 32)), SHAPES.w),
  bias: f32(rounded[dtype](values("bias", 8)), SHAPES.bias),
});

describe("weights in safetensors files", () => {
  it.each(["f32", "bf16", "f16"] as const)(
    "%s gives the numbers of inline arrays, bit for bit",
    async (dtype) => {
      const path = await write(`${dtype}.safetensors`, dtype);
      const mapped = await run({
        w: await locate(path, "w", dtype),
        bias: await locate(path, "bias", dtype),
      });
      expect(mapped).toEqual(await run(inline(dtype)));
    },
  );

  it("may lie in different folders, beside arrays", async () => {
    const a = await write("a.safetensors", "f32");
    const other = await mkdtemp(join(tmpdir(), "vans-other-"));
    const b = join(other, "b.safetensors");
    await writeSafetensors(b, [["bias", { dtype: "F16", shape: SHAPES.bias, data: values("bias", 8) }]]);
    const mapped = await run({ w: await locate(a, "w", "f32"), bias: await locate(b, "bias", "f16") });
    expect(mapped).toEqual(await run({ ...inline("f32"), bias: inline("f16")["bias"]! }));
    const mixed = await run({ w: await locate(a, "w", "f32"), bias: inline("f32")["bias"]! });
    expect(mixed).toEqual(await run(inline("f32")));
    await rm(other, { recursive: true });
  });

  it("may be named by a relative path, and by names with spaces and umlauts", async () => {
    const path = await write("two wörds.safetensors", "f32");
    const near = relative(process.cwd(), path);
    const mapped = await run({ w: await locate(near, "w", "f32"), bias: await locate(near, "bias", "f32") });
    expect(mapped).toEqual(await run(inline("f32")));
  });

  it("may lie behind links that leave their folder, as in caches of the hub", async () => {
    const inside = await mkdtemp(join(tmpdir(), "vans-links-"));
    try {
      const path = await write("linked.safetensors", "f32");
      await symlink(path, join(inside, "model.safetensors"));
      await symlink(folder, join(inside, "folder"));
      for (const near of ["model.safetensors", join("folder", "linked.safetensors")]) {
        const linked = join(inside, near);
        // One weight behind the link, one beside it: their folders have nothing in common but the root.
        const b = join(inside, "b.safetensors");
        await writeSafetensors(b, [["bias", { dtype: "F32", shape: SHAPES.bias, data: values("bias", 8) }]]);
        const mapped = await run({
          w: await locate(linked, "w", "f32"),
          bias: await locate(b, "bias", "f32"),
        });
        expect(mapped).toEqual(await run(inline("f32")));
      }
    } finally {
      await rm(inside, { recursive: true });
    }
  });

  it("a file that was written anew is another weight, also while the old one is in use", async () => {
    const path = join(folder, "anew.safetensors");
    const save = (data: number[]): Promise<void> =>
      writeSafetensors(path, [["w", { dtype: "F32", shape: [2], data: Float32Array.from(data) }]]);
    await save([1, 2]);
    const graph = { y: add(input("x", [2]), parameter("w", [2])) };
    const one = await compile(graph, { weights: binding({ w: await locate(path, "w", "f32") }) });
    await save([10, 20]);
    const two = await compile(graph, { weights: binding({ w: await locate(path, "w", "f32") }) });
    const feed = { x: f32([0, 0]) };
    expect((await one.run(feed))["y"]!.data).toEqual(Float32Array.of(1, 2));
    expect((await two.run(feed))["y"]!.data).toEqual(Float32Array.of(10, 20));
    await one.release();
    await two.release();
  });
});

describe("broken weight files", () => {
  it("a truncated one is refused with both sizes and its path last", async () => {
    const path = await write("cut.safetensors", "f32");
    const w = await locate(path, "w", "f32");
    await truncate(path, w.byteOffset + 5);
    await expect(run({ ...inline("f32"), w })).rejects.toMatchObject({
      code: "VANS_WEIGHTS_TRUNCATED",
      message: expect.stringMatching(/asked: \d+ bytes[\s\S]*found: \d+ bytes in .*cut\.safetensors/),
    });
  });

  it("a missing one and a folder are refused", async () => {
    for (const path of [join(folder, "nowhere.safetensors"), folder]) {
      const w: FileWeight = { path, byteOffset: 0, byteLength: 128, dtype: "f32", shape: SHAPES.w };
      await expect(run({ ...inline("f32"), w })).rejects.toMatchObject({ code: "VANS_WEIGHTS_NOT_FOUND" });
    }
  });

  it("an empty one is refused", async () => {
    const path = join(folder, "empty.safetensors");
    await writeFile(path, "");
    const w: FileWeight = { path, byteOffset: 0, byteLength: 128, dtype: "f32", shape: SHAPES.w };
    await expect(run({ ...inline("f32"), w })).rejects.toMatchObject({ code: "VANS_WEIGHTS_TRUNCATED" });
  });
});
