/**
 * Building blocks of the Wan2.1 autoencoder (Wan2.1 wan/modules/vae.py) on clips `[B, C, T, H, W]`.
 * Each block takes the frames before its clip from a {@link TimeMemory}, so that one definition serves a whole clip and a
 * stream of chunks.
 * @module
 */
import type { Params } from "../../nn/index.ts";
import {
  add,
  attention,
  channelNorm,
  chunk,
  concat,
  constant,
  conv,
  f32,
  matmul,
  padAll,
  reshape,
  slice,
  swapAxes,
  type Tensor,
  transpose,
} from "../../tensor/index.ts";
import type { VaeLevel } from "./vae-config.ts";
import { frameConv, narrowCausalConv } from "./vae-narrow-conv.ts";
import { normSilu } from "./vae-norm.ts";

/** What a block knows of the frames before the ones it is given. */
export interface TimeMemory {
  /** True where the given frames are the beginning of the clip. */
  readonly isStart: boolean;
  /**
   * The last `count` frames that the block `name` saw before `x`, undefined where there were none; and keeps the
   * last `count` of `x` for the next chunk. `x` may be undefined: a block that gets no frame of the first chunk.
   */
  before(name: string, x: Tensor | undefined, count: number, like: Tensor): Tensor | undefined;
}

/** Convolutions with at most so many filters take the narrow form, which is faster there (measured on x86-64 with AVX-512). */
const NARROW_CHANNELS = 64;

/** A whole clip at once: nothing before it, nothing after. */
export const WHOLE_CLIP: TimeMemory = { isStart: true, before: () => undefined };

/** `[B, C, T, H, W]` as frames `[B·T, C, H, W]`. */
function toFrames(x: Tensor): Tensor {
  const [batch, channels, frames, height, width] = x.shape as [number, number, number, number, number];
  return reshape(transpose(x, [0, 2, 1, 3, 4]), [batch * frames, channels, height, width]);
}

/** Frames `[B·T, C, H, W]` as `[B, C, T, H, W]`. */
function fromFrames(x: Tensor, batch: number): Tensor {
  const [count, channels, height, width] = x.shape as [number, number, number, number];
  return transpose(reshape(x, [batch, count / batch, channels, height, width]), [0, 2, 1, 3, 4]);
}

/**
 * Convolution that is causal in time: `kernel` is (frames, rows, columns); zeros around each frame keep its size, and the
 * `frames - 1` frames before the clip come from the memory or are zeros.
 */
export function causalConv(
  params: Params,
  x: Tensor,
  out: number,
  kernel: readonly [number, number, number],
  memory: TimeMemory,
): Tensor {
  const [batch, channels, frames, height, width] = x.shape as [number, number, number, number, number];
  const [taps, rows, columns] = kernel;
  const weight = params.get("weight", [out, channels, ...kernel]);
  const bias = params.get("bias", [out]);
  const border = [(rows - 1) / 2, (columns - 1) / 2] as const;
  const past = taps > 1 ? memory.before(params.path, x, taps - 1, x) : undefined;
  if (frames === 1 && !past) {
    // One frame with nothing before it meets only the last tap.
    const last = reshape(slice(weight, 2, taps - 1), [out, channels, rows, columns]);
    const frame = reshape(x, [batch, channels, height, width]);
    const y =
      rows === 3
        ? frameConv(frame, last, bias)
        : conv(frame, last, { strides: [1, 1], padsBefore: border, padsAfter: border, bias });
    return reshape(y, [batch, out, 1, height, width]);
  }
  if (taps === 3 && rows > 1 && !past && out <= NARROW_CHANNELS) return narrowCausalConv(x, weight, bias);
  return conv(past ? concat([past, x], 2) : x, weight, {
    strides: [1, 1, 1],
    padsBefore: [past ? 0 : taps - 1, ...border],
    padsAfter: [0, ...border],
    bias,
  });
}

/** SiLU of the norm over channels with its gain. */
export function activate(params: Params, x: Tensor): Tensor {
  return normSilu(x, params.get("gamma", [x.size(1), 1, 1, 1]));
}

/** Twice (norm, SiLU, 3x3x3 convolution), added to the input or, where the channels change, to its 1x1x1 convolution. */
export function residualBlock(params: Params, x: Tensor, out: number, memory: TimeMemory): Tensor {
  const parts = params.at("residual");
  const shortcut = x.size(1) === out ? x : causalConv(params.at("shortcut"), x, out, [1, 1, 1], memory);
  const first = causalConv(parts.at(2), activate(parts.at(0), x), out, [3, 3, 3], memory);
  const second = causalConv(parts.at(6), activate(parts.at(3), first), out, [3, 3, 3], memory);
  return add(shortcut, second);
}

