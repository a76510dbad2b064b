/**
 * The attributes of a sample and all their values, for auxiliary heads.
 * @module
 */
import { worldFamilies } from "./families.ts";
import type { WorldAttributes } from "./sample.ts";
import { backdrops, colourNames, distractors } from "./scene.ts";

const all = [...worldFamilies.procedural, ...worldFamilies.predictive];

/** All values of each attribute, in a fixed order. */
export const attributeValues: { readonly [Name in keyof WorldAttributes]: readonly string[] } = {
  family: all.map((family) => family.name),
  colour: colourNames,
  state: all.flatMap((family) => family.states),
  place: ["left", "middle", "right"],
  backdrop: Object.keys(backdrops),
  distractor: distractors,
  next: all.flatMap((family) => family.events.map((event) => `${family.name}:${event}`)),
  skipped: ["0", "1", "2"],
};

/** The attributes that the input clip alone shows; the others need the question. */
export const visibleAttributes = ["family", "colour", "state", "place", "backdrop", "distractor"] as const;
