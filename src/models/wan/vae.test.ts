import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isVansError, keyFromSeed, normal, uniform } from "../../base/index.ts";
import { Params } from "../../nn/index.ts";
import { liveSessions } from "../../runtime/index.ts";
import { f32, input, type NdArray, sizeOf } from "../../tensor/index.ts";
import {
  decodeLatents,
  encodeMoments,
  frameCount,
  initVae,
  latentFrameCount,
  Vae,
  type VaeConfig,
  vaeConfigFromWeights,
  vaeParameterShapes,
  WAN21_VAE,
} from "./index.ts";

/** Three levels, one of them with attention, time halved once: all kinds of blocks, little to compute. */
const SMALL: VaeConfig = {
  base_dim: 4,
  z_dim: 3,
  dim_mult: [1, 2, 2],
  num_res_blocks: 1,
  attn_scales: [0.5],
  temperal_downsample: [false, true],
  latents_mean: [0.1, -0.2, 0.3],
  latents_std: [1.5, 0.7, 2],
};

/** Weights without zeros and ones, so that every part counts. */
function randomWeights(config: VaeConfig): Record<string, NdArray> {
  return Object.fromEntries(
    Object.entries(initVae(config, keyFromSeed(3))).map(([name, { shape, data }], i): [string, NdArray] => {
      const noise = normal(keyFromSeed(100 + i), sizeOf(shape));
      return [
        name,
        f32(
          Float32Array.from(data, (value, j) => value + 0.1 * noise[j]!),
          shape,
        ),
      ];
    }),
  );
}

const clipOf = (shape: number[], seed = 1): NdArray =>
  f32(
    uniform(keyFromSeed(seed), sizeOf(shape)).map((u) => 2 * u - 1),
    shape,
  );

const worst = (a: NdArray, b: NdArray): number => {
  expect(a.shape).toEqual(b.shape);
  return Math.max(...Array.from(a.data, (value, i) => Math.abs(value - b.data[i]!)));
};

const weights = randomWeights(SMALL);
const smallVae = (): Vae => new Vae(SMALL, { weight: (name) => weights[name] });

describe("configuration", () => {
  it("has the published number of parameters", () => {
    const shapes = vaeParameterShapes(WAN21_VAE);
    expect(shapes.size).toBe(194);
    expect([...shapes.values()].reduce((total, shape) => total + sizeOf(shape), 0)).toBe(126_892_531);
  });

  it("is read off the weights", () => {
    for (const config of [WAN21_VAE, SMALL])
      expect(vaeConfigFromWeights(vaeParameterShapes(config), config)).toEqual(config);
    expect(() => vaeConfigFromWeights(new Map([["dit.weight", [1]]]))).toThrow(/Wan2.1_VAE/);
  });

  it("has the same parameters for one frame as for many", () => {
    const params = new Params();
    const { mean } = encodeMoments(params, SMALL, input("video", [1, 3, 5, 8, 8]));
    decodeLatents(params, SMALL, mean);
    expect(new Map([...params.tensors].map(([name, tensor]) => [name, tensor.shape]))).toEqual(
      vaeParameterShapes(SMALL),
    );
  });

  it("counts frames, and names the nearest counts for the others", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), (latentFrames) => {
        expect(latentFrameCount(WAN21_VAE, frameCount(WAN21_VAE, latentFrames))).toBe(latentFrames);
      }),
    );
    try {
      latentFrameCount(WAN21_VAE, 16);
      expect.unreachable();
    } catch (error) {
      expect(isVansError(error, "VANS_VAE_FRAME_COUNT")).toBe(true);
      expect((error as Error).message).toContain("use 13 or 17 frames");
    }
    expect(() => latentFrameCount(WAN21_VAE, 0)).toThrow(/use 1 or 5 frames/);
  });

  it("refuses sizes that are not whole latents", () => {
    expect(() => encodeMoments(new Params(), WAN21_VAE, input("video", [1, 3, 1, 350, 640]))).toThrow(
      /resize or crop to 640x352/,
    );
  });
});

describe("streams", () => {
  it("give what the whole clip gives, for every size of chunk", async () => {
    await using vae = smallVae();
    const video = clipOf([2, 3, 9, 4, 8]);
    const whole = await vae.encode(video, { chunkLatentFrames: 5 });
    const decoded = await vae.decode(whole, { chunkLatentFrames: 5 });
    expect(decoded.shape).toEqual(video.shape);
    for (const chunkLatentFrames of [1, 2]) {
      expect(worst(await vae.encode(video, { chunkLatentFrames }), whole)).toBeLessThan(2e-5);
      expect(worst(await vae.decode(whole, { chunkLatentFrames }), decoded)).toBeLessThan(2e-5);
    }
  });

  it("give frames as they are done, also two at once, and stop when asked", async () => {
    await using vae = smallVae();
    const [a, b] = [clipOf([1, 3, 4, 2, 2], 5), clipOf([1, 3, 4, 2, 2], 6)];
    const [wholeA, wholeB] = [await vae.decode(a), await vae.decode(b)];
    const streams = [vae.decodeStream(a), vae.decodeStream(b)];
    const frames: NdArray[][] = [[], []];
    for (let i = 0; i < 4; i++) {
      for (const [n, stream] of streams.entries()) {
        const { value } = await stream.next();
        expect((value as NdArray).shape[2]).toBe(i === 0 ? 1 : 2);
        frames[n]!.push(value as NdArray);
      }
    }
    const frame = (clip: NdArray, at: number): number[] => {
      const area = 8 * 8;
      return [...clip.data.slice(at * area, (at + 1) * area)];
    };
    // Red plane of the last frame.
    expect(frame(frames[0]![3]!, 1)).toEqual(frame(wholeA, 6).map((v) => expect.closeTo(v, 4)));
    expect(frame(frames[1]![3]!, 1)).toEqual(frame(wholeB, 6).map((v) => expect.closeTo(v, 4)));

    const abort = new AbortController();
    const stopped = vae.decodeStream(a, { signal: abort.signal });
    await stopped.next();
    abort.abort();
    await expect(stopped.next()).rejects.toThrow(/cancelled/);
  });

  it("give their sessions back", async () => {
    const before = liveSessions();
    const vae = smallVae();
    await vae.encode(clipOf([1, 3, 5, 8, 8]), { chunkLatentFrames: 1 });
    await vae.encode(clipOf([1, 3, 5, 8, 8]));
    expect(liveSessions()).toBeGreaterThan(before);
    await vae.release();
    expect(liveSessions()).toBe(before);
  });

  it("refuse clips of other axes and chunks of nothing", async () => {
    await using vae = smallVae();
    await expect(vae.encode(clipOf([3, 5, 8, 8]))).rejects.toThrow(/five axes/);
    await expect(vae.decode(clipOf([1, 3, 2, 2, 2]), { chunkLatentFrames: 0 })).rejects.toThrow(
      /at least one/,
    );
  });
});

it("sees no later frame: the first latents do not depend on what follows", async () => {
  await using vae = smallVae();
  const video = clipOf([1, 3, 9, 8, 8]);
  const changed = f32(Float32Array.from(video.data), video.shape);
  for (let plane = 0; plane < 3; plane++) changed.data.fill(0.5, (plane * 9 + 5) * 64, (plane + 1) * 9 * 64);
  const [a, b] = [await vae.encode(video), await vae.encode(changed)];
  const first = (latents: NdArray): number[] =>
    [0, 1, 2].flatMap((channel) => [...latents.data.slice(channel * 5 * 4, (channel * 5 + 3) * 4)]);
  expect(first(b)).toEqual(first(a));
  expect(b.data).not.toEqual(a.data);
});
