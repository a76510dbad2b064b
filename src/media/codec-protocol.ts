/**
 * What the main process and the codec process say to each other. Decoders are native code that reads other people's
 * files; they run apart, so that a crash or a hang there costs one call and not the program.
 * @module
 */
import type { ErrorCode, ErrorDetails } from "../base/errors.ts";
import type { MediaInfo } from "./media-info.ts";
import type { FrameRequest } from "./read-request.ts";
import type { ChromaMode } from "./yuv.ts";

/** One picture on its way between the processes. */
export interface SentFrame {
  readonly height: number;
  readonly width: number;
  /** `[H, W, 3]` */
  readonly rgb: Uint8Array;
}

/** What is to be read from a file. */
export interface ReadWish {
  readonly request: FrameRequest;
  readonly maxBytes: number;
  readonly chroma: ChromaMode;
}

/** Work for the codec process. Frames of an `encode` task follow as messages of their own. */
export type CodecTask =
  | { readonly kind: "probe"; readonly path: string }
  | ({ readonly kind: "read"; readonly path: string } & ReadWish)
  | {
      readonly kind: "encode";
      readonly frameCount: number;
      readonly frameRateHz: number;
      /** Bits a second that the encoder aims for. */
      readonly bitrate: number;
      readonly metadata: string | undefined;
      readonly title: string | undefined;
    }
  | { readonly kind: "metadata"; readonly path: string };

/** Main process to codec process. */
export type CodecRequest =
  | { readonly task: CodecTask; readonly frame?: undefined }
  | { readonly frame: SentFrame; readonly task?: undefined };

/** Codec process to main process. The last message of a task is `done` or `error`. */
export type CodecReply =
  /** Still working; resets the watchdog. */
  | { readonly kind: "progress" }
  | { readonly kind: "info"; readonly info: MediaInfo; readonly picks?: SentPicks }
  /**
   * The pixels of frame `number` (counted in presentation order). Sent again, it replaces what was sent before.
   * `shown` differs from `number` where that frame cannot be decoded and an earlier one stands in.
   */
  | { readonly kind: "frame"; readonly number: number; readonly shown: number; readonly frame: SentFrame }
  /** Frame `number` cannot be decoded; forget it if it was sent. */
  | { readonly kind: "lost"; readonly number: number }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "text"; readonly text: string | undefined }
  /** `rssBytes`: what the process now holds; the libraries give back less than they took. */
  | { readonly kind: "done"; readonly rssBytes: number }
  | {
      readonly kind: "error";
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: SentDetails;
    };

/** What {@link pickFrames} found, with the times of the picked frames. */
export interface SentPicks {
  readonly frames: readonly number[];
  /** Start of every frame of the file, in seconds. */
  readonly timesSecs: Float64Array;
  readonly frameRateHz: number;
  readonly mayDropFrames: boolean;
}

export type SentDetails = Omit<ErrorDetails, "cause">;

/** Frames in the order in which they are wanted, and what became of them. */
export type FrameSink = (
  reply: Extract<CodecReply, { readonly kind: "frame" | "lost" | "progress" }>,
) => Promise<void>;
