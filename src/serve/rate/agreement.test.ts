/** Krippendorff's alpha against published numbers and identities. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { ordinalAlpha } from "./agreement.ts";

// The worked example of Krippendorff (2011), section C: 4 observers, 12 units, missing values. Its ordinal alpha is 0.815,
// as R's irr::kripp.alpha and the paper's table of metrics give it.
const _ = undefined;
const OBSERVERS = [
  [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
  [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
  [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
  [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
];
const UNITS = OBSERVERS[0]!.map((_first, unit) =>
  OBSERVERS.flatMap((observer) => (observer[unit] === undefined ? [] : [observer[unit]])),
);

it("gives the published value of the worked example", () => {
  expect(ordinalAlpha(UNITS)).toBeCloseTo(0.815, 3);
});

it("is 1 for perfect agreement and undefined where nothing can be compared", () => {
  expect(
    ordinalAlpha([
      [1, 1],
      [3, 3, 3],
      [5, 5],
    ]),
  ).toBe(1);
  expect(ordinalAlpha([[1], [2], [3]])).toBeNull();
  expect(
    ordinalAlpha([
      [4, 4],
      [4, 4],
    ]),
  ).toBeNull();
  expect(ordinalAlpha([])).toBeNull();
});

it("does not ask who rated, nor in which order, nor which numbers stand for the ranks", () => {
  const unit = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.array(unit, { minLength: 2, maxLength: 12 }), (units) => {
      const value = ordinalAlpha(units);
      const turned = ordinalAlpha([...units].reverse().map((one) => [...one].reverse()));
      const stretched = ordinalAlpha(units.map((one) => one.map((rank) => rank ** 3)));
      if (value === null) {
        expect(turned).toBeNull();
        return;
      }
      expect(value).toBeLessThanOrEqual(1);
      expect(turned).toBeCloseTo(value, 9);
      expect(stretched).toBeCloseTo(value, 9);
    }),
    { numRuns: 200 },
  );
});

it("a near miss costs less than a far one", () => {
  const around = [
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 4],
    [5, 5],
  ];
  expect(ordinalAlpha([...around, [1, 2]])!).toBeGreaterThan(ordinalAlpha([...around, [1, 5]])!);
});
