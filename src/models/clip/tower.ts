/**
 * The pre-norm transformer that both towers of CLIP are.
 * @module
 */
import { linear, type Params } from "../../nn/index.ts";
import {
  add,
  attention,
  gelu,
  layerNorm,
  quickGelu,
  reshape,
  type Tensor,
  transpose,
} from "../../tensor/index.ts";
import type { Probe } from "../probe.ts";
import type { ClipTowerConfig } from "./config.ts";

/** How a tower is traced. */
export interface ClipOptions {
  /** Receives `vision.pre_layrnorm`, `vision.layer0` …, `vision.projected` and the same of `text`. */
  readonly probe?: Probe | undefined;
}

/** Layer norm with the scope's scale and bias. */
export function norm(params: Params, tower: ClipTowerConfig, x: Tensor): Tensor {
  const shape = [tower.hiddenSize];
  return layerNorm(x, params.get("weight", shape), params.get("bias", shape), tower.epsilon);
}

/**
 * All layers.
 * @param params scope above `encoder`
 * @param x `[B, S, C]`
 * @param mask added to the scores
 */
export function towerLayers(
  params: Params,
  tower: ClipTowerConfig,
  x: Tensor,
  mask: Tensor | undefined,
  onLayer: ((layer: number, value: Tensor) => void) | undefined,
): Tensor {
  let stream = x;
  for (let index = 0; index < tower.layerCount; index++) {
    const layer = params.at("encoder", "layers", index);
    const attended = selfAttention(
      layer.at("self_attn"),
      tower,
      norm(layer.at("layer_norm1"), tower, stream),
      mask,
    );
    stream = add(stream, attended);
    const inner = linear(layer.at("mlp", "fc1"), norm(layer.at("layer_norm2"), tower, stream), {
      out: tower.intermediateSize,
    });
    const active = tower.activation === "gelu" ? gelu(inner) : quickGelu(inner);
    stream = add(stream, linear(layer.at("mlp", "fc2"), active, { out: tower.hiddenSize }));
    onLayer?.(index, stream);
  }
  return stream;
}

function selfAttention(params: Params, tower: ClipTowerConfig, x: Tensor, mask: Tensor | undefined): Tensor {
  const [batch, length, width] = x.shape as [number, number, number];
  const heads = (name: string): Tensor => {
    const flat = linear(params.at(name), x, { out: width });
    const split = reshape(flat, [batch, length, tower.headCount, width / tower.headCount]);
    return transpose(split, [0, 2, 1, 3]);
  };
  const mixed = attention(heads("q_proj"), heads("k_proj"), heads("v_proj"), { mask });
  const flat = reshape(transpose(mixed, [0, 2, 1, 3]), [batch, length, width]);
  return linear(params.at("out_proj"), flat, { out: width });
}
