#!/usr/bin/env node
/**
 * The command line.
 * @module
 */
import { runCommandLine } from "./command-line.ts";

// Output that waits in a pipe is lost by process.exit, so only the code is set.
process.exitCode = await runCommandLine(process.argv.slice(2));
