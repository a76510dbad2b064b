/** Damaged checkpoints: whatever is wrong, the error is coded, names the file, and says what to do. @module */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { qwenConfig } from "../models/qwen25vl/config.ts";
import { umt5Config } from "../models/umt5/config.ts";
import { ditConfig } from "../models/wan/dit-config.ts";
import { openWeights } from "./open-weights.ts";
import { writeSafetensors } from "./safetensors.ts";

let folder: string;
let sound: Buffer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-damage-"));
  const path = join(folder, "sound.safetensors");
  await writeSafetensors(path, [
    ["a.weight", { shape: [4, 8], data: Float32Array.from({ length: 32 }, (_, i) => i) }],
    ["b.weight", { shape: [8], data: new Float32Array(8), dtype: "BF16" }],
    ["c.ids", { shape: [3], data: BigInt64Array.of(1n, 2n, 3n) }],
  ]);
  sound = await readFile(path);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Opens bytes as a file and reads all of it: the tensors, or the coded error. Anything else fails the test. */
async function outcome(bytes: Uint8Array, name = "damaged.safetensors"): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  try {
    const source = await openWeights(path);
    for (const tensor of source.names()) await source.read(tensor);
    return "read";
  } catch (error) {
    if (!isVansError(error)) throw error;
    expect(error.code).toMatch(/^VANS_WEIGHTS_/);
    expect(error.message).toContain(path);
    expect(error.details.fix, error.code).toMatch(/\w+ \w+/);
    return error.code;
  }
}

/** The file with its header's JSON changed; the length is set anew. */
function withHeader(
  change: (header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>) => unknown,
): Buffer {
  const length = Number(sound.readBigUInt64LE(0));
  const header = JSON.parse(sound.subarray(8, 8 + length).toString()) as Parameters<typeof change>[0];
  change(header);
  const json = Buffer.from(JSON.stringify(header));
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([head, json, sound.subarray(8 + length)]);
}

describe("a damaged safetensors file", () => {
  it("cut short anywhere", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(sound.length - 1), async (length) => {
        expect(await outcome(sound.subarray(0, length))).toMatch(/TRUNCATED|HEADER_INVALID/);
      }),
      { numRuns: 60 },
    );
  });

  it("with a wrong header length", async () => {
    const right = Number(sound.readBigUInt64LE(0));
    await fc.assert(
      fc.asyncProperty(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), async (length) => {
        if (Number(length) === right) return;
        const bytes = Buffer.from(sound);
        bytes.writeBigUInt64LE(length);
        expect(await outcome(bytes)).toMatch(/TRUNCATED|HEADER_INVALID/);
      }),
      { numRuns: 60 },
    );
    for (const length of [right - 1, right + 1, 0]) {
      const bytes = Buffer.from(sound);
      bytes.writeBigUInt64LE(BigInt(length));
      expect(await outcome(bytes)).toMatch(/TRUNCATED|HEADER_INVALID/);
    }
  });

  it("with overlapping or scattered ranges", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("a.weight", "b.weight", "c.ids"),
        fc.integer({ min: -64, max: 64 }),
        async (name, move) => {
          if (move === 0) return;
          const moved = withHeader((header) => {
            header[name]!.data_offsets = header[name]!.data_offsets.map((offset) => offset + move);
          });
          expect(await outcome(moved)).toMatch(/HEADER_INVALID|TRUNCATED/);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("with an unknown type, or a shape that does not fit", async () => {
    for (const dtype of ["F7", "", "f32", "FLOAT", "__proto__", "constructor"])
      expect(await outcome(withHeader((header) => Object.assign(header["a.weight"]!, { dtype })))).toBe(
        "VANS_WEIGHTS_HEADER_INVALID",
      );
    for (const shape of [[4, 9], [-4, -8], [4.5], [1e300], []])
      expect(await outcome(withHeader((header) => Object.assign(header["a.weight"]!, { shape })))).toBe(
        "VANS_WEIGHTS_HEADER_INVALID",
      );
  });

  it("with any byte of its header changed", async () => {
    const length = 8 + Number(sound.readBigUInt64LE(0));
    await fc.assert(
      fc.asyncProperty(fc.nat(length - 1), fc.integer({ min: 0, max: 255 }), async (at, value) => {
        const bytes = Buffer.from(sound);
        bytes[at] = value;
        expect(await outcome(bytes)).toMatch(/^(read|VANS_WEIGHTS_)/);
      }),
      { numRuns: 150 },
    );
  });

  it("that is random bytes under any known ending", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom("x.safetensors", "x.pth", "x.bin"),
        async (bytes, name) => {
          expect(await outcome(bytes, name)).toMatch(/^VANS_WEIGHTS_/);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("a sharded checkpoint", () => {
  const index = async (weightMap: unknown): Promise<string> => {
    const path = join(folder, "shards");
    await mkdir(path, { recursive: true });
    await writeFile(join(path, "one.safetensors"), sound);
    await writeFile(join(path, "model.safetensors.index.json"), JSON.stringify({ weight_map: weightMap }));
    try {
      await openWeights(path);
      return "opened";
    } catch (error) {
      if (!isVansError(error)) throw error;
      return `${error.code} ${error.message}`;
    }
  };
  const all = { "a.weight": "one.safetensors", "b.weight": "one.safetensors", "c.ids": "one.safetensors" };

  it("without one of its shards names the file", async () => {
    expect(await index(all)).toBe("opened");
    expect(await index({ ...all, "d.weight": "two.safetensors" })).toMatch(
      /VANS_WEIGHTS_NOT_FOUND[\s\S]*two\.safetensors/,
    );
  });

  it("whose index lies", async () => {
    expect(await index({ ...all, "d.weight": "one.safetensors" })).toMatch(/INDEX_INVALID[\s\S]*d\.weight/);
    expect(await index({ "a.weight": "one.safetensors" })).toMatch(/INDEX_INVALID/);
    expect(await index({ ...all, evil: "../../etc/passwd" })).toMatch(/INDEX_INVALID[\s\S]*outside/);
    for (const broken of [null, 7, "x", { a: 3 }]) expect(await index(broken)).toMatch(/INDEX_INVALID/);
  });
});

it("a wrong configuration names its fields, whatever is in them", () => {
  const vision = {
    depth: 2,
    hidden_size: 32,
    intermediate_size: 44,
    num_heads: 2,
    out_hidden_size: 64,
    patch_size: 14,
    spatial_merge_size: 2,
    window_size: 112,
    fullatt_block_indexes: [1],
    tokens_per_second: 2,
  };
  const qwen = {
    vocab_size: 9,
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    rms_norm_eps: 1e-6,
    rope_theta: 1e4,
    rope_scaling: { mrope_section: [2, 3, 3] },
    vision_config: vision,
    image_token_id: 1,
    video_token_id: 2,
    vision_start_token_id: 3,
    vision_end_token_id: 4,
  };
  const umt5 = { vocab_size: 9, d_model: 8, d_kv: 4, d_ff: 8, num_layers: 1, num_heads: 2 };
  const dit = { dim: 40, ffn_dim: 72, num_heads: 2, num_layers: 3 };
  const cases = [
    [qwenConfig, qwen],
    [umt5Config, umt5],
    [ditConfig, dit],
  ] as const;
  for (const [parse, good] of cases) {
    expect(() => parse(good)).not.toThrow();
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(good)), fc.anything(), (field, value) => {
        try {
          parse({ ...good, [field]: value });
        } catch (error) {
          if (!isVansError(error, "VANS_MODEL_CONFIG")) throw error;
        }
      }),
      { numRuns: 150 },
    );
  }
});
