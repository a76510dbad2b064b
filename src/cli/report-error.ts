/**
 * Errors as a person and as a program read them, and the exit code that goes with each.
 * @module
 */
import type { CommanderError } from "commander";
import { isVansError, VansError } from "../base/errors.ts";

/** How errors are told. */
export interface ErrorOptions {
  /** One JSON line on the standard output beside the text on the error output. */
  readonly isJson: boolean;
}

/** Exit code of a run that was stopped by a signal: 128 + SIGINT. */
export const EXIT_STOPPED = 130;

/** Code of a command line that is wrong itself. */
export const USAGE = "VANS_CLI_USAGE";

/** Tells what went wrong in a command. @returns the exit code */
export function failed(error: unknown, { isJson }: ErrorOptions): number {
  const told = isVansError(error)
    ? error
    : new VansError(
        "VANS_INTERNAL_BUG",
        `internal: ${error instanceof Error ? error.message : String(error)}`,
        {
          fix: "this is a bug in vans; please report it with the command that shows it (VANS_DEBUG=1 shows where)",
          cause: error,
        },
      );
  console.error(`${told.code}: ${told.message}`);
  if (process.env["VANS_DEBUG"]) console.error(error);
  if (isJson) console.log(JSON.stringify({ type: "error", ...told.toJSON() }));
  return told.code === "VANS_RUN_ABORTED" ? EXIT_STOPPED : 1;
}

/** Commander has told what is wrong with the command line itself. @returns the exit code */
export function usageFailed(error: CommanderError, { isJson }: ErrorOptions): number {
  if (error.code === "commander.helpDisplayed" || error.code === "commander.version") return 0;
  const isMissing = error.code === "commander.help";
  const message = isMissing ? "a command is missing" : error.message.replace(/^error: /, "");
  // The help that Commander shows instead does not say so.
  if (isMissing) console.error(`\n${USAGE}: ${message}`);
  if (error.code === "commander.unknownOption")
    console.error("  fix:   see --help; what begins with - and is no option goes behind --");
  if (isJson) console.log(JSON.stringify({ type: "error", code: USAGE, message }));
  return 2;
}
