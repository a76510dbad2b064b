/**
 * Errors as HTTP answers: a status that fits, and the error itself as the body.
 * @module
 */
import { type ErrorCode, type ErrorDetails, isVansError, VansError } from "../base/errors.ts";
import type { ErrorBody } from "./job.ts";

/** An error with the status that it is answered with. */
export class HttpError extends VansError {
  readonly status: number;
  /** Headers to send with it. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    details: ErrorDetails & { readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(code, message, details);
    this.status = status;
    this.headers = details.headers ?? {};
  }
}

/** Something that is not there. */
export function notFound(what: string, id: string): HttpError {
  return new HttpError(404, "VANS_SERVE_NOT_FOUND", `there is no such ${what}`, {
    asked: id.slice(0, 100),
    fix: "list what there is first; it may have been deleted",
  });
}

/** Codes of the library by what they mean for a client. */
const STATUS_OF: readonly (readonly [RegExp, number])[] = [
  [/NOT_FOUND$|_MISSING$/, 404],
  [/TOO_LARGE$|TOO_LONG$/, 413],
  [/CODEC_UNSUPPORTED$|FORMAT_UNKNOWN$|NO_VIDEO$/, 415],
  [/DISK_FULL$/, 507],
  [/^VANS_(MEDIA|CLIP|ANSWER_REQUEST|EVALUATE|SUITE|DATA|SERVE)/, 422],
];

/** The status of an error. */
export function statusOf(error: unknown): number {
  if (error instanceof HttpError) return error.status;
  if (!isVansError(error)) return 500;
  return STATUS_OF.find(([pattern]) => pattern.test(error.code))?.[1] ?? 500;
}

/**
 * An error as clients see it; of unknown ones the message stays in the log. Where the server keeps things is its own affair:
 * of paths below `folder` only the file's name is told.
 */
export function errorBody(error: unknown, folder: string): ErrorBody {
  if (!isVansError(error))
    return {
      code: "VANS_SERVE_INTERNAL",
      message: "the server could not do this",
      fix: "the server's log says more; please report it",
    };
  const told = (text: string): string =>
    text
      .split(folder)
      .map((part, i) => (i === 0 ? part : part.replace(/^(\/[\w.-]+)*\/([\w.-]+)/, "$2")))
      .join("");
  const { asked, found, why, fix } = error.details;
  return {
    code: error.code,
    message: told(error.message.split("\n")[0]!),
    ...(asked !== undefined && { asked: told(asked) }),
    ...(found !== undefined && { found: told(found) }),
    ...(why !== undefined && { why: told(why) }),
    ...(fix !== undefined && { fix: told(fix) }),
  };
}
