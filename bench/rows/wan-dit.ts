/**
 * The video transformer row: a Wan DiT of the embedded suite's sizes, 6 reference and 5 noisy latent frames
 * (176 tokens), batch 8, 24 text tokens, AdamW.
 * @module
 */
import { ditConfig, ditWithReferences } from "../../src/models/wan/index.ts";
import { Params } from "../../src/nn/index.ts";
import { input, mul, sub, weightedMean } from "../../src/tensor/index.ts";
import { type BenchRow, normalFeed, uniformFeed } from "./row.ts";

const JSON_CONFIG = {
  model_type: "t2v",
  patch_size: [1, 2, 2],
  in_dim: 16,
  out_dim: 16,
  dim: 160,
  ffn_dim: 640,
  freq_dim: 256,
  text_dim: 96,
  text_len: 24,
  num_heads: 5,
  num_layers: 6,
  eps: 1e-6,
} as const;

const BATCH = 8;
const REFERENCES = 6;
const FRAMES = 5;
const SIDE = 8;

/** Squared error of the velocity, weighted by position as the playroom's recipe weighs what moves. */
export const WAN_DIT_ROW: BenchRow = {
  name: "dit",
  title: "Wan DiT step, 6 x 160, 8 x 176 tokens, 24 text tokens, AdamW",
  bar: 1,
  clipNorm: 1,
  settings: { ...JSON_CONFIG, references: REFERENCES },
  trace: () => {
    const params = new Params();
    const config = ditConfig(JSON_CONFIG);
    const frame = [JSON_CONFIG.in_dim, FRAMES, SIDE, SIDE] as const;
    const shapes = {
      references: [BATCH, JSON_CONFIG.in_dim, REFERENCES, SIDE, SIDE],
      noisy: [BATCH, ...frame],
      timestep: [BATCH],
      context: [BATCH, JSON_CONFIG.text_len, JSON_CONFIG.text_dim],
      velocity: [BATCH, ...frame],
      weights: [BATCH, 1, FRAMES, SIDE, SIDE],
    } as const;
    const predicted = ditWithReferences(params, config, {
      references: input("references", shapes.references),
      noisy: input("noisy", shapes.noisy),
      timestep: input("timestep", shapes.timestep),
      context: input("context", shapes.context),
    });
    const error = sub(predicted, input("velocity", shapes.velocity));
    return {
      loss: weightedMean(mul(error, error), input("weights", shapes.weights)),
      params: params.tensors,
      feeds: {
        references: normalFeed("references", shapes.references),
        noisy: normalFeed("noisy", shapes.noisy),
        timestep: uniformFeed("timestep", shapes.timestep, 0, 1000),
        context: normalFeed("context", shapes.context),
        velocity: normalFeed("velocity", shapes.velocity),
        weights: uniformFeed("weights", shapes.weights, 1, 7),
      },
    };
  },
};
