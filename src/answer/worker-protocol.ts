/**
 * What a caller and an answering worker say to each other.
 * @module
 */
import type { ErrorCode, ErrorDetails } from "../base/errors.ts";
import type { AnswerEvent, AnswerReport } from "./answer-event.ts";
import type { AnswerRequest } from "./answer-request.ts";
import type { AnswererOptions } from "./answerer.ts";

/** What the worker opens when it starts. */
export interface WorkerStart extends AnswererOptions {
  /** Name or path. */
  readonly suite: string | undefined;
}

/** Caller to worker. */
export type WorkerCommand =
  | { readonly kind: "answer"; readonly id: number; readonly request: Omit<AnswerRequest, "signal"> }
  | { readonly kind: "abort"; readonly id: number };

/** An error that can be cloned. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly code: ErrorCode | undefined;
  readonly details: Omit<ErrorDetails, "cause"> | undefined;
  readonly stack: string | undefined;
}

/** Worker to caller. Every answer ends with `report` or `error`; an `error` without an id ends the worker. */
export type WorkerReply =
  | { readonly kind: "event"; readonly id: number; readonly event: AnswerEvent }
  | { readonly kind: "report"; readonly id: number; readonly report: AnswerReport }
  | { readonly kind: "error"; readonly id: number | undefined; readonly error: SentError };
