/**
 * Gradients of one full-size block of the video transformer beside PyTorch's (diffusers `WanTransformerBlock`): with respect to its
 * input and to the factors of its adapters. Fails above 1e-3.
 *
 * npx tsx bench/large-gradient.ts --suite /tmp/random-3b [--python /opt/peer/bin/python]
 */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadSuite } from "../src/answer/suite.ts";
import { openPart } from "../src/answer/suite-weights.ts";
import { fold, keyFromSeed, normal } from "../src/base/keys.ts";
import { BlockSessions } from "../src/models/block-sessions.ts";
import { ditHeadWidth, ditLoraTargets, ditParameters, ropeTable } from "../src/models/wan/index.ts";
import { f32, type NdArray } from "../src/tensor/index.ts";
import { blockGradientGraph } from "../src/train/large-lora.ts";
import { vdmBlock } from "../src/train/large-vdm-gradients.ts";
import { type WritableTensor, wanDitKeyMap, writeSafetensors } from "../src/weights/index.ts";

const { values } = parseArgs({
  options: {
    suite: { type: "string" },
    python: { type: "string", default: process.env["VANS_PEER_PYTHON"] ?? "/opt/peer/bin/python" },
  },
});
if (!values.suite) throw new Error("--suite FOLDER, made by scripts/write-random-suite.ts");
const suite = await loadSuite(values.suite, { needsFiles: false });
const { config } = suite.vdm;
const key = keyFromSeed(3);
const random = (name: string, shape: readonly number[], scale = 1): NdArray =>
  f32(
    normal(
      fold(key, name),
      shape.reduce((a, b) => a * b, 1),
    ).map((value) => value * scale),
    shape,
  );
const grid = { frames: 3, rows: 8, columns: 8 };
const tokens = grid.frames * grid.rows * grid.columns;
const lora = { rank: 4, alpha: 8, targets: ditLoraTargets };
const { binding } = await openPart(suite, "vdm");
const given = {
  modulation: random("modulation", [1, 6, config.width], 0.3),
  text: random("text", [1, 64, config.width]),
  ...ropeTable(grid, ditHeadWidth(config)),
};
const x = random("x", [1, tokens, config.width]);
const dy = random("dy", [1, tokens, config.width]);
const adapters: Record<string, NdArray> = {};
const base: string[] = [];
for (const [name, shape] of ditParameters(config, { lora })) {
  if (!name.startsWith("blocks.0.")) continue;
  if (name.includes(".lora_")) adapters[name] = random(name, shape, 0.05);
  else base.push(name);
}
const sessions = new BlockSessions({
  weights: { weight: (name) => (name.includes(".lora_") ? undefined : binding.weight(name)) },
  lora,
  parameters: adapters,
});
const body = vdmBlock(config, 0, given, 0);
const found = await sessions.run("back", (params) => blockGradientGraph(params, x.shape, body), {
  ...given,
  x,
  dy,
});
await sessions.release();

const folder = await mkdtemp(join(tmpdir(), "vans-gradient-"));
const file = join(folder, "block.safetensors");
const tensors: [string, WritableTensor][] = [];
const add = (name: string, { shape, data }: NdArray): void => {
  tensors.push([name, { shape, data: data as Float32Array }]);
};
for (const [name, value] of Object.entries({ ...given, x, dy })) add(`in.${name}`, value);
for (const [name, value] of Object.entries(found)) add(`out.${name}`, value);
for (const [name, value] of Object.entries(adapters)) add(`lora.${name}`, value);
const { openWeights } = await import("../src/weights/index.ts");
const source = await openWeights(suite.vdm.weights[0]!);
for (const name of base) {
  const stored = wanDitKeyMap.map(name)!.replace("blocks.0.", "");
  tensors.push([`w.${stored}`, { shape: source.info(name).shape, data: await source.readFloat32(name) }]);
}
await writeSafetensors(file, tensors);
const names = Object.keys(adapters).map((name) => {
  const layer = name.replace(/\.lora_[AB]\.weight$/, "");
  return `${layer}=${wanDitKeyMap.map(`${layer}.weight`)!.replace("blocks.0.", "")}`;
});
const { status, stdout, stderr } = spawnSync(
  values.python,
  ["bench/peers/large_gradient.py", file, ...new Set(names)],
  { encoding: "utf8" },
);
console.log(stdout.trim());
if (status !== 0) console.error(stderr.trim().split("\n").slice(-5).join("\n"));
await rm(folder, { recursive: true, force: true });
process.exit(status ?? 1);
