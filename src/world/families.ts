/**
 * All families of the world, in rotation order.
 * @module
 */
import type { Family, WorldKind } from "./family.ts";
import { ball } from "./predictive/ball.ts";
import { balloon } from "./predictive/balloon.ts";
import { candle } from "./predictive/candle.ts";
import { glass } from "./predictive/glass.ts";
import { gift } from "./procedural/gift.ts";
import { house } from "./procedural/house.ts";
import { plant } from "./procedural/plant.ts";
import { sandwich } from "./procedural/sandwich.ts";

/** Families by kind, in the order in which seeds rotate through them. */
export const worldFamilies: Record<WorldKind, readonly Family[]> = {
  procedural: [sandwich, house, plant, gift],
  predictive: [candle, balloon, glass, ball],
};
