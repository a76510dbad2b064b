import { expect, it } from "vitest";
import { isVansError } from "../../base/index.ts";
import { fold, keyFromSeed, normal } from "../../base/keys.ts";
import { f32, type NdArray } from "../../tensor/index.ts";
import { type SampleOptions, sampleLatents, type VelocityRequest } from "./sample.ts";
import { SCHEDULER_NAMES, type SchedulerName } from "./solver.ts";

const shape = [1, 2, 2, 2, 2];
const key = keyFromSeed(7);
const noise = f32(normal(fold(key, "noise"), 16), shape);
const clean = normal(fold(key, "clean"), 16);
const empty = f32([], [1, 2, 0, 2, 2]);
const context = f32([0], [1, 1, 1]);

/** The exact velocity where all data is one point: (x - clean) / σ. */
const pointModel = async ({ noisy, timestep }: VelocityRequest): Promise<NdArray> => {
  const sigma = Math.max(timestep.data[0]! / 1000, 1e-9);
  return f32(
    Float32Array.from(noisy.data, (x, i) => (x - clean[i % 16]!) / sigma),
    noisy.shape,
  );
};

const base: SampleOptions = {
  model: pointModel,
  references: empty,
  context,
  noise,
  steps: 6,
  shift: 5,
  guidanceScale: 1,
};

async function finalOf(options: SampleOptions): Promise<NdArray> {
  let last: NdArray | undefined;
  for await (const step of sampleLatents(options)) last = step.latents;
  return last!;
}

const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

// Whole timesteps are off by up to 1/1000 of σ, which the exact velocity turns into an error of that size.
const bounds: Record<SchedulerName, number> = {
  euler: 1e-5,
  unipc: 0.02,
  "diffusers-unipc": 0.02,
  "diffusers-euler": 1e-4,
};

it.each(SCHEDULER_NAMES)("%s ends at the clean sample where the data is one point", async (scheduler) => {
  const result = await finalOf({ ...base, scheduler });
  expect(distance(result.data, clean)).toBeLessThan(bounds[scheduler]);
});

it("yields every step with a preview of the result", async () => {
  const steps = [];
  for await (const step of sampleLatents(base)) steps.push(step);
  expect(steps.map(({ step, total }) => [step, total])).toEqual([1, 2, 3, 4, 5, 6].map((i) => [i, 6]));
  for (const step of steps) expect(distance(step.preview.data, clean)).toBeLessThan(1e-4);
});

it("guides along the difference of the branches, batched or apart", async () => {
  const calls: number[] = [];
  const model = async ({ noisy, context: text }: VelocityRequest): Promise<NdArray> => {
    calls.push(noisy.shape[0]!);
    const size = noisy.data.length / noisy.shape[0]!;
    return f32(
      Float32Array.from(noisy.data, (_, i) => text.data[Math.floor(i / size)]!),
      noisy.shape,
    );
  };
  const guided = {
    ...base,
    model,
    context: f32([3], [1, 1, 1]),
    negativeContext: f32([1], [1, 1, 1]),
    guidanceScale: 5,
    steps: 1,
    shift: 1,
  };
  const batched = await finalOf(guided);
  const apart = await finalOf({ ...guided, batchBranches: false });
  // x - (1 + 5·(3 - 1))
  expect(
    distance(
      batched.data,
      noise.data.map((x) => x - 11),
    ),
  ).toBeLessThan(1e-5);
  expect([...apart.data]).toEqual([...batched.data]);
  expect(calls).toEqual([2, 1, 1]);
});

it("keeps one context object for all steps", async () => {
  const seen = new Set<NdArray>();
  const model = async (request: VelocityRequest): Promise<NdArray> => {
    seen.add(request.context);
    return pointModel(request);
  };
  await finalOf({ ...base, model, negativeContext: context, guidanceScale: 2 });
  expect(seen.size).toBe(1);
});

it("stops between steps when aborted", async () => {
  const controller = new AbortController();
  const seen: number[] = [];
  const run = async (): Promise<void> => {
    for await (const { step } of sampleLatents({ ...base, signal: controller.signal })) {
      seen.push(step);
      if (step === 2) controller.abort();
    }
  };
  await expect(run()).rejects.toSatisfy((error) => isVansError(error, "VANS_RUN_ABORTED"));
  expect(seen).toEqual([1, 2]);
});

it("refuses a schedule without steps", async () => {
  await expect(finalOf({ ...base, steps: 0 })).rejects.toSatisfy((error) =>
    isVansError(error, "VANS_SAMPLE_GRID"),
  );
});
