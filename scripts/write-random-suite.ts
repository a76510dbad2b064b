/**
 * Writes a suite of random weights in the sizes of `vans-3b`, a part at a time, so that size, speed and memory can be
 * measured where no checkpoint can be fetched. The same command gives the same bytes.
 *
 * Numbers come from a block of 1,000,003 normal values (Philox, key from the seed) that is read in a circle from a place that
 * depends on the tensor's name; its length is prime, so rows differ. Matrices have deviation 1/sqrt(inputs), the text
 * encoder's queries 1/sqrt(width · head), the embedding of the language model 0.02, norms are 1, biases 0, tables of
 * modulation small with open gates.
 *
 * Run: npx tsx scripts/write-random-suite.ts --out /tmp/random-3b --part rest
 *      npx tsx scripts/write-random-suite.ts --out /tmp/random-3b --part vlm      (vdm, vae, textEncoder, vlmAdapter)
 * `rest` writes suite.json, configurations and tokenizers. Where disk is short, delete a part's file before the next: 7.5,
 * 2.8 (5.7 with --dtype F32), 0.5 and 11.4 GB. `--layers N` keeps N blocks of each model, for quick trials.
 */
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { loadSuite } from "../src/answer/suite.ts";
import { readSuiteTables, type TablePart } from "../src/answer/suite-tables.ts";
import { fold, integer, keyFromSeed, normal } from "../src/base/keys.ts";
import { QWEN_SPECIAL_TOKENS, trainQwenTokenizer, trainT5Tokenizer } from "../src/text/index.ts";
import { bf16FromFloat32, type PlannedTensor, writeSafetensorsStream } from "../src/weights/index.ts";

const { values } = parseArgs({
  options: {
    out: { type: "string" },
    part: { type: "string" },
    seed: { type: "string", default: "1" },
    dtype: { type: "string", default: "BF16" },
    layers: { type: "string" },
  },
});
const { out, part } = values;
if (!out || !part) throw new Error("usage: --out FOLDER --part rest|vlm|vdm|vae|textEncoder|vlmAdapter");
const layers = values.layers === undefined ? undefined : Number(values.layers);
const key = keyFromSeed(Number(values.seed));
const suite = await loadSuite("vans-3b", { needsFiles: false });
const FOLDER: Readonly<Record<string, string>> = {
  vlm: "vlm",
  vdm: "vdm",
  vae: "vae",
  textEncoder: "text-encoder",
  vlmAdapter: "adapters",
};

/** True for tensors of blocks that `--layers` leaves out. */
function isLeftOut(name: string): boolean {
  const index = /(?:^|\.)(?:layers|blocks?)\.(\d+)\./.exec(name)?.[1];
  return layers !== undefined && index !== undefined && Number(index) >= layers;
}

const CIRCLE = 1_000_003;
const circle = normal(fold(key, "circle"), CIRCLE);

/** Deviation and offset of a tensor's values. */
function scaleOf(
  name: string,
  shape: readonly number[],
): { readonly scale: number; readonly offset: number } {
  if (name.endsWith(".modulation")) return { scale: 0.02, offset: name.startsWith("head") ? 0 : 0.1 };
  if (
    /(norm\w*|ln_q|layernorm|gamma)(\.weight)?$/.test(name) ||
    (shape.length === 1 && name.endsWith("weight"))
  )
    return { scale: 0.05, offset: 1 };
  if (name.endsWith(".bias") || shape.length === 1) return { scale: 0.01, offset: 0 };
  if (name === "model.embed_tokens.weight" || name.endsWith("relative_attention_bias.weight"))
    return { scale: 0.02, offset: 0 };
  if (name === "shared.weight") return { scale: 1, offset: 0 };
  const inputs = shape.slice(1).reduce((product, size) => product * size, 1);
  const extra = name.endsWith("SelfAttention.q.weight") ? 1 / Math.sqrt(64) : 1;
  return { scale: extra / Math.sqrt(inputs), offset: 0 };
}

const rings = new Map<string, Uint8Array>();

/** The circle in a tensor's scale and type; few scales occur, so they are kept. */
function ringOf(name: string, shape: readonly number[], dtype: string): Uint8Array {
  const { scale, offset } = scaleOf(name, shape);
  const id = `${scale} ${offset} ${dtype}`;
  let ring = rings.get(id);
  if (!ring) {
    const turned = circle.map((value) => value * scale + offset);
    ring = dtype === "BF16" ? new Uint8Array(bf16FromFloat32(turned).buffer) : new Uint8Array(turned.buffer);
    rings.set(id, ring);
  }
  return ring;
}

