/** The playroom: a simulated world that makes unlimited samples with ground truth. @module */

// Samples.
export * from "./sample.ts";
export * from "./seeds.ts";
export * from "./vocabulary.ts";
// What metrics and auxiliary training read.
export * from "./attributes.ts";
export * from "./identity.ts";
// What it is made of.
export type { Captions, Family, WorldKind } from "./family.ts";
export { worldFamilies } from "./families.ts";
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
