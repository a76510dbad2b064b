/**
 * Golden case of the video transformer: stages, output for several timesteps, rotary tables, reference prefix.
 * @module
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  type DitConfig,
  ditConfig,
  ditForward,
  ditHeadWidth,
  ditWithReferences,
  pickReferenceFrames,
  ropeTable,
} from "../../src/models/wan/index.ts";
import { Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import { concat, f32, input, type NdArray, type Tensor } from "../../src/tensor/index.ts";
import { wanDitKeyMap } from "../../src/weights/index.ts";
import { type CaseHandler, type Check, checkExact, checkRelative, type GoldenCase } from "./case.ts";

/** A graph input of the shape of a golden tensor. */
export const inputLike = (name: string, array: NdArray): Tensor => input(name, array.shape, array.dtype);

/** The configuration of the case that a path of weights leads to (`../wan_dit/weights.safetensors`). */
export async function ditConfigBeside(golden: GoldenCase, weights: string): Promise<DitConfig> {
  const text = await readFile(join(golden.folder, dirname(weights), "case.json"), "utf8");
  const json = JSON.parse(text) as { config: Record<string, unknown> };
  return ditConfig(json.config["diffusers_WanTransformer3DModel"]);
}

export const wanDit: CaseHandler = {
  title: "video transformer, forward",
  recognises: (golden) =>
    golden.hasConfig("diffusers_WanTransformer3DModel") && golden.files.has("io.safetensors"),
  async run(golden) {
    return [...(await forward(golden)), ...(await prefix(golden)), ...(await keyMap(golden))];
  },
};

const weightsOf = (golden: GoldenCase) => golden.file("weights.safetensors");

async function forward(golden: GoldenCase): Promise<Check[]> {
  const { io } = golden;
  const config = ditConfig(golden.config("diffusers_WanTransformer3DModel"));
  const tolerance = golden.tolerance("relative_to_abs_max");
  const checks = configChecks(golden, config);
  const feeds = {
    latents: io.get("latents"),
    timestep: io.get("timestep"),
    context: io.get("context"),
  };
  const stages: Record<string, Tensor> = {};
  const output = ditForward(
    new Params(),
    config,
    {
      latents: inputLike("latents", feeds.latents),
      timestep: inputLike("timestep", feeds.timestep),
      context: inputLike("context", feeds.context),
    },
    {
      probe: (stage, value) => {
        if (io.has(`stage.${stage}`)) stages[`stage.${stage}`] = value;
      },
    },
  );
  const graph = await compile({ ...stages, output }, { weights: weightsOf(golden).binding() });
  const results = await graph.run(feeds);
  await graph.release();
  for (const [name, value] of Object.entries(results))
    checks.push(checkRelative(name, value, io.get(name), tolerance));

  const [, , frames, rows, columns] = feeds.latents.shape as [number, number, number, number, number];
  const [pf, pr, pc] = config.patchSize;
  const table = ropeTable(
    { frames: frames / pf, rows: rows / pr, columns: columns / pc },
    ditHeadWidth(config),
  );
  for (const part of ["cos", "sin"] as const)
    checks.push(
      checkRelative(
        `rope.${part}`,
        twice(table[part], io.get(`rope.${part}`)),
        io.get(`rope.${part}`),
        tolerance,
      ),
    );
  return checks;
}

/** Both spellings of the configuration must mean the same transformer. */
function configChecks(golden: GoldenCase, config: DitConfig): Check[] {
  if (!golden.hasConfig("original_WanModel")) return [];
  const original = ditConfig(golden.config("original_WanModel"));
  const isSame =
    JSON.stringify({ ...original, textLength: 0 }) === JSON.stringify({ ...config, textLength: 0 });
  return [{ name: "config: original and diffusers agree", maxError: isSame ? 0 : 1, tolerance: 0 }];
}

/** Every angle twice, as the interleaved table of diffusers has it. */
function twice(table: NdArray, like: NdArray): NdArray {
  return f32(
    Float32Array.from({ length: table.data.length * 2 }, (_, i) => table.data[i >> 1]!),
    like.shape,
  );
}

async function prefix(golden: GoldenCase): Promise<Check[]> {
  const { io } = golden;
  const config = ditConfig(golden.config("diffusers_WanTransformer3DModel"));
  const tolerance = golden.tolerance("relative_to_abs_max");
  const clip = io.get("prefix.ref_latents");
  const indices = io.get("prefix.indices");
  const picked = pickReferenceFrames(clip, indices.data.length);
  const noisy = io.get("prefix.latents");
  const feeds = {
    references: picked.latents,
    noisy,
    timestep: io.get("prefix.timestep"),
    context: io.get("prefix.context"),
  };
  const inputs = {
    references: inputLike("references", feeds.references),
    noisy: inputLike("noisy", noisy),
    timestep: inputLike("timestep", feeds.timestep),
    context: inputLike("context", feeds.context),
  };
  const latents = concat([inputs.references, inputs.noisy], 2);
  const graph = await compile(
    {
      "prefix.output_full": ditForward(new Params(), config, {
        latents,
        timestep: inputs.timestep,
        context: inputs.context,
      }),
      "prefix.output": ditWithReferences(new Params(), config, inputs),
    },
    { weights: weightsOf(golden).binding() },
  );
  const results = await graph.run(feeds);
  await graph.release();
  return [
    checkExact("prefix.indices", picked.indices, indices.data),
    ...Object.entries(results).map(([name, value]) => checkRelative(name, value, io.get(name), tolerance)),
  ];
}

/** Original names to diffusers names, both ways. */
async function keyMap(golden: GoldenCase): Promise<Check[]> {
  if (!golden.listing.includes("key_map.json")) return [];
  const table = await golden.table<Record<string, string>>("key_map.json");
  const wrong = Object.entries(table).filter(
    ([original, diffusers]) =>
      wanDitKeyMap.map(original) !== diffusers || wanDitKeyMap.unmap(diffusers) !== original,
  );
  return [{ name: "key_map.json", maxError: wrong.length, tolerance: 0 }];
}
