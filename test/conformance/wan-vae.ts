/**
 * Golden case of the autoencoder: encode and decode of several lengths, stages, free latents, tiles, names.
 * @module
 */
import {
  decodeLatents,
  denormalizeLatents,
  encodeMoments,
  normalizeLatents,
  Vae,
  type VaeConfig,
  vaeConfigFromWeights,
} from "../../src/models/wan/index.ts";
import { Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import { f32, input, type NdArray, type Tensor } from "../../src/tensor/index.ts";
import { wanVaeKeyMap } from "../../src/weights/index.ts";
import { type CaseHandler, type Check, checkRelative, type GoldenCase, type TensorFile } from "./case.ts";

type ArchitectureJson = Omit<VaeConfig, "latents_mean" | "latents_std">;

/** The configuration that a file of original weights belongs to; latent statistics are those of Wan2.1. */
export function vaeConfigOfFile(weights: TensorFile): VaeConfig {
  return vaeConfigFromWeights(new Map(weights.names().map((name) => [name, weights.stored(name).shape])));
}

/** The configuration of a case. */
export function vaeConfigOfCase(golden: GoldenCase): VaeConfig {
  return {
    ...golden.config<ArchitectureJson>("diffusers_AutoencoderKLWan"),
    latents_mean: golden.config("latents_mean"),
    latents_std: golden.config("latents_std"),
  };
}

async function run(golden: GoldenCase): Promise<Check[]> {
  const { io } = golden;
  const weights = golden.file("weights.safetensors");
  const config = vaeConfigOfCase(golden);
  const vae = new Vae(config, weights.binding());
  const checks: Check[] = [];
  const clips = io
    .names()
    .flatMap((name) => (name.endsWith(".latents") ? [name.slice(0, -".latents".length)] : []));
  for (const clip of clips) {
    const isTiled = clip === "tiled";
    checks.push(...(await (isTiled ? tiledChecks(golden, vae) : clipChecks(golden, config, clip))));
    if (!isTiled) checks.push(...(await streamChecks(golden, vae, clip)));
  }
  await vae.release();
  if (golden.listing.includes("key_map.json")) checks.push(...(await nameChecks(golden, config)));
  const fromWeights = { ...vaeConfigOfFile(weights), latents_mean: [], latents_std: [] };
  checks.push(
    sameText("configuration read off the weights", fromWeights, {
      base_dim: config.base_dim,
      z_dim: config.z_dim,
      dim_mult: config.dim_mult,
      num_res_blocks: config.num_res_blocks,
      attn_scales: config.attn_scales,
      temperal_downsample: config.temperal_downsample,
      latents_mean: [],
      latents_std: [],
    }),
  );
  return checks;
}

const sameText = (name: string, actual: unknown, golden: unknown): Check => ({
  name,
  maxError: JSON.stringify(actual) === JSON.stringify(golden) ? 0 : 1,
  tolerance: 0,
});

/** Encode and decode of one clip as one graph, with all stages that the case has. */
async function clipChecks(golden: GoldenCase, config: VaeConfig, clip: string): Promise<Check[]> {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  const params = new Params();
  const outputs: Record<string, Tensor> = {};
  const keep =
    (side: string) =>
    (stage: string, value: Tensor): void => {
      if (io.has(`${clip}.stage.${side}.${stage}`)) outputs[`stage.${side}.${stage}`] = value;
    };
  const feeds: Record<string, NdArray> = { latents: io.get(`${clip}.latents`) };
  const latents = denormalizeLatents(config, input("latents", feeds["latents"]!.shape));
  outputs["decoded"] = decodeLatents(params, config, latents, { probe: keep("dec") });
  if (io.has(`${clip}.video`)) {
    const video = io.get(`${clip}.video`);
    feeds["video"] = video;
    const moments = encodeMoments(params, config, input("video", video.shape), { probe: keep("enc") });
    outputs["mu"] = moments.mean;
    outputs["logvar"] = moments.logVariance;
    outputs["latents"] = normalizeLatents(config, moments.mean);
  }
  const executable = await compile(outputs, { weights: golden.file("weights.safetensors").binding() });
  const results = await executable.run(feeds);
  await executable.release();
  return Object.entries(results).map(([name, value]) =>
    checkRelative(`${clip}.${name}`, value, io.get(`${clip}.${name}`), tolerance),
  );
}

const clamped = (array: NdArray): NdArray =>
  f32(
    Float32Array.from(array.data, (value) => Math.min(1, Math.max(-1, value))),
    array.shape,
  );

/** The same in chunks of one latent frame, and of two where the last chunk is then shorter. */
async function streamChecks(golden: GoldenCase, vae: Vae, clip: string): Promise<Check[]> {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  const latents = io.get(`${clip}.latents`);
  const checks: Check[] = [];
  const latentFrames = latents.shape[2]!;
  for (const chunkLatentFrames of latentFrames > 2 ? [1, 2] : [1]) {
    if (chunkLatentFrames >= latentFrames) continue;
    const decoded = await vae.decode(latents, { chunkLatentFrames });
    const wanted = clamped(io.get(`${clip}.decoded`));
    checks.push(
      checkRelative(`${clip}.decoded in chunks of ${chunkLatentFrames}`, decoded, wanted, tolerance),
    );
    if (!io.has(`${clip}.video`)) continue;
    const encoded = await vae.encode(io.get(`${clip}.video`), { chunkLatentFrames });
    checks.push(
      checkRelative(`${clip}.latents in chunks of ${chunkLatentFrames}`, encoded, latents, tolerance),
    );
  }
  return checks;
}

async function tiledChecks(golden: GoldenCase, vae: Vae): Promise<Check[]> {
  const { io } = golden;
  const tolerance = golden.tolerance("relative_to_abs_max");
  const tiling = {
    size: golden.config<[number, number]>("tile_size_latent"),
    stride: golden.config<[number, number]>("tile_stride_latent"),
  };
  const latents = io.get("tiled.latents");
  const encoded = await vae.encode(io.get("tiled.video"), { tiling });
  const decoded = await vae.decode(latents, { tiling });
  const streamed = await vae.decode(latents, { tiling, chunkLatentFrames: 1 });
  return [
    checkRelative("tiled.latents", encoded, latents, tolerance),
    checkRelative("tiled.decoded", decoded, io.get("tiled.decoded"), tolerance),
    checkRelative("tiled.decoded in chunks of 1", streamed, io.get("tiled.decoded"), tolerance),
  ];
}

/** The table of diffusers names. */
async function nameChecks(golden: GoldenCase, config: VaeConfig): Promise<Check[]> {
  const table = await golden.table<Readonly<Record<string, string>>>("key_map.json");
  const map = wanVaeKeyMap({ resBlocks: config.num_res_blocks, levels: config.dim_mult.length });
  return [
    {
      name: "diffusers names",
      maxError: Object.entries(table).filter(([from, to]) => map.map(from) !== to).length,
      tolerance: 0,
    },
  ];
}

/** The Wan autoencoder. */
export const wanVae: CaseHandler = {
  title: "autoencoder, encode and decode",
  recognises: (golden) =>
    golden.hasConfig("diffusers_AutoencoderKLWan", "latents_mean", "tile_size_latent") &&
    golden.files.has("weights.safetensors"),
  run,
};
