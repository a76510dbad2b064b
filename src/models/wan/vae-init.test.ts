import { describe, expect, it } from "vitest";
import { keyFromSeed, uniform } from "../../base/index.ts";
import { f32, type NdArray, sizeOf } from "../../tensor/index.ts";
import { inflateVae, initVae, Vae, type VaeConfig, vaeParameterShapes, WAN21_VAE } from "./index.ts";

const CONFIG: VaeConfig = { ...WAN21_VAE, base_dim: 4, num_res_blocks: 1 };
const weights = initVae(CONFIG, keyFromSeed(1));

/** A still clip of one random picture. */
function stillClip(frames: number): NdArray {
  const picture = uniform(keyFromSeed(7), 3 * 256);
  const shape = [1, 3, frames, 16, 16];
  const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => {
    const plane = Math.floor(i / (frames * 256));
    return 2 * picture[plane * 256 + (i % 256)]! - 1;
  });
  return f32(data, shape);
}

/** How far the latents of a still clip are from those of its picture, relative to their size. */
async function drift(given: Readonly<Record<string, NdArray>>): Promise<number> {
  await using vae = new Vae(CONFIG, { weight: (name) => given[name] });
  const image = await vae.encode(stillClip(1));
  const clip = await vae.encode(stillClip(9));
  let [error, size] = [0, 0];
  for (let channel = 0; channel < 16; channel++) {
    const mean = CONFIG.latents_mean[channel]! / CONFIG.latents_std[channel]!;
    for (let i = 0; i < 4; i++) {
      const still = image.data[channel * 4 + i]!;
      size += (still + mean) ** 2;
      error += (clip.data[(channel * 3 + 2) * 4 + i]! - still) ** 2;
    }
  }
  return Math.sqrt(error / size);
}

describe("initial weights", () => {
  it("are all parameters, repeatable, different for another key", () => {
    const shapes = vaeParameterShapes(CONFIG);
    expect(Object.keys(weights)).toEqual([...shapes.keys()]);
    for (const [name, shape] of shapes) expect(weights[name]!.shape).toEqual(shape);
    const name = "decoder.upsamples.0.residual.2.weight";
    expect(initVae(CONFIG, keyFromSeed(1))[name]).toEqual(weights[name]);
    expect(initVae(CONFIG, keyFromSeed(2))[name]).not.toEqual(weights[name]);
  });

  it("begin with gains of one, silent attention and a small variance", () => {
    expect(new Set(weights["encoder.head.0.gamma"]!.data)).toEqual(new Set([1]));
    expect(new Set(weights["encoder.middle.1.proj.weight"]!.data)).toEqual(new Set([0]));
    expect([...weights["conv1.bias"]!.data.slice(16)]).toEqual(new Array(16).fill(-4));
  });

  it("treat a still clip nearly as its picture", async () => {
    expect(await drift(weights)).toBeLessThan(0.35);
  });
});

describe("inflation", () => {
  it("makes an image-trained model treat a still clip nearly as its picture", async () => {
    // Untrained time taps as large as the trained ones: torch's initialisation.
    const trained = Object.fromEntries(
      Object.entries(weights).map(([name, { shape, data }], i): [string, NdArray] => {
        const isTimed = shape.length === 5 && shape[2] === 3;
        const noise = uniform(keyFromSeed(50 + i), data.length);
        return [
          name,
          f32(
            Float32Array.from(data, (v, j) => (isTimed ? v + 0.2 * (noise[j]! - 0.5) : v)),
            shape,
          ),
        ];
      }),
    );
    const copy = structuredClone(trained);
    const inflated = inflateVae(trained, keyFromSeed(3));
    expect(trained).toEqual(copy);
    const [before, after] = [await drift(trained), await drift(inflated)];
    expect(after).toBeLessThan(0.4);
    expect(after).toBeLessThan(before / 2);
    // What images trained stays as it is.
    const last = (array: NdArray): number[] => [...array.data].filter((_, i) => Math.floor(i / 9) % 3 === 2);
    const name = "encoder.downsamples.0.residual.2.weight";
    expect(last(inflated[name]!)).toEqual(last(trained[name]!));
  });

  it("changes freshly initialised weights hardly", () => {
    const inflated = inflateVae(weights, keyFromSeed(1));
    for (const [name, { data }] of Object.entries(weights)) {
      let worst = 0;
      data.forEach((value, i) => {
        worst = Math.max(worst, Math.abs(value - inflated[name]!.data[i]!));
      });
      expect(worst).toBeLessThan(0.002);
    }
  });
});
