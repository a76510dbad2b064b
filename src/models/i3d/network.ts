/**
 * The network of I3D. Formulas and names: piergiaj/pytorch-i3d `pytorch_i3d.py`.
 * @module
 */
import { VansError } from "../../base/errors.ts";
import type { Params } from "../../nn/index.ts";
import {
  add,
  concat,
  conv,
  div,
  formatShape,
  mean,
  mul,
  relu,
  reshape,
  sqrt,
  sub,
  type Tensor,
} from "../../tensor/index.ts";
import type { Probe } from "../probe.ts";
import type { I3dConfig, I3dMixedStage, Triple } from "./config.ts";
import { averagePool, maxPool, samePadding } from "./pool.ts";

/** How the network is traced. */
export interface I3dOptions {
  /** Receives the output of every stage under its endpoint's name. */
  readonly probe?: Probe | undefined;
}

/** What {@link i3d} gives. */
export interface I3dOutputs {
  /** Average-pooled features, averaged over time. `[N, C]` */
  readonly pooled: Tensor;
  /** Class logits averaged over time, which the Fréchet video distance of common repositories uses. `[N, classCount]` */
  readonly logits: Tensor;
}

/**
 * Features and logits of clips.
 * @param videos `[N, 3, T, H, W]` in [-1, 1]; released weights expect 224×224 and T ≥ 10
 * @throws `VANS_MODEL_FRAME_SIZE` where nothing is left for the last average
 */
export function i3d(params: Params, config: I3dConfig, videos: Tensor, options: I3dOptions = {}): I3dOutputs {
  let x = videos;
  for (const stage of config.stages) {
    const scope = params.at(stage.name);
    if (stage.kind === "pool") x = maxPool(x, stage.kernel, stage.stride);
    else if (stage.kind === "mixed") x = mixed(scope, config, x, stage);
    else x = unit(scope, config, x, stage);
    options.probe?.(stage.name, x);
  }
  const left = x.shape.slice(2);
  if (left.some((size, i) => size < config.averageKernel[i]!)) {
    throw new VansError("VANS_MODEL_FRAME_SIZE", "the clip is too short or too small for I3D", {
      asked: `at least ${config.averageKernel.join("×")} positions before the average`,
      found: `${left.join("×")} from clips of ${formatShape(videos.shape)}`,
      fix: "give 10 frames or more of 224×224 pixels (i3dPixels)",
    });
  }
  const channels = x.size(1);
  const rest = { axes: [2, 3, 4] };
  const averaged = averagePool(x, config.averageKernel);
  const pooled = mean(averaged, rest);
  const head = params.at("logits", "conv3d");
  const logits = conv(averaged, head.get("weight", [config.classCount, channels, 1, 1, 1]), {
    strides: [1, 1, 1],
    padsBefore: [0, 0, 0],
    padsAfter: [0, 0, 0],
    bias: head.get("bias", [config.classCount]),
  });
  return { pooled, logits: mean(logits, rest) };
}

interface UnitSizes {
  readonly channels: number;
  readonly kernel: Triple;
  readonly stride: Triple;
}

/** Convolution with "SAME" padding, batch norm with the running statistics, ReLU. */
function unit(params: Params, config: I3dConfig, x: Tensor, { channels, kernel, stride }: UnitSizes): Tensor {
  const pads = kernel.map((size, i) => samePadding(x.size(i + 2), size, stride[i]!));
  const weight = params.at("conv3d").get("weight", [channels, x.size(1), ...kernel]);
  const mapped = conv(x, weight, {
    strides: stride,
    padsBefore: pads.map(([before]) => before),
    padsAfter: pads.map(([, after]) => after),
  });
  const norm = params.at("bn");
  const read = (name: string): Tensor => norm.get(name, [channels]);
  const scale = div(read("weight"), sqrt(add(read("running_var"), config.epsilon)));
  const shift = sub(read("bias"), mul(read("running_mean"), scale));
  const column = (value: Tensor): Tensor => reshape(value, [channels, 1, 1, 1]);
  return relu(add(mul(mapped, column(scale)), column(shift)));
}

const ONE: Triple = [1, 1, 1];
const THREE: Triple = [3, 3, 3];

function mixed(params: Params, config: I3dConfig, x: Tensor, { channels }: I3dMixedStage): Tensor {
  const [a, b, c, d, e, f] = channels;
  const branch = (name: string, input: Tensor, count: number, kernel: Triple): Tensor =>
    unit(params.at(name), config, input, { channels: count, kernel, stride: ONE });
  return concat(
    [
      branch("b0", x, a, ONE),
      branch("b1b", branch("b1a", x, b, ONE), c, THREE),
      branch("b2b", branch("b2a", x, d, ONE), e, THREE),
      branch("b3b", maxPool(x, THREE, ONE), f, ONE),
    ],
    1,
  );
}
