/**
 * What the page and its worker say to each other.
 * @module
 */
import type { AnswerEvent } from "../src/answer/answer-event.ts";
import type { Backend } from "./stand-ins/onnxruntime.ts";

/** What a person may choose. */
export type BackendChoice = Backend | "auto";

/** One question. */
export interface Ask {
  readonly clip: { readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> };
  readonly question: string;
  readonly seed: number;
  readonly steps: number;
}

/** Page to worker. */
export type Request =
  | { readonly type: "start"; readonly running: Running; readonly base: string }
  | ({ readonly type: "ask" } & Ask)
  | { readonly type: "cancel" }
  | { readonly type: "save" };

/** An error as the page shows it. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly found?: string;
  readonly fix?: string;
}

/** How models run here. */
export interface Running {
  readonly backend: Backend;
  readonly threads: number;
  /** The graphics adapter, or why none is used. */
  readonly about: string;
}

/** Worker to page. */
export type Reply =
  | { readonly type: "loading"; readonly done: number; readonly total: number }
  | { readonly type: "ready" }
  | { readonly type: "event"; readonly event: AnswerEvent }
  | { readonly type: "cancelled" }
  | { readonly type: "failed"; readonly failure: Failure; readonly stage: "start" | "ask" | "save" }
  | { readonly type: "saved"; readonly bytes: Uint8Array<ArrayBuffer>; readonly mediaType: string };
