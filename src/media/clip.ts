/**
 * The one form in which video lives inside the project: decoded RGB frames at a fixed rate.
 * @module
 */

/** Decoded video. A still image is a clip of one frame. */
export interface Clip {
  readonly frameCount: number;
  readonly height: number;
  readonly width: number;
  /** Frames per second. */
  readonly frameRateHz: number;
  /** 8-bit RGB, `[T, H, W, 3]`, row-major. */
  readonly rgb: Uint8Array;
}
