#!/usr/bin/env node
/**
 * The command line: one file a command, all registered here.
 * @module
 */
import { Command } from "@commander-js/extra-typings";
import { isVansError } from "../base/errors.ts";
import { trainCommand } from "./train.ts";

const program = new Command("vans")
  .description("Answers a question about a video with a video.")
  .addCommand(trainCommand());

try {
  await program.parseAsync();
} catch (error) {
  if (!isVansError(error)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
