/**
 * Errors that cross from a thread to the server.
 * @module
 */
import { type ErrorCode, type ErrorDetails, isVansError, VansError } from "../base/errors.ts";

/** An error that can be cloned. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly code?: ErrorCode | undefined;
  readonly details?: ErrorDetails | undefined;
  readonly stack?: string | undefined;
}

/** An error as data. */
export function sentError(error: unknown): SentError {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  if (!isVansError(error)) return { name, message, stack };
  const { cause: _cause, ...details } = error.details;
  // Only the first line: the rest of the message is made from the details.
  const [line = message] = message.split("\n");
  const plain = JSON.parse(JSON.stringify(details)) as ErrorDetails;
  return { name, message: line, code: error.code, details: plain, stack };
}

/** The error again. */
export function receivedError(sent: SentError): Error {
  const error = sent.code
    ? new VansError(sent.code, sent.message, sent.details ?? {})
    : Object.assign(new Error(sent.message), { name: sent.name });
  if (sent.stack !== undefined) error.stack = sent.stack;
  return error;
}
