/**
 * Tiny judging models with random weights for a suite of tests: both CLIPs and an I3D.
 * @module
 */
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fold, keyFromSeed } from "../../base/keys.ts";
import { i3dModel } from "../../metrics/index.ts";
import { clipConfig, initClip } from "../../models/clip/index.ts";
import { i3d, initI3d } from "../../models/i3d/index.ts";
import { Params } from "../../nn/index.ts";
import { input, type NdArray } from "../../tensor/index.ts";
import { loadTokenizer } from "../../text/index.ts";
import { writeSafetensors } from "../../weights/index.ts";

const I3D = {
  model_type: "i3d",
  name: "tiny",
  image_size: 16,
  num_frames: 17,
  batch_norm_eps: 0.001,
  average_kernel: [8, 4, 4],
  classes: ["a", "b"],
  stages: [
    { kind: "unit", name: "Conv3d_1a", channels: 4, kernel: [3, 3, 3], stride: [2, 2, 2] },
    { kind: "pool", name: "MaxPool3d_2a", kernel: [1, 3, 3], stride: [1, 2, 2] },
  ],
};

/** Adds `clip`, `clipEval` and `i3d` to a suite that `writeRandomSuite` wrote. */
export async function addRandomJudges(suite: string): Promise<void> {
  const path = join(suite, "suite.json");
  const manifest = JSON.parse(await readFile(path, "utf8")) as { vlm: { tokenizer: string } };
  const files = (folder: string) => ({
    config: `${folder}/config.json`,
    weights: `${folder}/model.safetensors`,
  });
  const write = async (folder: string, json: unknown, weights: Readonly<Record<string, NdArray>>) => {
    await mkdir(join(suite, folder), { recursive: true });
    await writeFile(join(suite, folder, "config.json"), JSON.stringify(json));
    const tensors = Object.entries(weights).map(
      ([name, { shape, data }]): [string, { shape: readonly number[]; data: Float32Array }] => [
        name,
        { shape, data: data as Float32Array },
      ],
    );
    await writeSafetensors(join(suite, folder, "model.safetensors"), tensors, { dtype: "F32" });
  };
  const tokenizer = join(suite, manifest.vlm.tokenizer);
  const { vocabSize } = await loadTokenizer(tokenizer);
  const tower = { hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 2 };
  const clip = {
    projection_dim: 6,
    text_config: {
      ...tower,
      vocab_size: vocabSize,
      max_position_embeddings: 10,
      eos_token_id: vocabSize - 1,
    },
    vision_config: { ...tower, image_size: 16, patch_size: 8 },
  };
  for (const [i, folder] of ["clip", "clip-eval"].entries()) {
    await write(folder, clip, initClip(clipConfig(clip), fold(keyFromSeed(8), "clip", i)));
    await copyFile(tokenizer, join(suite, folder, "tokenizer.json"));
  }
  const { config } = i3dModel(I3D);
  const params = new Params();
  i3d(params, config, input("videos", [1, 3, 17, 16, 16]));
  const fresh = initI3d(config, keyFromSeed(9));
  await write("i3d", I3D, Object.fromEntries([...params.tensors.keys()].map((name) => [name, fresh[name]!])));
  const parts = {
    clip: { ...files("clip"), tokenizer: "clip/tokenizer.json" },
    clipEval: { ...files("clip-eval"), tokenizer: "clip-eval/tokenizer.json" },
    i3d: files("i3d"),
  };
  await writeFile(path, JSON.stringify({ ...manifest, ...parts }));
}
