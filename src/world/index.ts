/** The playroom: a simulated world that makes unlimited samples with ground truth. @module */

// What metrics and auxiliary training read.
export * from "./attributes.ts";
// Samples.
export * from "./describe.ts";
export { worldFamilies } from "./families.ts";
// What it is made of.
export type { Captions, Family, WorldKind } from "./family.ts";
export * from "./identity.ts";
export * from "./sample.ts";
export {
  ANSWER_FRAMES,
  backdrops,
  type ColourName,
  colourNames,
  INPUT_FRAMES,
  mainColours,
  type Scene,
  WORLD_FRAME_RATE_HZ,
  WORLD_SIZE,
} from "./scene.ts";
export * from "./seeds.ts";
export * from "./vocabulary.ts";
