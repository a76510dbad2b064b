import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { relativeError } from "../../../test/conformance/case.ts";
import { keyFromSeed } from "../../base/keys.ts";
import { Params } from "../../nn/index.ts";
import { interpret } from "../../runtime/index.ts";
import { f32, input } from "../../tensor/index.ts";
import {
  I3D_RGB_400,
  type I3dConfig,
  I3dRunner,
  i3d,
  i3dParameters,
  i3dPixels,
  initI3d,
  mixedStage,
  poolStage,
  type Triple,
  unitStage,
} from "./index.ts";
import { averagePool, maxPool, samePadding } from "./pool.ts";

/** The maximum of every padded window, written out. */
function bruteMax(data: ArrayLike<number>, shape: Triple, kernel: Triple, stride: Triple): number[] {
  const pads = shape.map((size, i) => samePadding(size, kernel[i]!, stride[i]!));
  const outs = shape.map((size, i) => Math.ceil(size / stride[i]!));
  const out: number[] = [];
  const at = (t: number, y: number, x: number): number => {
    const inside = [t, y, x].every((place, i) => place >= 0 && place < shape[i]!);
    return inside ? data[(t * shape[1] + y) * shape[2] + x]! : 0;
  };
  for (let t = 0; t < outs[0]!; t++)
    for (let y = 0; y < outs[1]!; y++)
      for (let x = 0; x < outs[2]!; x++) {
        let best = 0;
        for (let i = 0; i < kernel[0]; i++)
          for (let j = 0; j < kernel[1]; j++)
            for (let k = 0; k < kernel[2]; k++)
              best = Math.max(
                best,
                at(
                  t * stride[0] + i - pads[0]![0],
                  y * stride[1] + j - pads[1]![0],
                  x * stride[2] + k - pads[2]![0],
                ),
              );
        out.push(best);
      }
  return out;
}

const triple = (low: number, high: number) =>
  fc.tuple(
    fc.integer({ min: low, max: high }),
    fc.integer({ min: low, max: high }),
    fc.integer({ min: low, max: high }),
  );

describe("pooling", () => {
  it("takes the maximum of every window, padded as TensorFlow does", () => {
    fc.assert(
      fc.property(triple(1, 6), triple(1, 3), triple(1, 2), (shape, kernel, stride) => {
        const size = shape[0] * shape[1] * shape[2];
        const data = Float32Array.from({ length: size }, (_, i) => Math.abs(Math.sin(3 * i + 1)));
        const y = maxPool(input("x", [1, 1, ...shape]), kernel, stride);
        expect(y.shape.slice(2)).toEqual(shape.map((n, i) => Math.ceil(n / stride[i]!)));
        const out = interpret({ y }, { x: f32(data, [1, 1, ...shape]) })["y"]!;
        expect([...out.data]).toEqual(bruteMax(data, shape, kernel, stride));
      }),
      { numRuns: 60 },
    );
  });

  it("averages every window that fits", () => {
    const y = averagePool(input("x", [1, 1, 3, 2, 2]), [2, 2, 2]);
    const x = f32(
      Float32Array.from({ length: 12 }, (_, i) => i),
      [1, 1, 3, 2, 2],
    );
    expect([...interpret({ y }, { x })["y"]!.data]).toEqual([3.5, 7.5]);
  });
});

const tiny: I3dConfig = {
  stages: [
    unitStage("Conv3d_1a_7x7", 3, 3, 2),
    poolStage("MaxPool3d_2a_3x3", [1, 3, 3], [1, 2, 2]),
    mixedStage("Mixed_3b", [2, 2, 3, 1, 2, 1]),
  ],
  averageKernel: [2, 2, 2],
  classCount: 5,
  epsilon: 1e-3,
};

describe("I3D", () => {
  it("has the released network's parameters", () => {
    const sizes = [...i3dParameters(I3D_RGB_400)].map(([name, shape]) => ({
      name,
      size: shape.reduce((a, b) => a * b, 1),
    }));
    const total = sizes.reduce((sum, { size }) => sum + size, 0);
    const learnable = sizes
      .filter(({ name }) => !name.includes("running_"))
      .reduce((s, { size }) => s + size, 0);
    expect([total, learnable]).toEqual([12_711_824, 12_697_264]);
  });

  it("agrees with the interpreter on an odd clip", async () => {
    const params = new Params();
    const shape = [1, 3, 5, 9, 11];
    const outputs = i3d(params, tiny, input("videos", shape));
    // Small enough networks do not have the released ones' shapes, so values are made here.
    const weights = Object.fromEntries(
      [...params.tensors].map(([name, tensor], n) => [
        name,
        f32(
          Float32Array.from({ length: tensor.shape.reduce((a, b) => a * b, 1) }, (_, i) =>
            name.endsWith("running_var") ? 1 + Math.abs(Math.sin(i)) : 0.5 * Math.sin(i * 1.3 + n),
          ),
          tensor.shape,
        ),
      ]),
    );
    const videos = f32(
      Float32Array.from({ length: 3 * 5 * 9 * 11 }, (_, i) => Math.sin(0.7 * i)),
      shape,
    );
    const exact = interpret({ ...outputs }, { ...weights, videos });
    const runner = new I3dRunner(tiny, { weights: { weight: (name) => weights[name] } });
    const { pooled, logits } = await runner.run(videos);
    await runner.release();
    expect(relativeError(pooled.data, exact["pooled"]!.data)).toBeLessThan(1e-5);
    expect(relativeError(logits.data, exact["logits"]!.data)).toBeLessThan(1e-5);
  });

  it("refuses clips that leave nothing to average", () => {
    expect(() => i3d(new Params(), tiny, input("videos", [1, 3, 2, 16, 16]))).toThrow(
      /1×4×4[\s\S]*10 frames/,
    );
  });

  it("starts with neutral norms", () => {
    const small = { ...tiny, averageKernel: [2, 7, 7] as const };
    const values = initI3d(small, keyFromSeed(1));
    expect(values["Conv3d_1a_7x7.bn.running_var"]!.data[0]).toBe(1);
    expect(values["logits.conv3d.bias"]!.data.length).toBe(5);
  });
});

describe("pixels of I3D", () => {
  const rgb = Uint8Array.from({ length: 2 * 4 * 8 * 3 }, (_, i) => (i % 24 < 12 ? 0 : 255));
  const clip = { frameCount: 2, height: 4, width: 8, frameRateHz: 8, rgb };

  it("stretch the picture or cut its centre, and lie within [-1, 1]", () => {
    const stretched = i3dPixels(clip, { fit: "stretch", size: 4 });
    expect(stretched.shape).toEqual([1, 3, 2, 4, 4]);
    expect([...stretched.data.slice(0, 4)]).toEqual([-1, -1, 1, 1]);
    const cut = i3dPixels(clip, { fit: "crop", size: 4 });
    expect([...cut.data.slice(0, 4)]).toEqual([-1, -1, 1, 1]);
    const wide = i3dPixels(clip, { fit: "crop", size: 2 });
    expect(wide.data.every((value) => value >= -1 && value <= 1)).toBe(true);
  });
});
