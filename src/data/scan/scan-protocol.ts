/**
 * What the scanning process sends back.
 * @module
 */
import type { ErrorCode } from "../../base/errors.ts";

/** Order to the scanning process. */
export interface ScanOrder {
  readonly path: string;
  /** Seconds between detail pictures. */
  readonly detailEverySecs: number;
}

/** Thumbnails of consecutive frames. */
export interface ScanFrames {
  readonly kind: "frames";
  /** Number of the first frame, in presentation order. */
  readonly first: number;
  /** One after another, {@link THUMB_BYTES} each. */
  readonly thumbs: Uint8Array;
  /** Of each frame, see `sharpnessOf`. */
  readonly sharpness: Float32Array;
  readonly details: readonly ScanDetail[];
}

/** A detail picture of a frame. */
export interface ScanDetail {
  readonly frame: number;
  readonly width: number;
  readonly height: number;
  readonly luma: Uint8Array;
}

/** Replies in order: `times`, `frames` …, then `done` or `error`. */
export type ScanReply =
  | { readonly kind: "alive" }
  | { readonly kind: "times"; readonly timesSecs: Float64Array; readonly durationSecs: number }
  | ScanFrames
  | { readonly kind: "done"; readonly frameCount: number; readonly rssBytes: number }
  | { readonly kind: "error"; readonly code: ErrorCode | undefined; readonly message: string };
