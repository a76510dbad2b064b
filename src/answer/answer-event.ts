/**
 * What an answer tells while it is being made, and what it is in the end. The command line, the server, the studio and
 * tests all read this one stream.
 * @module
 */
import type { ErrorCode } from "../base/errors.ts";
import type { Clip } from "../media/clip.ts";
import type { AnswerPart } from "../text/answer-stream.ts";
import type { WrittenAnswer } from "./caption-of.ts";
import type { ClipFacts } from "./input-frames.ts";
import type { SuiteHashes } from "./suite-hashes.ts";
import type { AnswerSettings } from "./suite-manifest.ts";

/** The stages of an answer, in order. */
export const ANSWER_STAGES = [
  /** Opening weights and tokenizers. */
  "load",
  /** Decoding the clip. */
  "read",
  /** The language model's view of the clip. */
  "see",
  /** Reasoning and caption. */
  "write",
  /** The caption as text embeddings. */
  "text",
  /** The clip as latents. */
  "references",
  /** Denoising. */
  "denoise",
  /** Latents to frames. */
  "decode",
] as const;

/** Name of a stage. */
export type AnswerStage = (typeof ANSWER_STAGES)[number];

/** Seconds by stage; graphs that a stage had to compile first are counted in it. */
export type AnswerTimings = Readonly<Record<AnswerStage | "total", number>>;

/** Something to know about an answer that was made all the same. */
export interface AnswerWarning {
  /**
   * `VANS_OUT_OF_DOMAIN`, `VANS_ANSWER_TEMPLATE`, `VANS_CLIP_SPED_UP`, `VANS_CLIP_DAMAGED`, `VANS_CAPTION_CUT`
   */
  readonly code: ErrorCode;
  readonly message: string;
  /** What to do about it. */
  readonly fix?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** The settings that an answer was made with: those of the suite, and what the caller chose. */
export interface UsedSettings extends AnswerSettings {
  /** How many futures were drawn. */
  readonly samples: number;
  /** Number of the first; noise and tokens of a future depend on the seed and its number alone. */
  readonly firstSample: number;
}

/** One future. */
export interface AnsweredSample extends WrittenAnswer {
  /** Its number; see {@link UsedSettings.firstSample}. */
  readonly sample: number;
  readonly clip: Clip;
  /** SHA-256 of the frames' RGB bytes. */
  readonly framesSha256: string;
}

/** Versions that results depend on. */
export interface AnswerVersions {
  readonly vans: string;
  readonly node: string;
  readonly onnxruntime: string;
  readonly platform: string;
}

/** A finished answer. */
export interface AnswerReport {
  readonly question: string;
  readonly suite: {
    readonly name: string;
    readonly version: string;
    readonly folder: string;
    readonly hashes: SuiteHashes;
  };
  readonly input: ClipFacts & {
    /** The file as it was given; undefined for frames from memory. */
    readonly path: string | undefined;
    readonly sha256: string | undefined;
    readonly height: number;
    readonly width: number;
    readonly isStill: boolean;
    /** The frames as the video model saw them. */
    readonly frames: Clip;
  };
  readonly settings: UsedSettings;
  readonly device: string;
  readonly samples: readonly AnsweredSample[];
  readonly warnings: readonly AnswerWarning[];
  readonly timingsSecs: AnswerTimings;
  readonly versions: AnswerVersions;
}

/** One event. */
export type AnswerEvent =
  /** The suite is open. */
  | {
      readonly type: "loaded";
      readonly suite: string;
      readonly version: string;
      readonly device: string;
      readonly secs: number;
    }
  /** The clip is read. */
  | { readonly type: "input"; readonly input: AnswerReport["input"] }
  | { readonly type: "warning"; readonly warning: AnswerWarning }
  /** Text as it is written, without the tags. */
  | {
      readonly type: "token";
      readonly sample: number;
      readonly part: AnswerPart;
      readonly text: string;
    }
  /** The language model is done. */
  | ({ readonly type: "caption"; readonly sample: number } & WrittenAnswer)
  /** Denoising step `step` of `steps` is done. */
  | {
      readonly type: "step";
      readonly sample: number;
      readonly step: number;
      readonly steps: number;
      /** Noise level before the step, 1 … 0. */
      readonly sigma: number;
      /** What the result looks like from here, one pixel a latent; only where asked for. */
      readonly preview?: Clip;
    }
  /** The frames of one future. */
  | { readonly type: "frames"; readonly sample: number; readonly clip: Clip }
  | { readonly type: "done"; readonly report: AnswerReport };
