/** Claims and the differences that they are judged by, on rows made by hand. @module */
import { describe, expect, it } from "vitest";
import type { SummarisedRow } from "../evaluate/statistics.ts";
import { judgeClaim } from "./claims.ts";
import type { Claim } from "./experiment-file.ts";
import { type EvaluatedRow, RowResults } from "./row-results.ts";

const claim = (changes: Partial<Claim> = {}): Claim => ({
  text: "",
  from: "paper",
  metric: "rougeL",
  group: "all",
  row: "a",
  than: "b",
  expect: "better",
  margin: 0,
  marginOf: "absolute",
  by: "interval",
  ...changes,
});

/** A run whose samples have given values; seeds from 900,000 on. */
function rowOf(
  name: string,
  runs: readonly (readonly number[])[],
  metric = "rougeL",
  part = "caption",
): EvaluatedRow {
  return {
    name,
    system: "suite",
    runs: runs.map((values, i) => ({
      id: `${name}-${i}`,
      seed: i,
      fvd: null,
      rows: values.map(
        (value, n): SummarisedRow => ({
          seed: 900_000 + n,
          id: String(n),
          kind: n % 2 === 0 ? "procedural" : "predictive",
          family: "f",
          part: part as SummarisedRow["part"],
          values: { [metric]: value },
          texts: {},
          secs: {},
        }),
      ),
    })),
  };
}

const results = new RowResults();
const wave = (n: number, size: number): number[] =>
  Array.from({ length: n }, (_, i) => 0.5 + size * Math.sin(i));
const judged = (a: readonly number[][], b: readonly number[][], changes: Partial<Claim> = {}) => {
  const differing = new RowResults();
  const asked = claim(changes);
  return judgeClaim(
    asked,
    differing.difference(rowOf("a", a, asked.metric), rowOf("b", b, asked.metric), asked.metric, asked.group),
  );
};

describe("differences", () => {
  it("pair samples: what both share cancels", () => {
    const hard = wave(60, 0.4);
    const first = rowOf("p", [hard.map((value) => value + 0.01)]);
    const second = rowOf("q", [hard]);
    const found = results.difference(first, second, "rougeL", "all")!;
    expect(found).toMatchObject({ n: 60, excludesZero: true });
    expect(found.value).toBeCloseTo(0.01, 10);
    expect(found.low).toBeCloseTo(0.01, 10);
    // Each by itself is far less certain.
    const alone = results.estimate(first, "rougeL", "all")!;
    expect(alone.high - alone.low).toBeGreaterThan(0.1);
  });

  it("use the samples that both have, and average training seeds in every round", () => {
    const first = rowOf("two", [wave(40, 0.1), wave(40, 0.1).map((value) => value + 0.2)]);
    const second = rowOf("few", [wave(20, 0.1)]);
    const found = results.difference(first, second, "rougeL", "all")!;
    expect(found.n).toBe(20);
    expect(found.value).toBeCloseTo(0.1, 10);
    expect(found.bySeed[0]).toBeCloseTo(0, 10);
    expect(found.bySeed[1]).toBeCloseTo(0.2, 10);
    expect(results.difference(first, second, "rougeL", "predictive")!.n).toBe(10);
    expect(results.difference(first, rowOf("none", [[]]), "rougeL", "all")).toBeUndefined();
    expect(results.estimate(first, "clipV", "all")).toBeUndefined();
  });

  it("tell shares of the other's value and of what it lacks", () => {
    const found = results.difference(
      rowOf("s", [wave(30, 0).map(() => 0.8)]),
      rowOf("t", [wave(30, 0)]),
      "rougeL",
      "all",
    )!;
    expect(found.relative!.value).toBeCloseTo(0.6, 10);
    expect(found.missing!.value).toBeCloseTo(0.6, 10);
  });
});

describe("verdicts", () => {
  const low = wave(80, 0.1);
  const high = low.map((value, i) => value + 0.05 + 0.01 * Math.cos(i));
  const noisy = low.map((value, i) => value + 0.3 * Math.sin(7 * i));

  it("held, not held, undecided by the interval", () => {
    expect(judged([high], [low]).verdict).toBe("held");
    expect(judged([low], [high]).verdict).toBe("not held");
    expect(judged([noisy], [low]).verdict).toBe("undecided");
    expect(judged([low], [low]).verdict).toBe("not held");
    expect(judged([high], [low], { margin: 0.1 }).verdict).toBe("not held");
    expect(judged([high], [low], { margin: 0.05 }).verdict).toBe("undecided");
    expect(judged([low], [high], { expect: "worse" }).verdict).toBe("held");
  });

  it("lower is better for some metrics, and levels need a plain direction", () => {
    expect(judged([low], [high], { metric: "motionEnergy", expect: "lower" }).verdict).toBe("not run");
    const energy = (values: number[]) => rowOf(`e${values[3]}`, [values], "motionEnergy", "video");
    const found = new RowResults().difference(energy(low), energy(high), "motionEnergy", "all");
    expect(judgeClaim(claim({ metric: "motionEnergy", expect: "lower" }), found).verdict).toBe("held");
    expect(() => judgeClaim(claim({ metric: "motionEnergy", expect: "better" }), found)).toThrow(RangeError);
    expect(judgeClaim(claim({ metric: "fvd", expect: "better" }), found).verdict).toBe("held");
  });

  it("the same: exactly, or within a margin", () => {
    expect(judged([low], [low], { expect: "same" }).verdict).toBe("held");
    expect(judged([high], [low], { expect: "same" }).verdict).toBe("not held");
    expect(judged([high], [low], { expect: "same", margin: 0.1 }).verdict).toBe("held");
    expect(judged([noisy], [low], { expect: "same", margin: 0.02 }).verdict).toBe("undecided");
  });

  it("by the value: the margin is for the value, 0 for the interval", () => {
    const bar = { by: "value", marginOf: "relative" } as const;
    expect(judged([high], [low], { ...bar, margin: 0.05 }).verdict).toBe("held");
    expect(judged([high], [low], { ...bar, margin: 0.25 }).verdict).toBe("not held");
    const wide = low.map((value, i) => value + 0.01 + 0.5 * Math.sin(3 * i));
    expect(judged([wide], [low], { ...bar, margin: 0.001 }).verdict).toBe("undecided");
  });

  it("training seeds that disagree leave a direction undecided", () => {
    const much = low.map((value) => value + 0.2);
    const less = low.map((value) => value - 0.01);
    expect(judged([much, less], [low])).toMatchObject({
      verdict: "undecided",
      why: expect.stringContaining("1 of 2"),
    });
    expect(judged([much, high], [low]).verdict).toBe("held");
  });

  it("rows that were not run decide nothing", () => {
    expect(judgeClaim(claim(), undefined)).toMatchObject({ verdict: "not run", found: null });
  });
});
