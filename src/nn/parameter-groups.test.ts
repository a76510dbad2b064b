/**
 * Which parameters are joined, and that joining loses nothing.
 * @module
 */
import { describe, expect, it } from "vitest";
import { f32, parameter, type Tensor } from "../tensor/index.ts";
import { ADAMW, MUON } from "./optimizer.ts";
import { joinedArray, parameterGroups, partedArray } from "./parameter-groups.ts";

const shapes: Readonly<Record<string, readonly number[]>> = {
  scale: [8],
  weight: [8, 8],
  bias: [8],
  other: [4, 8],
  narrow: [4, 6],
  large: [512, 512],
  scalar: [],
  longer: [12],
};
const params = new Map<string, Tensor>(
  Object.entries(shapes).map(([name, shape]) => [name, parameter(name, shape)]),
);
const membersOf = (groups: readonly { readonly members: readonly string[] }[]): (readonly string[])[] =>
  groups.map(({ members }) => members);

describe("parameterGroups", () => {
  it("joins small tensors with equal trailing axes and leaves the others alone", () => {
    const groups = parameterGroups(params, () => ADAMW, true);
    expect(membersOf(groups)).toEqual([
      ["scale", "bias", "longer"],
      ["weight", "other"],
      ["narrow"],
      ["large"],
      ["scalar"],
    ]);
    expect(groups.find(({ members }) => members[0] === "large")!.name).toBe("large");
  });

  it("keeps options apart and never joins Muon's matrices", () => {
    const decayed = { ...ADAMW, weightDecay: 0 };
    const groups = parameterGroups(
      params,
      (name) => (name === "bias" ? decayed : name === "other" || name === "weight" ? MUON : ADAMW),
      true,
    );
    expect(membersOf(groups)).toEqual([
      ["scale", "longer"],
      ["weight"],
      ["bias"],
      ["other"],
      ["narrow"],
      ["large"],
      ["scalar"],
    ]);
  });

  it("begins another group where one is full", () => {
    const many = new Map(
      Array.from({ length: 5 }, (_, i) => [`w${i}`, parameter(`w${i}`, [128, 384])] as const),
    );
    expect(membersOf(parameterGroups(many, () => ADAMW, true))).toEqual([["w0", "w1"], ["w2", "w3"], ["w4"]]);
  });

  it("joins nothing where it is told not to", () => {
    expect(parameterGroups(params, () => ADAMW, false)).toHaveLength(params.size);
  });
});

it("joined arrays come apart as they were", () => {
  const parts = [f32([1, 2, 3, 4], [2, 2]), f32([5, 6], [1, 2])];
  const whole = joinedArray(parts);
  expect(whole.shape).toEqual([3, 2]);
  const like = [parameter("a", [2, 2]), parameter("b", [1, 2])];
  expect(partedArray(whole, like)).toEqual(parts);
});
