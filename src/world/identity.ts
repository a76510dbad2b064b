/**
 * The right event drawn with another colour, at another place, and both: what identity accuracy compares with.
 * @module
 */
import { fold, keyFromSeed } from "../base/keys.ts";
import type { Clip } from "../media/clip.ts";
import { pick } from "./dice.ts";
import type { WorldSample } from "./sample.ts";
import { colourNames, type Scene } from "./scene.ts";

/** How far the main object stands from its true place in the permuted alternatives, in pixels. */
export const IDENTITY_SHIFT_PX = 12;

/** The true answer and three permuted ones. */
export interface IdentityProbes {
  readonly truth: Clip;
  /** In this order: other colour, other place, both. */
  readonly alternatives: readonly [Clip, Clip, Clip];
  readonly scenes: readonly [Scene, Scene, Scene];
}

/** Renders the right event with the main object in its true and in permuted colour and place. */
export function identityProbes(sample: WorldSample): IdentityProbes {
  const { scene } = sample;
  const others = colourNames.filter((name) => name !== scene.colour);
  const colour = pick(fold(keyFromSeed(sample.seed), "identity"), "colour", others);
  // Toward the side with more room, so that the object stays in the picture.
  const x = scene.x + (scene.x < 32 ? IDENTITY_SHIFT_PX : -IDENTITY_SHIFT_PX);
  const scenes: IdentityProbes["scenes"] = [
    { ...scene, colour },
    { ...scene, x },
    { ...scene, colour, x },
  ];
  return {
    truth: sample.output,
    alternatives: [
      sample.renderRight(scenes[0]),
      sample.renderRight(scenes[1]),
      sample.renderRight(scenes[2]),
    ],
    scenes,
  };
}
