/** Suites whose files come from the hub: the committed one, and a tiny one laid out as the released files are. @module */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fold, keyFromSeed, normal } from "../base/keys.ts";
import { qwenLora, qwenParameters } from "../models/qwen25vl/index.ts";
import { ditParameters } from "../models/wan/index.ts";
import { VANS_SYSTEM_PROMPT } from "../text/index.ts";
import {
  elementCount,
  openWeights,
  storeTensorTable,
  tableBytes,
  umt5KeyMap,
  type WritableTensor,
  wanDitKeyMap,
  writeSafetensors,
} from "../weights/index.ts";
import { loadSuite, type Suite } from "./suite.ts";
import { suiteHashes } from "./suite-hashes.ts";
import { readSuiteTables, suiteTables } from "./suite-tables.ts";
import { openPart } from "./suite-weights.ts";
import { writeRandomSuite } from "./testing/random-suite.ts";

describe("vans-3b", () => {
  it("describes the released models without their weights", async () => {
    const suite = await loadSuite("vans-3b", { needsFiles: false });
    const tables = await readSuiteTables(suite);
    const parameters = (part: Parameters<typeof tables.get>[0]): number =>
      [...tables.get(part)!.values()].reduce((total, { shape }) => total + elementCount(shape), 0);
    // Sizes of the published checkpoints.
    expect([tables.get("vlm")!.size, parameters("vlm")]).toEqual([824, 3_754_622_976]);
    expect([tables.get("vdm")!.size, parameters("vdm")]).toEqual([825, 1_418_996_800]);
    expect([tables.get("vae")!.size, parameters("vae")]).toEqual([194, 126_892_531]);
    expect([tables.get("textEncoder")!.size, parameters("textEncoder")]).toEqual([242, 5_680_910_336]);
    expect([tables.get("clip")!.size, parameters("clip")]).toEqual([590, 427_616_513]);
    expect(parameters("vlmAdapter")).toBe(18_576_384);
    expect(tableBytes(tables.get("vlm")!)).toBe(7_509_245_952);
    const clip: unknown = JSON.parse(await readFile(suite.at("clip/config.json"), "utf8"));
    for (const [part, table] of suiteTables(suite, clip))
      expect(storeTensorTable(tables.get(part)!), part).toEqual(storeTensorTable(table));
  });

  it("answers with the settings of the release", async () => {
    const { manifest } = await loadSuite("vans-3b", { needsFiles: false });
    expect(manifest.answer).toMatchObject({
      systemPrompt: VANS_SYSTEM_PROMPT,
      height: 352,
      width: 640,
      answerFrames: 33,
      frameRateHz: 11,
      steps: 50,
      shift: 5,
      guidanceScale: 5,
      scheduler: "euler",
      referenceLatentFrames: 6,
      vlmFrames: 6,
      temperature: 0.7,
      topP: 0.9,
      maxNewTokens: 1024,
      tiled: true,
    });
    expect(manifest.answer.negativePrompt).toMatch(/^vivid colors, .*walking backwards$/);
  });

  it("says how to fetch what is missing", async () => {
    const env = { HF_HUB_CACHE: join(tmpdir(), "vans-no-such-cache") };
    await expect(loadSuite("vans-3b", { env })).rejects.toMatchObject({
      code: "VANS_SUITE_NOT_PULLED",
      message: expect.stringContaining("vans suites pull vans-3b"),
    });
  });
});

