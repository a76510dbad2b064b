#!/usr/bin/env node
/**
 * The command line: one file a command, all registered here. A command's own modules are loaded when it is called, for
 * the models and the runtime behind them take a while.
 * @module
 */
import { CommanderError } from "commander";
import { COMMANDS, makeProgram } from "./program.ts";
import { failed, usageFailed } from "./report-error.ts";

const args = process.argv.slice(2);
const isJson = args.includes("--json");
try {
  const program = await makeProgram(args.find((arg) => Object.hasOwn(COMMANDS, arg)));
  await program.parseAsync(args, { from: "user" });
} catch (error) {
  // Output that waits in a pipe is lost by process.exit, so only the code is set.
  process.exitCode =
    error instanceof CommanderError ? usageFailed(error, { isJson }) : failed(error, { isJson });
}
