/**
 * Transitions of a whole video from a stream of thumbnails, in flat memory: overlapping stretches of a few minutes
 * are looked at on their own, and each transition is taken from the stretch in whose middle it lies.
 * @module
 */
import { THUMB_BYTES } from "../scan/thumbnail.ts";
import { detectTransitions, type Transition } from "./detect-transitions.ts";

/** Frames of a stretch: 16 MiB of thumbnails. */
const STRETCH_FRAMES = 4096;
/** Frames that neighbouring stretches share, at least; more than the longest dissolve and its surroundings. */
const OVERLAP_SECS = 8;

/** Takes thumbnails in, gives transitions out. */
export class ShotDetector {
  readonly #frameRateHz: number;
  readonly #overlap: number;
  readonly #bytes = new Uint8Array(STRETCH_FRAMES * THUMB_BYTES);
  readonly #found: Transition[] = [];
  #filled = 0;
  /** Number of the first frame in the buffer. */
  #first = 0;
  /** Transitions that end before this frame have been decided. */
  #decided = 0;

  /** @param frameRateHz average frames a second of the video */
  constructor(frameRateHz: number) {
    this.#frameRateHz = frameRateHz;
    this.#overlap = Math.min(STRETCH_FRAMES / 4, Math.max(64, Math.round(OVERLAP_SECS * frameRateHz)));
  }

  /** Adds thumbnails of the next frames, one after another. */
  push(thumbs: Uint8Array): void {
    for (let at = 0; at < thumbs.length; ) {
      const room = (STRETCH_FRAMES - this.#filled) * THUMB_BYTES;
      const piece = thumbs.subarray(at, at + room);
      this.#bytes.set(piece, this.#filled * THUMB_BYTES);
      this.#filled += piece.length / THUMB_BYTES;
      at += piece.length;
      if (this.#filled === STRETCH_FRAMES) this.#look(false);
    }
  }

  /** All transitions, in order. */
  finish(): Transition[] {
    this.#look(true);
    return this.#found;
  }

  #look(isLast: boolean): void {
    const stretch = {
      bytes: this.#bytes.subarray(0, this.#filled * THUMB_BYTES),
      count: this.#filled,
      frameRateHz: this.#frameRateHz,
    };
    const until = isLast ? Number.POSITIVE_INFINITY : this.#first + this.#filled - (this.#overlap >> 1);
    for (const one of detectTransitions(stretch)) {
      const moved = { ...one, first: one.first + this.#first, last: one.last + this.#first };
      const previous = this.#found.at(-1);
      const isNew = previous === undefined || moved.first >= previous.last;
      if (moved.last > this.#decided && moved.last <= until && isNew) this.#found.push(moved);
    }
    if (isLast) return;
    this.#decided = until;
    const kept = this.#overlap;
    this.#bytes.copyWithin(0, (this.#filled - kept) * THUMB_BYTES, this.#filled * THUMB_BYTES);
    this.#first += this.#filled - kept;
    this.#filled = kept;
  }
}
