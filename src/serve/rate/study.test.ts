/** Blind orders, means, intervals, and the table that is exported. */
import { parse } from "csv-parse/sync";
import { expect, it } from "vitest";
import { orderFor, type Rating, type Study, studyCsv, summariseStudy, trialsOf } from "./study.ts";

const study: Study = {
  id: "abc",
  name: "test",
  createdAt: "2026-01-01T00:00:00.000Z",
  seed: 5,
  items: Array.from({ length: 6 }, (_, i) => ({
    question: i === 0 ? '=cmd("x"), what?' : `question ${i}`,
    systems: ["sft", "joint", "cascade"].map((name) => ({ name, source: `answer:${name}${i}`, caption: "" })),
  })),
};
const rating = (rater: string, item: number, system: number, value: number): Rating => ({
  rater,
  item,
  system,
  semantic: value,
  visual: 3,
  overall: value,
  at: "2026-01-02T00:00:00.000Z",
});

it("gives every rater every trial once, in an own order that stays", () => {
  const all = trialsOf(study).map(({ token }) => token);
  expect(new Set(all).size).toBe(18);
  const orders = ["ada", "grace", "alan"].map((rater) => orderFor(study, rater).map(({ token }) => token));
  for (const order of orders) expect([...order].sort()).toEqual([...all].sort());
  expect(new Set(orders.map(String)).size).toBe(3);
  expect(orderFor(study, "ada").map(({ token }) => token)).toEqual(orders[0]);
});

it("puts no system first more often than chance does", () => {
  const first = [0, 0, 0];
  for (let i = 0; i < 300; i++) {
    const order = orderFor(study, `rater ${i}`);
    for (let at = 0; at < order.length; at += 3) first[order[at]!.system]!++;
  }
  // 1800 draws: 600 each, with a deviation of 20.
  for (const count of first) expect(Math.abs(count - 600)).toBeLessThan(100);
});

it("means, intervals over items, agreement; a later rating replaces an earlier one", () => {
  const ratings = [
    rating("a", 0, 0, 1),
    rating("a", 0, 0, 2),
    rating("b", 0, 0, 2),
    rating("a", 1, 0, 4),
    rating("b", 1, 0, 4),
    rating("a", 0, 1, 5),
  ];
  const { raters, systems, agreement } = summariseStudy(study, ratings);
  expect(raters).toBe(2);
  expect(systems.map(({ name, ratings: count }) => [name, count])).toEqual([
    ["sft", 4],
    ["joint", 1],
    ["cascade", 0],
  ]);
  const semantic = systems[0]!.means!.semantic;
  expect(semantic.value).toBe(3);
  expect([semantic.low, semantic.high, semantic.n]).toEqual([2, 4, 2]);
  expect(systems[2]!.means).toBeNull();
  expect(agreement.semantic).toBe(1);
  expect(agreement.visual).toBeNull();
});

it("the table reads back and holds no formula", () => {
  const rows: Record<string, string>[] = parse(
    studyCsv(study, [rating("=me", 0, 1, 5), rating("b", 0, 1, 4)]),
    { columns: true },
  );
  expect(rows.filter(({ record }) => record === "rating")).toHaveLength(6);
  expect(
    rows
      .filter(({ record }) => record === "mean")
      .map(({ system, criterion, value }) => [system, criterion, value]),
  ).toEqual([
    ["joint", "semantic", "4.5"],
    ["joint", "visual", "3"],
    ["joint", "overall", "4.5"],
  ]);
  expect(rows.filter(({ record }) => record === "agreement")).toHaveLength(3);
  expect(rows.at(-1)!["question"]).toBe(`'=cmd("x"), what?`);
  expect(rows.some(({ rater }) => rater === "'=me")).toBe(true);
});
