/**
 * Another question about the same clip, with another right answer: the multi-future test.
 *
 * The question comes from another sample of the same family that shows the same state and object but asks something else
 * (another cause, or after other steps were skipped); its right event is then drawn in this sample's scene.
 * @module
 */
import { sampleForSeed, type WorldSample, worldFamilies } from "../world/index.ts";

/** Samples that are looked through; some states leave only one future (the last step), so none may be found. */
const MOST_TRIES = 600;

/** The nearest later sample that asks something else about what this one shows; undefined where there is none. */
export function otherFuture(sample: WorldSample): WorldSample | undefined {
  const { family, state, colour } = sample.attributes;
  if (lastStates.has(state)) return undefined;
  // Seeds of one family are this far apart.
  const stride = 2 * worldFamilies[sample.kind].length;
  for (let i = 1; i <= MOST_TRIES; i++) {
    const other = sampleForSeed(sample.seed + i * stride);
    if (
      other.attributes.family === family &&
      other.attributes.state === state &&
      other.attributes.colour === colour &&
      other.event !== sample.event
    )
      return other;
  }
  return undefined;
}

/** States after which only one step is left. */
const lastStates = new Set(
  worldFamilies.procedural.flatMap(({ states }) => (states.length > 0 ? [states[states.length - 1]!] : [])),
);