/** Attention with one head over the positions of each frame, added to the input. */
export function attentionBlock(params: Params, x: Tensor): Tensor {
  const [batch, channels, , height, width] = x.shape as [number, number, number, number, number];
  const frames = toFrames(x);
  const pointwise = (scope: Params, value: Tensor, out: number): Tensor =>
    conv(value, scope.get("weight", [out, channels, 1, 1]), {
      strides: [1, 1],
      padsBefore: [0, 0],
      padsAfter: [0, 0],
      bias: scope.get("bias", [out]),
    });
  const normal = channelNorm(frames, params.at("norm").get("gamma", [channels, 1, 1]));
  const [q, k, v] = chunk(pointwise(params.at("to_qkv"), normal, 3 * channels), 1, 3).map((part) =>
    swapAxes(reshape(part, [frames.size(0), 1, channels, height * width]), -1, -2),
  ) as [Tensor, Tensor, Tensor];
  const mixed = attention(q, k, v, { scale: 1 / Math.sqrt(channels) });
  const planes = reshape(swapAxes(mixed, -1, -2), frames.shape);
  return add(fromFrames(pointwise(params.at("proj"), planes, channels), batch), x);
}

/** Residual block, attention, residual block: the middle of encoder and decoder. */
export function middleBlocks(params: Params, x: Tensor, memory: TimeMemory, probe?: StageProbe): Tensor {
  const channels = x.size(1);
  const first = residualBlock(params.at(0), x, channels, memory);
  probe?.("mid.0.ResidualBlock", first);
  const second = attentionBlock(params.at(1), first);
  probe?.("mid.1.AttentionBlock", second);
  const third = residualBlock(params.at(2), second, channels, memory);
  probe?.("mid.2.ResidualBlock", third);
  return third;
}

/** The levels of encoder or decoder: residual blocks, attention where the level has it, then `resample`. */
export function levelBlocks(
  params: Params,
  start: Tensor,
  levels: readonly VaeLevel[],
  blocksPerLevel: number,
  resample: typeof downsample | typeof upsample,
  memory: TimeMemory,
  probe?: StageProbe,
): Tensor {
  let x = start;
  let index = 0;
  const next = (kind: string, block: (scope: Params) => Tensor): void => {
    x = block(params.at(index));
    probe?.(`${index}.${kind}`, x);
    index++;
  };
  for (const level of levels) {
    for (let i = 0; i < blocksPerLevel; i++) {
      next("ResidualBlock", (scope) => residualBlock(scope, x, level.channels, memory));
      if (level.hasAttention) next("AttentionBlock", (scope) => attentionBlock(scope, x));
    }
    const inTime = level.resample === "spacetime";
    if (level.resample) next("Resample", (scope) => resample(scope, x, inTime, memory));
  }
  return x;
}

/** Norm, SiLU, 3x3x3 convolution: the end of encoder and decoder. */
export function head(params: Params, x: Tensor, out: number, memory: TimeMemory): Tensor {
  return causalConv(params.at(2), activate(params.at(0), x), out, [3, 3, 3], memory);
}

/** Sees the output of each stage; tests compare stages with it. */
export type StageProbe = (stage: string, value: Tensor) => void;

/** Halves height and width (3x3, stride 2, a zero row below and a zero column right); with `inTime` the frame rate too. */
export function downsample(params: Params, x: Tensor, inTime: boolean, memory: TimeMemory): Tensor {
  const [batch, channels] = x.shape as [number, number];
  const planes = conv(toFrames(x), params.at("resample", 1).get("weight", [channels, channels, 3, 3]), {
    strides: [2, 2],
    padsBefore: [0, 0],
    padsAfter: [1, 1],
    bias: params.at("resample", 1).get("bias", [channels]),
  });
  const small = fromFrames(planes, batch);
  return inTime ? halveTime(params.at("time_conv"), small, memory) : small;
}

/** Frame 0 as it is, then every second frame mixed with the two before it. */
function halveTime(params: Params, x: Tensor, memory: TimeMemory): Tensor {
  const channels = x.size(1);
  const weight = params.get("weight", [channels, channels, 3, 1, 1]);
  const bias = params.get("bias", [channels]);
  const past = memory.before(params.path, x, 1, x);
  const joined = past ? concat([past, x], 2) : x;
  const first = memory.isStart ? slice(x, 2, 0, 1) : undefined;
  if (joined.size(2) < 3) return first ?? x;
  const mixed = conv(joined, weight, {
    strides: [2, 1, 1],
    padsBefore: [0, 0, 0],
    padsAfter: [0, 0, 0],
    bias,
  });
  return first ? concat([first, mixed], 2) : mixed;
}

