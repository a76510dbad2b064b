#!/usr/bin/env -S MALLOC_MMAP_THRESHOLD_=1048576 node
/**
 * The command line. The first line makes the C library give back what is freed (`HEAP_VALUE_BYTES` in answer/graph-memory.ts).
 * @module
 */
import { watchOutput } from "./closed-output.ts";
import { runCommandLine } from "./command-line.ts";

const output = watchOutput(process, () => void process.emit("SIGTERM", "SIGTERM"));
const code = await runCommandLine(process.argv.slice(2));
// Output that waits in a pipe is lost by process.exit, so only the code is set.
process.exitCode = output.isFailed ? 1 : code;
