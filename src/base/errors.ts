/**
 * Errors that teach: what was asked, what was found, the likely cause and the fix, under a stable code.
 * @module
 */

/** `VANS_AREA_REASON`, for example `VANS_MEDIA_CODEC_UNSUPPORTED`. */
export type ErrorCode = `VANS_${string}`;

/** The parts of an error message. Only `message` is required; give the others wherever they are known. */
export interface ErrorDetails {
  /** What was asked for, with its values. */
  readonly asked?: string;
  /** What was found instead, both sides with numbers. */
  readonly found?: string;
  /** Why it usually happens. */
  readonly why?: string;
  /** What to do about it; a command or a corrected snippet where possible. */
  readonly fix?: string;
  /** The error underneath, if any. */
  readonly cause?: unknown;
  /** Machine-readable fields, shown in `--json` output. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/**
 * The one error class of the project. `code` is stable and may be matched on; the text may change.
 *
 * @example
 * ```ts
 * import { VansError } from "vans";
 * const error = new VansError("VANS_CLIP_NOT_FOUND", "the clip does not exist", { fix: "check the path" });
 * error.code; // => "VANS_CLIP_NOT_FOUND"
 * ```
 */
export class VansError extends Error {
  override readonly name = "VansError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    const lines = [message];
    if (details.asked) lines.push(`  asked: ${details.asked}`);
    if (details.found) lines.push(`  found: ${details.found}`);
    if (details.why) lines.push(`  why:   ${details.why}`);
    if (details.fix) lines.push(`  fix:   ${details.fix}`);
    super(lines.join("\n"), details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.details = details;
  }

  /** The error as plain data, as `--json` prints it. */
  toJSON(): Record<string, unknown> {
    const { asked, found, why, fix, data } = this.details;
    return { code: this.code, message: this.message.split("\n")[0], asked, found, why, fix, ...data };
  }
}

/** True for a {@link VansError}, optionally of one code. Works across copies of the package. */
export function isVansError(error: unknown, code?: ErrorCode): error is VansError {
  if (!(error instanceof Error) || error.name !== "VansError") return false;
  return code === undefined || (error as VansError).code === code;
}

/** An error for our own bugs: a state that no input should be able to reach. */
export function internalError(message: string): VansError {
  return new VansError("VANS_INTERNAL_BUG", `internal: ${message}`, {
    fix: "this is a bug in vans; please report it with the command that shows it",
  });
}
