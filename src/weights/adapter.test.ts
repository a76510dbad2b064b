import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { matchAdapter } from "./adapter.ts";
import { type AdapterNaming, adapterTensors, exportAdapter, type LoraAdapter } from "./export-adapter.ts";
import { qwenKeyMap, wanDitKeyMap } from "./key-map.ts";
import { openWeights } from "./open-weights.ts";
import { writeSafetensors } from "./safetensors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-adapter-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const key = keyFromSeed(8);
const random = (
  name: string,
  shape: readonly number[],
): { shape: readonly number[]; data: Float32Array } => ({
  shape,
  data: normal(
    fold(key, name),
    shape.reduce((a, b) => a * b, 1),
  ),
});

const vlm = new Map<string, readonly number[]>([
  ["model.layers.0.self_attn.q_proj.weight", [12, 8]],
  ["model.layers.0.mlp.down_proj.weight", [8, 20]],
  ["visual.blocks.1.mlp.up_proj.weight", [20, 8]],
  ["model.norm.weight", [8]],
]);
const vdm = new Map<string, readonly number[]>([
  ["blocks.0.self_attn.q.weight", [12, 8]],
  ["blocks.1.cross_attn.o.weight", [8, 8]],
  ["blocks.1.ffn.0.weight", [20, 8]],
  ["blocks.1.ffn.2.weight", [8, 20]],
  ["blocks.1.norm3.weight", [8]],
  ["head.modulation", [1, 2, 8]],
]);

function adapterOn(base: ReadonlyMap<string, readonly number[]>, rank = 4, alpha = 16): LoraAdapter {
  const factors: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
  for (const [name, [out, width]] of base) {
    if (width === undefined || base.get(name)!.length !== 2) continue;
    const layer = name.replace(/\.weight$/, "");
    factors[`${layer}.lora_A.weight`] = random(`${layer}A`, [rank, width]);
    factors[`${layer}.lora_B.weight`] = random(`${layer}B`, [out!, rank]);
  }
  return { rank, alpha, factors };
}

/** scale · B · A of a layer. */
function change(a: Float32Array, b: Float32Array, rank: number, scale: number): Float32Array {
  const [out, width] = [b.length / rank, a.length / rank];
  return Float32Array.from({ length: out * width }, (_, i) => {
    let total = 0;
    for (let r = 0; r < rank; r++)
      total += b[Math.floor(i / width) * rank + r]! * a[r * width + (i % width)]!;
    return total * scale;
  });
}

const cases: readonly [AdapterNaming, "vlm" | "vdm", RegExp][] = [
  ["peft", "vlm", /^base_model\.model\.model\.layers\.0\.self_attn\.q_proj\.lora_A\.weight$/],
  [
    "vans",
    "vlm",
    /^pipe\.mllm\.mllm_backbone\.base_model\.model\.model\.layers\.0\.self_attn\.q_proj\.lora_A\.default\.weight$/,
  ],
  ["diffsynth", "vdm", /^blocks\.0\.self_attn\.q\.lora_A\.default\.weight$/],
  ["diffusers", "vdm", /^transformer\.blocks\.0\.attn1\.to_q\.lora_A\.weight$/],
];

describe.each(cases)("an adapter in the naming of %s", (naming, part, expected) => {
  const base = part === "vlm" ? vlm : vdm;
  const map = part === "vlm" ? qwenKeyMap : wanDitKeyMap;
  const adapter = adapterOn(base);

  it("comes back with the same effect", async () => {
    const path = join(folder, naming === "peft" ? "peft" : `${naming}.safetensors`);
    const [file, config] = await exportAdapter(path, adapter, {
      naming,
      map: wanDitKeyMap,
      baseModel: "org/base",
    });
    const source = await openWeights(file!);
    expect(source.names().some((name) => expected.test(name))).toBe(true);
    const found = matchAdapter(source, base, map);
    expect([...found.factors.keys()].sort()).toEqual(Object.keys(adapter.factors).sort());
    expect(found.report).toMatchObject({ missing: [], unexpected: [], mismatched: [] });
    expect(found.rank).toBe(4);
    // Where the scale is folded in, a loader scales by 1.
    const isFolded = naming === "diffsynth" || naming === "diffusers";
    const scale = isFolded ? 1 : adapter.alpha / adapter.rank;
    if (naming === "diffusers") expect(found.alpha).toBe(4);
    if (config) expect(JSON.parse(await readFile(config, "utf8"))).toMatchObject({ r: 4, lora_alpha: 16 });
    for (const name of Object.keys(adapter.factors).filter((one) => one.includes("lora_A"))) {
      const b = name.replace("lora_A", "lora_B");
      const loaded = change(
        await source.readFloat32(found.factors.get(name)!),
        await source.readFloat32(found.factors.get(b)!),
        4,
        scale,
      );
      const original = change(
        adapter.factors[name]!.data,
        adapter.factors[b]!.data,
        4,
        adapter.alpha / adapter.rank,
      );
      for (let i = 0; i < original.length; i++) expect(loaded[i]).toBeCloseTo(original[i]!, 4);
    }
  });
});

