import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  inNaming,
  type KeyMap,
  keyMap,
  qwenDiskName,
  qwenKeyMap,
  renamedSource,
  umt5KeyMap,
  wanDitKeyMap,
  wanVaeKeyMap,
  withoutPrefix,
} from "./key-map.ts";
import { compareWeights, describeLoadReport, requireLoadable } from "./load-report.ts";
import { loraName, parseLoraName, peftBaseName, VANS_LORA_PREFIX } from "./lora-names.ts";
import { weightSource } from "./weight-source.ts";

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(join(import.meta.dirname, "fixtures", name), "utf8"));

/** A source of zeros with the given names. */
function source(shapes: Record<string, number[]>) {
  const infos = Object.entries(shapes).map(([name, shape]) => {
    const info = {
      dtype: "F32",
      shape,
      path: "zeros",
      byteOffset: 0,
      byteLength: 0,
      contiguous: true,
    } as const;
    return [name, info] as const;
  });
  return weightSource("zeros", new Map(infos), {}, async (info, name) => ({
    dtype: "F32",
    shape: info.shape,
    data: Float32Array.of(name.length),
  }));
}

describe("key maps", () => {
  // The reference tables were made with the original scripts of diffusers and DiffSynth.
  const tables: [string, KeyMap, string][] = [
    ["video transformer", wanDitKeyMap, "wan-dit-key-map.json"],
    ["VAE", wanVaeKeyMap(), "wan-vae-key-map.json"],
    ["UMT5", umt5KeyMap, "umt5-key-map.json"],
  ];
  it.each(tables)("%s: both directions agree with the reference table", (_, map, file) => {
    const entries = Object.entries(fixture(file) as Record<string, string>);
    expect(entries.length).toBeGreaterThan(30);
    for (const [from, to] of entries) {
      expect(map.map(from)).toBe(to);
      expect(map.unmap(to)).toBe(from);
    }
  });

  it("numbers the decoder levels of a VAE with one residual block per level", () => {
    const map = wanVaeKeyMap({ resBlocks: 1, levels: 4 });
    expect(map.map("decoder.upsamples.2.resample.1.weight")).toBe(
      "decoder.up_blocks.0.upsamplers.0.resample.1.weight",
    );
    expect(map.map("decoder.upsamples.3.shortcut.bias")).toBe(
      "decoder.up_blocks.1.resnets.0.conv_shortcut.bias",
    );
    expect(map.unmap("decoder.up_blocks.3.resnets.1.conv2.weight")).toBe(
      "decoder.upsamples.10.residual.6.weight",
    );
    expect(map.map("decoder.upsamples.11.residual.6.weight")).toBeUndefined();
  });

  it("knows the image and VACE parts of the transformer", () => {
    expect(wanDitKeyMap.map("blocks.7.cross_attn.k_img.weight")).toBe("blocks.7.attn2.add_k_proj.weight");
    expect(wanDitKeyMap.map("vace_blocks.0.before_proj.bias")).toBe("vace_blocks.0.proj_in.bias");
    expect(wanDitKeyMap.unmap("vace_blocks.0.attn1.to_out.0.bias")).toBe("vace_blocks.0.self_attn.o.bias");
    expect(wanDitKeyMap.map("blocks.x.modulation")).toBeUndefined();
  });

  it("reads the tied embedding under either name", () => {
    expect(umt5KeyMap.map("encoder.embed_tokens.weight")).toBe("token_embedding.weight");
    expect(umt5KeyMap.unmap("token_embedding.weight")).toBe("shared.weight");
  });

  it("translates Qwen prefixes", () => {
    expect(qwenKeyMap.map("visual.blocks.0.norm1.weight")).toBe("model.visual.blocks.0.norm1.weight");
    expect(qwenKeyMap.map("model.norm.weight")).toBe("model.language_model.norm.weight");
    for (const name of ["visual.merger.ln_q.weight", "model.layers.3.mlp.up_proj.weight", "lm_head.weight"]) {
      expect(qwenDiskName(qwenKeyMap.map(name)!)).toBe(name);
      expect(qwenDiskName(name)).toBe(name);
    }
  });

  it("strips wrappers", () => {
    expect(withoutPrefix("dit.head.modulation", ["dit.", "model."])).toBe("head.modulation");
    expect(withoutPrefix("head.modulation", ["dit."])).toBe("head.modulation");
  });

  it("refuses a placeholder without words", () => {
    expect(() => keyMap("a", "b", [["{x}.weight", "{x}"]])).toThrow(RangeError);
  });
});