describe("a suite laid out as the released files", () => {
  const key = keyFromSeed(21);
  const commit = "a".repeat(40);
  let root: string;
  let suite: Suite;
  let load: () => Promise<Suite>;

  const random = (name: string, shape: readonly number[]): WritableTensor => ({
    shape,
    data: normal(fold(key, name), elementCount(shape)).map((value) => 0.1 * value),
    dtype: "BF16",
  });

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "vans-hub-suite-"));
    const folder = await writeRandomSuite(join(root, "suite"));
    const env = { HF_HUB_CACHE: join(root, "hub") };
    const hub = async (repo: string, path: string, write: (file: string) => Promise<void>): Promise<void> => {
      const store = join(root, "hub", `models--${repo.replace("/", "--")}`);
      const file = join(store, "snapshots", commit, path);
      await mkdir(dirname(file), { recursive: true });
      await mkdir(join(store, "refs"), { recursive: true });
      await writeFile(join(store, "refs", "main"), commit);
      await write(file);
    };
    const renamed =
      (from: string, rename: (name: string) => string) =>
      async (file: string): Promise<void> => {
        const source = await openWeights(join(folder, from));
        const tensors = new Map<string, WritableTensor>();
        for (const name of source.names()) {
          const { shape } = source.info(name);
          tensors.set(rename(name), { shape, data: await source.readFloat32(name), dtype: "BF16" });
        }
        await writeSafetensors(file, tensors);
      };
    const local = await loadSuite(folder);
    await hub(
      "q/vlm",
      "model.safetensors",
      renamed("vlm/model.safetensors", (name) =>
        // As newer transformers save it.
        name.startsWith("visual.") ? `model.${name}` : name.replace(/^model\./, "model.language_model."),
      ),
    );
    await hub("q/vlm", "tokenizer.json", (file) => cp(join(folder, "vlm/tokenizer.json"), file));
    await hub(
      "w/wan",
      "dit.safetensors",
      renamed("vdm/model.safetensors", (name) => wanDitKeyMap.map(name)!),
    );
    await hub(
      "w/wan",
      "t5.safetensors",
      renamed("text-encoder/model.safetensors", (name) => umt5KeyMap.map(name)!),
    );
    const lora = qwenLora({ rank: 2, alpha: 8 });
    const factors = [...qwenParameters(local.vlm.config, { lora })].filter(([name]) =>
      name.includes(".lora_"),
    );
    await hub("v/vans", "vlm.safetensors", (file) =>
      writeSafetensors(
        file,
        factors.map(([name, shape]) => [
          `pipe.mllm.mllm_backbone.base_model.model.${name.replace(/\.weight$/, ".default.weight")}`,
          random(name, shape),
        ]),
      ),
    );
    const bare = [...ditParameters(local.vdm.config)];
    await hub("v/vans", "vdm.safetensors", (file) =>
      writeSafetensors(
        file,
        bare.slice(0, 20).map(([name, shape]) => [name, random(`new ${name}`, shape)]),
      ),
    );
    const path = join(folder, "suite.json");
    const json = JSON.parse(await readFile(path, "utf8")) as Record<string, Record<string, unknown>>;
    await writeFile(
      path,
      JSON.stringify({
        ...json,
        sources: {
          qwen: { repo: "q/vlm", revision: "main", files: ["model.safetensors", "tokenizer.json"] },
          wan: { repo: "w/wan", revision: "main", files: ["dit.safetensors", "t5.safetensors"] },
          vans: { repo: "v/vans", revision: "main", files: ["vlm.safetensors", "vdm.safetensors"] },
        },
        vlm: { ...json["vlm"], weights: "qwen:model.safetensors", tokenizer: "qwen:tokenizer.json" },
        vdm: { ...json["vdm"], weights: "wan:dit.safetensors" },
        textEncoder: { ...json["textEncoder"], weights: "wan:t5.safetensors" },
        adapters: [
          { part: "vlm", config: "adapter.json", weights: "vans:vlm.safetensors" },
          { part: "vdm", weights: "vans:vdm.safetensors" },
        ],
      }),
    );
    await writeFile(join(folder, "adapter.json"), JSON.stringify({ r: 2, lora_alpha: 8 }));
    load = () => loadSuite(folder, { env });
    suite = await load();
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it("loads every naming, with adapters, and reports what it found", async () => {
    const vlm = await openPart(suite, "vlm");
    expect(vlm.lora).toMatchObject({ rank: 2, alpha: 8 });
    expect(vlm.lora!.targets("model.layers.0.self_attn.q_proj")).toBe(true);
    expect(vlm.reports.map(({ missing, unexpected }) => [missing, unexpected])).toEqual([
      [[], []],
      [[], []],
    ]);
    expect(vlm.binding.weight("model.layers.0.self_attn.q_proj.lora_A.weight")!.shape[0]).toBe(2);
    const vdm = await openPart(suite, "vdm");
    expect(vdm.reports[1]!.matched).toHaveLength(20);
    const [first] = [...ditParameters(suite.vdm.config).keys()];
    expect(vdm.binding.weight(first!)).toMatchObject({ path: expect.stringContaining("vdm.safetensors") });
    expect((await openPart(suite, "textEncoder")).reports[0]!.missing).toEqual([]);
  });

  it("hashes hub files under their source", async () => {
    expect(Object.keys(await suiteHashes(suite))).toContain("vans:vdm.safetensors");
  });

  it("refuses a base with a hole or another shape, naming the tensors", async () => {
    const [path] = suite.textEncoder.weights as [string];
    const source = await openWeights(path);
    const all = await Promise.all(
      source
        .names()
        .map(
          async (name): Promise<[string, WritableTensor]> => [
            name,
            { shape: source.info(name).shape, data: await source.readFloat32(name) },
          ],
        ),
    );
    const part = (): Promise<unknown> => load().then((one) => openPart(one, "textEncoder"));
    await writeSafetensors(
      path,
      all.filter(([name]) => name !== "norm.weight"),
    );
    await expect(part()).rejects.toMatchObject({
      code: "VANS_WEIGHTS_TENSOR_MISSING",
      message: expect.stringContaining("encoder.final_layer_norm.weight"),
    });
    await writeSafetensors(
      path,
      all.map(([name, tensor]) =>
        name === "norm.weight" ? [name, { shape: [3], data: new Float32Array(3) }] : [name, tensor],
      ),
    );
    await expect(part()).rejects.toMatchObject({
      code: "VANS_WEIGHTS_SHAPE_MISMATCH",
      message: expect.stringContaining("encoder.final_layer_norm.weight [3] instead of [24]"),
    });
    await writeSafetensors(path, [["other.weight", { shape: [1], data: new Float32Array(1) }]]);
    await expect(part()).rejects.toMatchObject({ code: "VANS_WEIGHTS_NAMING_UNKNOWN" });
  });

  it("refuses references to sources that are not described", async () => {
    const path = join(suite.folder, "suite.json");
    const json = JSON.parse(await readFile(path, "utf8")) as Record<string, Record<string, unknown>>;
    await writeFile(
      path,
      JSON.stringify({ ...json, vdm: { ...json["vdm"], weights: "wan:other.safetensors" } }),
    );
    await expect(load()).rejects.toMatchObject({
      code: "VANS_SUITE_INVALID",
      message: expect.stringContaining("wan:other.safetensors"),
    });
  });
});
