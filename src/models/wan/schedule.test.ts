import fc from "fast-check";
import { expect, it } from "vitest";
import { flowMatchGrid, trainingGrid, trainingWeight } from "./schedule.ts";
import { createSolver, SCHEDULER_NAMES } from "./solver.ts";

it("every grid falls from near 1 to 0", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...SCHEDULER_NAMES),
      fc.integer({ min: 1, max: 60 }),
      fc.double({ min: 1, max: 16, noNaN: true }),
      (scheduler, steps, shift) => {
        const { sigmas, timesteps } = createSolver(scheduler, { steps, shift }).grid;
        expect(sigmas.length).toBe(steps + 1);
        expect(timesteps.length).toBe(steps);
        expect(sigmas[0]).toBeGreaterThan(0.998);
        expect(sigmas[steps]).toBe(0);
        for (let i = 0; i < steps; i++) {
          expect(sigmas[i]!).toBeGreaterThan(sigmas[i + 1]!);
          expect(Math.abs(timesteps[i]! - 1000 * sigmas[i]!)).toBeLessThanOrEqual(1);
        }
      },
    ),
    { numRuns: 60 },
  );
});

it("has the published values at 5 steps", () => {
  const { sigmas } = flowMatchGrid({ steps: 5, shift: 5 });
  const published = [1, 0.952381, 0.882353, 0.769231, 0.555556, 0];
  published.forEach((value, i) => {
    expect(sigmas[i]).toBeCloseTo(value, 6);
  });
});

it("weighs training levels with mean 1, a peak near 500 and nothing at 1000", () => {
  const grid = trainingGrid({ shift: 5 });
  const mean = grid.weights.reduce((sum, weight) => sum + weight, 0) / grid.weights.length;
  expect(mean).toBeCloseTo(1, 6);
  // Published by the derivation in the reference: 2.076 near 500, 0.139 at 978, 1.025 at 833, 0 at 1000.
  expect(trainingWeight(grid, 500)).toBeCloseTo(2.076, 2);
  expect(trainingWeight(grid, 978)).toBeCloseTo(0.139, 2);
  expect(trainingWeight(grid, 833)).toBeCloseTo(1.025, 2);
  expect(trainingWeight(grid, 1000)).toBe(0);
});
