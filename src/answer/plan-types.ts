/**
 * What is planned of an answer's memory, and what a plan says.
 * @module
 */
import type { QuantizedParts } from "./quantized-parts.ts";

/** What is planned. */
export interface PlanOptions {
  /** Frames of the answer; 4k + 1. Default the suite's, as for the others. */
  readonly frames?: number | undefined;
  readonly height?: number | undefined;
  readonly width?: number | undefined;
  readonly maxNewTokens?: number | undefined;
  /** Tokens of the prompt, frames included; default: the suite's system prompt, its largest frames and a short question. */
  readonly promptTokens?: number | undefined;
  /** Default `cpu`. */
  readonly device?: "cpu" | "webgpu" | "cuda";
  /** Bytes that are there; nothing fits or fails without. */
  readonly memoryBytes?: number | undefined;
  readonly quantized?: QuantizedParts;
}

/** A stage of an answer. */
export interface PlannedStage {
  readonly stage: "vision" | "prefill" | "decode" | "text-encoder" | "vae-encode" | "dit" | "vae-decode";
  /** Peak of anonymous pages of the whole process while it runs. */
  readonly anonymousBytes: number;
  /** Weights that are mapped and read once or more. */
  readonly mappedBytes: number;
  /** Operations of one run (one token for `decode`, one forward for `dit`). */
  readonly flops: number;
  readonly fits: boolean | undefined;
}

/** A plan for an answer. */
export interface MemoryPlan {
  readonly suite: string;
  readonly device: string;
  readonly settings: { readonly frames: number; readonly height: number; readonly width: number };
  readonly quantized: QuantizedParts;
  /** Bytes of all files on disk. */
  readonly diskBytes: number;
  readonly stages: readonly PlannedStage[];
  /** The largest stage; stages run one after the other and release what they no longer need. */
  readonly peakBytes: number;
  readonly memoryBytes: number | undefined;
  readonly fits: boolean | undefined;
}
