/**
 * Identity accuracy: does an answer show the very object of the input, in its colour and at its place?
 *
 * The right event is drawn with the true object and three times with a permuted one (another colour, another place,
 * both). An answer is right where it is nearer to the true drawing than to every permuted one; a tie is wrong.
 *
 * The distance is the mean squared error over **all** frames, at the pixels where any two drawings differ. All frames
 * rather than the last: an object may be gone or hidden at the end (a pricked balloon, a covered plate), while the first
 * frames always show it, whatever event the answer goes on to show. So the measure asks about the object and not once more
 * about the event.
 *
 * Range: a share, 0 … 1; a guess is right in one of four. What games it: a video that holds still shows the right object.
 * @module
 */
import type { Clip } from "../media/clip.ts";
import { type EventVerdict, videoEventVerdict } from "./event-accuracy.ts";

/** The drawings in the order of {@link identityVerdict}'s scores. */
export const IDENTITY_ALTERNATIVES = [
  "truth",
  "other colour",
  "other place",
  "other colour and place",
] as const;

/**
 * The verdict on one answer; index 0 is the true object, the others are named by {@link IDENTITY_ALTERNATIVES}.
 *
 * @param truth the right event with the true object, passed through the suite's autoencoder
 * @param alternatives the right event with permuted objects, passed through it as well
 * @throws `VANS_METRICS_SHAPE` where sizes differ
 */
export function identityVerdict(answer: Clip, truth: Clip, alternatives: readonly Clip[]): EventVerdict {
  return videoEventVerdict(answer, [truth, ...alternatives]);
}