/** The values of a tensor in parts of at most 4 million, from a place in the circle that its name decides. */
function* partsOf({ name, shape, dtype }: PlannedTensor): Generator<Uint8Array> {
  const ring = ringOf(name, shape, dtype);
  const bytes = dtype === "BF16" ? 2 : 4;
  let at = integer(fold(key, "place", name), CIRCLE) * bytes;
  let left = shape.reduce((product, size) => product * size, 1) * bytes;
  while (left > 0) {
    const length = Math.min(left, ring.length - at);
    yield ring.subarray(at, at + length);
    left -= length;
    at = 0;
  }
}

if (part === "rest") {
  const json = JSON.parse(await readFile(suite.at("suite.json"), "utf8")) as Record<
    string,
    Record<string, unknown>
  >;
  const weights = (folder: string): string => `${folder}/model.safetensors`;
  const { sources: _, tensors: __, clip: ___, adapters: ____, ...rest } = json;
  const answer = { ...json["answer"], maxNewTokens: 32, vlmMinPixels: 784, vlmMaxPixels: 25088 };
  const described = {
    ...rest,
    name: "random-3b",
    about: "Random weights in the sizes of vans-3b; its answers are noise.",
    vlm: { ...json["vlm"], weights: weights("vlm"), tokenizer: "vlm/tokenizer.json" },
    vdm: { ...json["vdm"], weights: weights("vdm") },
    vae: { ...json["vae"], weights: weights("vae") },
    textEncoder: {
      ...json["textEncoder"],
      weights: weights("text-encoder"),
      tokenizer: "text-encoder/tokenizer.json",
    },
    answer,
  };
  await mkdir(out, { recursive: true });
  await writeFile(join(out, "suite.json"), `${JSON.stringify(described, undefined, 1)}\n`);
  for (const path of ["vlm/config.json", "vdm/config.json", "vae/config.json", "text-encoder/config.json"]) {
    await mkdir(dirname(join(out, path)), { recursive: true });
    await cp(suite.at(path), join(out, path));
    if (layers === undefined) continue;
    const config = JSON.parse(await readFile(join(out, path), "utf8")) as Record<string, unknown>;
    for (const field of ["num_hidden_layers", "num_layers"]) if (field in config) config[field] = layers;
    const vision = config["vision_config"] as Record<string, unknown> | undefined;
    if (vision) {
      vision["depth"] = layers;
      vision["fullatt_block_indexes"] = [layers - 1];
    }
    await writeFile(join(out, path), JSON.stringify(config));
  }
  // Few words, and the special tokens under their real numbers.
  const corpus = ["what happens next if the ball rolls left and the tower falls down", "a red block falls"];
  const learned = trainQwenTokenizer(corpus, {
    vocabSize: 400,
    minFrequency: 1,
    specialTokens: QWEN_SPECIAL_TOKENS,
  });
  const real: Readonly<Record<string, number>> = {
    "<|endoftext|>": 151643,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "<|vision_start|>": 151652,
    "<|vision_end|>": 151653,
    "<|vision_pad|>": 151654,
    "<|image_pad|>": 151655,
    "<|video_pad|>": 151656,
  };
  const added = learned.added_tokens.map((token) => ({ ...token, id: real[token.content] ?? token.id }));
  await writeFile(join(out, "vlm/tokenizer.json"), JSON.stringify({ ...learned, added_tokens: added }));
  const t5 = trainT5Tokenizer(corpus, { vocabSize: 300, minFrequency: 1, lowercase: true });
  await writeFile(join(out, "text-encoder/tokenizer.json"), JSON.stringify(t5));
} else {
  const table = (await readSuiteTables(suite)).get(part as TablePart);
  const folder = FOLDER[part];
  if (!table || folder === undefined) throw new Error(`no part ${part}`);
  const dtype = values.dtype === "F32" ? "F32" : "BF16";
  const plan = [...table]
    .filter(([name]) => !isLeftOut(name))
    .map(([name, { shape }]): PlannedTensor => ({ name, dtype: part === "vae" ? "F32" : dtype, shape }));
  const started = performance.now();
  const path = join(out, folder, part === "vlmAdapter" ? "vlm.safetensors" : "model.safetensors");
  await writeSafetensorsStream(path, plan, (tensor) => partsOf(tensor));
  console.log(`${path} ${((performance.now() - started) / 1000).toFixed(0)} s`);
}
