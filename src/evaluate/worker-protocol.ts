/**
 * What an evaluation and its workers say to each other.
 * @module
 */
import type { AnswerSettings } from "../answer/index.ts";
import { type ErrorCode, type ErrorDetails, isVansError, VansError } from "../base/errors.ts";
import type { Provider } from "../runtime/index.ts";
import type { EvaluationItem } from "./evaluation-item.ts";
import type { EvaluationPart } from "./metric-table.ts";
import type { PartOutcome } from "./part-row.ts";

/** What a worker opens when it starts. */
export interface WorkerStart {
  /** Folder of the suite. */
  readonly suite: string;
  /** Folder of the suite whose models judge. */
  readonly judges: string;
  readonly settings: AnswerSettings;
  readonly device: Provider;
  readonly threads: number;
  /** Where drawn videos are kept as pictures. */
  readonly pictures: string;
  /** Where drawings of the suite's autoencoder are kept; undefined for nowhere. */
  readonly drawings: string | undefined;
}

/** A sample to evaluate; the worker simulates it again from its seed. */
export interface WorkerItem extends Pick<EvaluationItem, "input" | "still" | "caption" | "answers"> {
  readonly seed: number;
  readonly parts: readonly EvaluationPart[];
}

/** To a worker. */
export type WorkerCommand =
  | { readonly kind: "item"; readonly item: WorkerItem }
  | { readonly kind: "stop" }
  | { readonly kind: "close" };

/** From a worker. Every item ends with `done` or `error`. */
export type WorkerReply =
  | { readonly kind: "outcome"; readonly outcome: PartOutcome }
  | { readonly kind: "done" }
  | { readonly kind: "error"; readonly error: SentError };

/** An error that can be cloned. */
export interface SentError {
  readonly message: string;
  readonly code: ErrorCode | undefined;
  readonly details: Omit<ErrorDetails, "cause">;
  readonly stack: string | undefined;
}

/** An error as it is sent. */
export function sentError(error: unknown): SentError {
  if (isVansError(error)) {
    const { cause: _, ...details } = error.details;
    // Only the first line: the rest of the message is made from the details.
    const message = error.message.split("\n")[0]!;
    // Details hold plain data; whatever else got in is dropped rather than refused.
    const plain = JSON.parse(JSON.stringify(details)) as typeof details;
    return { message, code: error.code, details: plain, stack: error.stack };
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { message, code: undefined, details: {}, stack };
}

/** A sent error as it was. */
export function receivedError({ message, code, details, stack }: SentError): Error {
  const error = code ? new VansError(code, message, details) : new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
