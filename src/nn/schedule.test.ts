import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type LearningRateSchedule, learningRate, movingAverageDecay } from "./schedule.ts";

describe("learningRate", () => {
  it("rises to the base, falls to the final share, and never leaves the range", () => {
    const schedules = fc.record({
      kind: fc.constantFrom("constant" as const, "linear" as const, "cosine" as const),
      base: fc.double({ min: 1e-6, max: 1, noNaN: true }),
      warmupSteps: fc.integer({ min: 0, max: 20 }),
      totalSteps: fc.integer({ min: 21, max: 100 }),
      finalFraction: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(
        schedules,
        (schedule: LearningRateSchedule & { totalSteps: number; warmupSteps: number }) => {
          const rates = Array.from({ length: schedule.totalSteps + 5 }, (_, step) =>
            learningRate(schedule, step),
          );
          for (const rate of rates) {
            expect(rate).toBeGreaterThanOrEqual(0);
            expect(rate).toBeLessThanOrEqual(schedule.base * (1 + 1e-12));
          }
          expect(rates[schedule.warmupSteps]).toBeCloseTo(schedule.base, 12);
          const last = schedule.kind === "constant" ? schedule.base : schedule.base * schedule.finalFraction!;
          expect(rates[schedule.totalSteps]).toBeCloseTo(last, 12);
        },
      ),
    );
  });
  it("needs an end to fall to", () => {
    expect(() => learningRate({ kind: "cosine", base: 1 }, 3)).toThrow(RangeError);
  });
});

describe("movingAverageDecay", () => {
  it("starts low, ends at the decay, and rests between intervals", () => {
    expect(movingAverageDecay({ decay: 0.9 }, 0)).toBeCloseTo(0.1);
    expect(movingAverageDecay({ decay: 0.9 }, 10_000)).toBe(0.9);
    const rule = { decay: 0.9, interval: 4 };
    expect([0, 1, 2, 3, 4].map((step) => movingAverageDecay(rule, step) < 1)).toEqual([
      false,
      false,
      false,
      true,
      false,
    ]);
  });
});