describe("renamed sources", () => {
  it("finds out which naming a file uses", async () => {
    const original = source({ "head.modulation": [1, 2, 8], "blocks.0.norm3.weight": [8] });
    const diffusers = source({ scale_shift_table: [1, 2, 8], "blocks.0.norm2.weight": [8] });
    expect(inNaming(original, wanDitKeyMap).names()).toEqual(original.names());
    const renamed = inNaming(diffusers, wanDitKeyMap);
    expect(renamed.names()).toEqual(original.names());
    expect([...(await renamed.readFloat32("head.modulation"))]).toEqual(["scale_shift_table".length]);
    expect(() => inNaming(source({ other: [1] }), wanDitKeyMap)).toThrow(/not those of this model/);
  });

  it("keeps one of two tied tensors", () => {
    const tied = source({ "encoder.embed_tokens.weight": [4, 2], "shared.weight": [4, 2] });
    expect(renamedSource(tied, umt5KeyMap.map).names()).toEqual(["token_embedding.weight"]);
  });
});

describe("LoRA names", () => {
  it("round-trip for every name of a released layout", () => {
    for (const name of fixture("vans-lora-names.json") as string[]) {
      const parsed = parseLoraName(name)!;
      expect(parsed.module).toMatch(/^(model|visual)\./);
      expect(loraName(parsed, { prefix: VANS_LORA_PREFIX })).toBe(name);
      expect(parseLoraName(loraName(parsed, { adapter: null }))).toEqual(parsed);
      expect(peftBaseName(name)).toBeUndefined();
    }
  });
  it("leave other names alone", () => {
    expect(parseLoraName("model.layers.0.mlp.up_proj.weight")).toBeUndefined();
    expect(peftBaseName("base_model.model.model.layers.0.mlp.up_proj.base_layer.weight")).toBe(
      "model.layers.0.mlp.up_proj.weight",
    );
  });
});

describe("load report", () => {
  const needed = new Map([
    ["a", [2, 3]],
    ["b", [4]],
  ]);
  it("accepts an exact match and ignored buffers", () => {
    const report = compareWeights(needed, source({ a: [2, 3], b: [4], "x.position_ids": [1] }), {
      ignore: [/position_ids$/],
    });
    expect(report).toMatchObject({
      matched: ["a", "b"],
      missing: [],
      unexpected: [],
      ignored: ["x.position_ids"],
    });
    requireLoadable(report);
    expect(describeLoadReport(report)).toContain("2 tensors match");
  });
  it.each([
    ["VANS_WEIGHTS_TENSOR_MISSING", { a: [2, 3] }, /asked: b/],
    ["VANS_WEIGHTS_TENSOR_UNEXPECTED", { a: [2, 3], b: [4], c: [1] }, /found: c/],
    ["VANS_WEIGHTS_SHAPE_MISMATCH", { a: [3, 2], b: [4] }, /a \[3, 2\] instead of \[2, 3\]/],
  ])("refuses with %s", (code, shapes, text) => {
    const refuse = () => requireLoadable(compareWeights(needed, source(shapes as Record<string, number[]>)));
    expect(refuse).toThrow(text);
    expect(refuse).toThrow(expect.objectContaining({ code }));
  });
});