/** Doubles height and width (nearest, then 3x3 to half the channels); with `inTime` the frame rate first. */
export function upsample(params: Params, x: Tensor, inTime: boolean, memory: TimeMemory): Tensor {
  const channels = x.size(1);
  const out = Math.floor(channels / 2);
  const clip = inTime ? doubleTime(params.at("time_conv"), x, memory) : x;
  const resample = params.at("resample", 1);
  const weight = resample.get("weight", [out, channels, 3, 3]);
  return upsampledConv(clip, weight, resample.get("bias", [out]));
}

/** Which taps of three meet which of the neighbours (before, same, after) of the pixel that an even or odd output falls on. */
const TAPS_OF_PHASE = [
  [[0], [1, 2], []],
  [[], [0, 1], [2]],
] as const;

/** Sums a 3x3 kernel's taps into the four 3x3 kernels that an upsampled plane's even and odd rows and columns see: `[9, 36]`. */
function phaseMatrix(): Tensor {
  const matrix = new Float32Array(9 * 36);
  TAPS_OF_PHASE.forEach((rowsOfPhase, a) => {
    TAPS_OF_PHASE.forEach((columnsOfPhase, b) => {
      rowsOfPhase.forEach((rows, i) => {
        columnsOfPhase.forEach((columns, j) => {
          for (const row of rows)
            for (const column of columns) matrix[(row * 3 + column) * 36 + (a * 2 + b) * 9 + i * 3 + j] = 1;
        });
      });
    });
  });
  return constant(f32(matrix, [9, 36]));
}

/**
 * 3x3 convolution of the nearest-upsampled frames, computed on the small frames: equal neighbours meet summed taps, so
 * each of the four output phases is a 3x3 convolution of its own. Twice as fast, and the large input never exists.
 */
function upsampledConv(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const [batch, channels, frames, height, width] = x.shape as [number, number, number, number, number];
  const out = weight.size(0);
  const phases = reshape(matmul(reshape(weight, [out * channels, 9]), phaseMatrix()), [out, channels, 4, 9]);
  const filters = reshape(transpose(phases, [2, 0, 1, 3]), [4 * out, channels, 1, 3, 3]);
  const all = frameConv(x, filters, concat([bias, bias, bias, bias], 0));
  const split = reshape(all, [batch, 2, 2, out, frames, height, width]);
  const woven = transpose(split, [0, 3, 4, 5, 1, 6, 2]);
  return reshape(woven, [batch, out, frames, 2 * height, 2 * width]);
}

/** Frame 0 as it is and seen by nobody; each later frame becomes two, mixed with the two later frames before it. */
function doubleTime(params: Params, x: Tensor, memory: TimeMemory): Tensor {
  const [batch, channels, frames, height, width] = x.shape as [number, number, number, number, number];
  const weight = params.get("weight", [2 * channels, channels, 3, 1, 1]);
  const bias = params.get("bias", [2 * channels]);
  const first = memory.isStart ? slice(x, 2, 0, 1) : undefined;
  const rest = first ? (frames > 1 ? slice(x, 2, 1) : undefined) : x;
  const past = memory.before(params.path, rest, 2, x);
  if (!rest) return x;
  const mixed = conv(past ? concat([past, rest], 2) : rest, weight, {
    strides: [1, 1, 1],
    padsBefore: [past ? 0 : 2, 0, 0],
    padsAfter: [0, 0, 0],
    bias,
  });
  // The first half of the channels is the earlier of the two frames.
  const halves = reshape(mixed, [batch, 2, channels, rest.size(2), height, width]);
  const doubled = reshape(transpose(halves, [0, 2, 3, 1, 4, 5]), [
    batch,
    channels,
    2 * rest.size(2),
    height,
    width,
  ]);
  return first ? concat([first, doubled], 2) : doubled;
}

/** The last `count` frames of x, with zeros in front where there are fewer. */
export function lastFrames(x: Tensor, count: number): Tensor {
  const frames = x.size(2);
  if (frames >= count) return slice(x, 2, frames - count);
  return padAll(x, [0, 0, count - frames, 0, 0], [0, 0, 0, 0, 0]);
}
