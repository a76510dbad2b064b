/** What the command line of an evaluation refuses. @module */
import { expect, it } from "vitest";
import { evaluateCommand } from "./evaluate.ts";

const parse = async (...args: string[]): Promise<unknown> => {
  const command = evaluateCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  await command.parseAsync(args, { from: "user" });
  return undefined;
};

it.each([
  [["--data", "d"], "commander.missingMandatoryOptionValue"],
  [["--data", "d", "--out", "o", "--only", "reconstruction,speed"], "commander.invalidArgument"],
  [["--data", "d", "--out", "o", "--limit", "0"], "commander.invalidArgument"],
  [["--data", "d", "--out", "o", "--threads", "two"], "commander.invalidArgument"],
  [["--data", "d", "--out", "o", "--guidance", "-1"], "commander.invalidArgument"],
  [["--data", "d", "--out", "o", "more"], "commander.excessArguments"],
  [["--out", "o"], "commander.missingMandatoryOptionValue"],
  [["--data", "d", "--out", "o", "--system", "suite,oracle"], "commander.invalidArgument"],
  [["--data", "d", "--out", "o", "--samples", "0"], "commander.invalidArgument"],
  [["--data", "d", "--out", "o", "--pick", "truth"], "commander.invalidArgument"],
  [["--compare", "a"], "commander.invalidArgument"],
  [["--compare", "a", "b", "c"], "commander.invalidArgument"],
])("refuses %j", async (args, code) => {
  await expect(parse(...args)).rejects.toMatchObject({ code });
});

it("names the parts when one is unknown", async () => {
  const wrong = parse("--data", "d", "--out", "o", "--only", "speed");
  await expect(wrong).rejects.toThrow(/no part "speed".*video-from-truth/);
});

it("reports data that is not there by its code", async () => {
  const missing = parse("--data", "/nowhere", "--out", "/nowhere/out", "--suite", "/nowhere/suite");
  await expect(missing).rejects.toMatchObject({ code: "VANS_SUITE_NOT_FOUND" });
});

it("says what a comparison lacks", async () => {
  await expect(parse("--compare", "/nowhere/a", "/nowhere/b")).rejects.toMatchObject({
    code: "VANS_EVALUATE_COMPARE",
  });
});