describe("matching an adapter", () => {
  const save = async (
    name: string,
    tensors: Iterable<readonly [string, { shape: readonly number[]; data: Float32Array }]>,
  ) => {
    const path = join(folder, `${name}.safetensors`);
    await writeSafetensors(path, tensors);
    return openWeights(path);
  };

  it("reads the released layouts: bare transformer names with and without dit., and the names of diffusers", async () => {
    for (const [index, rename] of [
      (name: string) => name,
      (name: string) => `dit.${name}`,
      (name: string) => `pipe.dit.${name}`,
      (name: string) => wanDitKeyMap.map(name)!,
    ].entries()) {
      const source = await save(
        `vdm${index}`,
        [...vdm].map(([name, shape]) => [rename(name), random(name, shape)] as const),
      );
      const { replaced, factors, report } = matchAdapter(source, vdm, wanDitKeyMap);
      expect([...replaced.keys()].sort()).toEqual([...vdm.keys()].sort());
      expect(factors.size).toBe(0);
      expect(report.unexpected).toEqual([]);
    }
  });

  it("reads whole PEFT models: base layers beside factors, newer names in memory", async () => {
    const prefix = "pipe.mllm.mllm_backbone.base_model.model.";
    const source = await save("peft-whole", [
      [`${prefix}model.norm.weight`, random("n", [8])],
      [`${prefix}model.language_model.layers.0.self_attn.q_proj.base_layer.weight`, random("q", [12, 8])],
      [`${prefix}model.layers.0.self_attn.q_proj.lora_A.default.weight`, random("a", [2, 8])],
      [`${prefix}model.layers.0.self_attn.q_proj.lora_B.default.weight`, random("b", [12, 2])],
      [`${prefix}something.else.weight`, random("c", [3])],
    ]);
    const { replaced, factors, rank, report } = matchAdapter(source, vlm, qwenKeyMap);
    expect([...replaced.keys()].sort()).toEqual([
      "model.layers.0.self_attn.q_proj.weight",
      "model.norm.weight",
    ]);
    expect(factors.size).toBe(2);
    expect(rank).toBe(2);
    expect(report.unexpected).toEqual([`${prefix}something.else.weight`]);
  });

  it("refuses what matches nothing, naming what is there", async () => {
    const source = await save("nothing", [["unet.down.weight", random("x", [2, 2])]]);
    expect(() => matchAdapter(source, vdm, wanDitKeyMap)).toThrowError(
      expect.objectContaining({
        code: "VANS_WEIGHTS_ADAPTER_UNMATCHED",
        message: expect.stringContaining("unet.down.weight"),
      }),
    );
  });

  it("refuses other shapes by name, mixed ranks, and halves", async () => {
    const code = async (tensors: [string, number[]][]): Promise<string> => {
      const source = await save(
        "bad",
        tensors.map(([name, shape]) => [name, random(name, shape)] as const),
      );
      try {
        matchAdapter(source, vdm, wanDitKeyMap);
        return "none";
      } catch (error) {
        return `${(error as { code: string }).code} ${(error as Error).message}`;
      }
    };
    expect(await code([["blocks.0.self_attn.q.weight", [12, 9]]])).toMatch(
      /VANS_WEIGHTS_SHAPE_MISMATCH[\s\S]*blocks\.0\.self_attn\.q\.weight \[12, 9\] instead of \[12, 8\]/,
    );
    expect(await code([["blocks.0.self_attn.q.lora_A.weight", [4, 9]]])).toMatch(
      /SHAPE_MISMATCH[\s\S]*lora_A/,
    );
    expect(await code([["blocks.0.self_attn.q.lora_A.weight", [4, 8]]])).toMatch(/UNMATCHED[\s\S]*lora_B/);
    expect(
      await code([
        ["blocks.0.self_attn.q.lora_A.weight", [4, 8]],
        ["blocks.0.self_attn.q.lora_B.weight", [12, 4]],
        ["blocks.1.cross_attn.o.lora_A.weight", [2, 8]],
        ["blocks.1.cross_attn.o.lora_B.weight", [8, 2]],
      ]),
    ).toMatch(/SHAPE_MISMATCH[\s\S]*ranks 2, 4/);
  });

  it("refuses to export what is no factor or has no name", () => {
    const adapter = { rank: 1, alpha: 1, factors: { x: random("x", [1, 1]) } };
    expect(() => adapterTensors(adapter, { naming: "peft" })).toThrowError(
      expect.objectContaining({ code: "VANS_WEIGHTS_ADAPTER_UNMATCHED" }),
    );
    const strange = { rank: 1, alpha: 1, factors: { "nowhere.lora_A.weight": random("x", [1, 1]) } };
    expect(() => adapterTensors(strange, { naming: "diffusers", map: wanDitKeyMap })).toThrowError(
      expect.objectContaining({ code: "VANS_WEIGHTS_NAMING_UNKNOWN" }),
    );
  });
});
