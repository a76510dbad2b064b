/**
 * The commands and how they are run: one file a command, all registered here. A command's own modules are loaded when it
 * is called, for the models and the runtime behind them take a while.
 * @module
 */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { Command, CommanderError } from "@commander-js/extra-typings";
import { packageVersion } from "../answer/package-version.ts";
import { failed, USAGE, usageFailed } from "./report-error.ts";

/** All commands in the order in which help shows them, each loaded when needed. */
const COMMANDS: Readonly<Record<string, () => Promise<CommandUnknownOpts>>> = {
  answer: async () => (await import("./answer.ts")).answerCommand(),
  again: async () => (await import("./again.ts")).againCommand(),
  demo: async () => (await import("./demo.ts")).demoCommand(),
  suites: async () => (await import("./suites.ts")).suitesCommand(),
  plan: async () => (await import("./plan.ts")).planCommand(),
  devices: async () => (await import("./devices.ts")).devicesCommand(),
  world: async () => (await import("./world.ts")).worldCommand(),
  data: async () => (await import("./data.ts")).dataCommand(),
  evaluate: async () => (await import("./evaluate.ts")).evaluateCommand(),
  train: async () => (await import("./train.ts")).trainCommand(),
  experiment: async () => (await import("./experiment.ts")).experimentCommand(),
  serve: async () => (await import("./serve.ts")).serveCommand(),
};

const EXAMPLES = `
Examples:
  vans demo                                            answer some bundled clips into out/demo/
  vans answer clip.mp4 "What should I do next?"        answer.mp4, answer.json and sheet.png into out/clip/
  vans answer photo.png "What if it rains?" --seed 3   a still image works as well
  vans again out/clip/answer.mp4                       the same answer again, from the settings inside the file
  vans answer --help                                   everything about one command

Exit codes: 0 done, 1 an error with a VANS_ code, 2 wrong usage, 130 stopped by Ctrl-C.`;

/**
 * Runs the command line.
 * @param args without the program's own name
 * @returns the exit code: 0 done, 1 a coded error, 2 wrong usage, 130 stopped
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const isJson = args.includes("--json");
  try {
    const program = await makeProgram(args.find((arg) => Object.hasOwn(COMMANDS, arg)));
    await program.parseAsync([...args], { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return error instanceof CommanderError ? usageFailed(error, { isJson }) : failed(error, { isJson });
  }
}

/**
 * The program, with all commands or with one.
 * @param only name of the one command that will be called, where that is known
 */
async function makeProgram(only?: string): Promise<CommandUnknownOpts> {
  const program = new Command("vans")
    .description("Answers a question about a video with a video.")
    .version(packageVersion(), "-V, --version", "print the version")
    .addHelpText("after", EXAMPLES);
  const names = only === undefined ? Object.keys(COMMANDS) : [only];
  for (const name of names) program.addCommand((await COMMANDS[name]!()) as Command);
  raiseErrors(program);
  return program;
}

/** Makes a command and those below it throw where they would end the process. */
function raiseErrors(command: CommandUnknownOpts): void {
  command.exitOverride();
  command.showHelpAfterError("(--help shows what is possible)");
  command.configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, `${USAGE}: `)) });
  for (const below of command.commands) raiseErrors(below);
}
