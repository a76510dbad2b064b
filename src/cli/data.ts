/**
 * `vans data`: from videos to a dataset, and datasets in the hand.
 * @module
 */
import { Command } from "@commander-js/extra-typings";
import { curateCommands } from "./data-curate.ts";
import { importCommand } from "./data-import.ts";
import { applyCommand, exportCommand, statsCommand, validateCommand, viewCommand } from "./data-look.ts";

/** The command `data`. */
export function dataCommand() {
  const command = new Command("data").description(
    "make datasets from videos (import, split, select, annotate, review, curate) and look at them",
  );
  command.addCommand(importCommand());
  for (const one of curateCommands()) command.addCommand(one);
  for (const one of [validateCommand(), statsCommand(), viewCommand()]) command.addCommand(one);
  return command.addCommand(applyCommand()).addCommand(exportCommand());
}
