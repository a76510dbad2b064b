/**
 * Golden case of the UMT5 text encoder: stages, output, context, position buckets.
 * @module
 */
import { positionBucket, umt5Config, umt5Encode, umt5HiddenStates } from "../../src/models/umt5/index.ts";
import { Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import { input, type Tensor } from "../../src/tensor/index.ts";
import { umt5KeyMap } from "../../src/weights/index.ts";
import { type CaseHandler, type Check, checkExact, checkRelative, type GoldenCase } from "./case.ts";

export const umt5: CaseHandler = {
  title: "UMT5 encoder",
  recognises: (golden) => golden.hasConfig("transformers_UMT5Config"),
  async run(golden) {
    return [...(await encoder(golden)), ...buckets(golden), ...(await keyMap(golden))];
  },
};

async function encoder(golden: GoldenCase): Promise<Check[]> {
  const { io } = golden;
  const config = umt5Config(golden.config("transformers_UMT5Config"));
  const tolerance = golden.tolerance("relative_to_abs_max");
  const ids = io.get("input_ids");
  const mask = io.get("attention_mask");
  const inputs = [input("ids", ids.shape, "i32"), input("mask", mask.shape, "i32")] as const;
  const params = new Params();
  const outputs: Record<string, Tensor> = {};
  const probe = (stage: string, value: Tensor): void => {
    outputs[`stage.${stage}`] = value;
  };
  outputs["output"] = umt5HiddenStates(params, config, ...inputs, { probe });
  outputs["context"] = umt5Encode(params, config, ...inputs);
  const weights = golden.file("weights.safetensors").binding();
  const graph = await compile(outputs, { weights });
  const results = await graph.run({ ids, mask });
  await graph.release();
  return Object.entries(results)
    .filter(([name]) => io.has(name))
    .map(([name, value]) => checkRelative(name, value, io.get(name), tolerance));
}

function buckets(golden: GoldenCase): Check[] {
  if (!golden.io.has("bucket.distance")) return [];
  const config = umt5Config(golden.config("transformers_UMT5Config"));
  const distances = golden.io.get("bucket.distance").data;
  const mine = Array.from(distances, (distance) => positionBucket(config, distance));
  return [checkExact("bucket.index", mine, golden.io.get("bucket.index").data)];
}

/** transformers' names to Wan's, both ways. */
async function keyMap(golden: GoldenCase): Promise<Check[]> {
  if (!golden.listing.includes("key_map.json")) return [];
  const table = await golden.table<Record<string, string>>("key_map.json");
  const wrong = Object.entries(table).filter(
    ([from, to]) => umt5KeyMap.map(from) !== to || umt5KeyMap.unmap(to) !== from,
  );
  return [{ name: "key_map.json", maxError: wrong.length, tolerance: 0 }];
}
