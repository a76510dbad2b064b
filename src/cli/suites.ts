/**
 * `vans suites`: the suites of models that can answer, and their files: `show`, `pull`, `list`, `verify`, `remove`,
 * `quantize`.
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "@commander-js/extra-typings";
import type { Suite } from "../answer/suite.ts";
import { VansError } from "../base/errors.ts";
import { pullCommand, quantizeCommand, removeCommand, verifyCommand } from "./suites-files.ts";

/** The command `suites`. */
export function suitesCommand() {
  const command = new Command("suites")
    .description("list the suites of models that can answer; fetch, check and remove their files")
    .argument("[suite]", "name or path of one suite, to see its card")
    .option("--json", "as JSON", false)
    .action(async (name, { json }) => show(name, json));
  command.addCommand(
    new Command("list")
      .description("list all suites and what of them is on this machine")
      .option("--json", "as JSON", false)
      .action(async (_, own: Command) => show(undefined, isJson(own))),
  );
  for (const one of [pullCommand(), verifyCommand(), removeCommand(), quantizeCommand()])
    command.addCommand(one);
  return command;
}

/** `--json` may stand before or behind the name of a subcommand. */
function isJson(command: { optsWithGlobals(): { json?: unknown } }): boolean {
  return command.optsWithGlobals().json === true;
}

async function show(name: string | undefined, json: boolean): Promise<void> {
  const { bundledSuites, loadSuite } = await import("../answer/suite.ts");
  const load = (one: string): Promise<Suite> => loadSuite(one, { needsFiles: false });
  if (name !== undefined) {
    const suite = await load(name);
    if (json) console.log(JSON.stringify(await facts(suite)));
    else console.log(`${(await lines(suite)).join("\n")}\n\n${(await card(suite)) ?? "(no card)"}`);
    return;
  }
  const names = await bundledSuites();
  if (!json && names.length === 0) console.log("No suites come with this package.");
  for (const [index, one] of names.entries()) {
    const shown = await describe(one, load);
    if (json) console.log(JSON.stringify(shown.json));
    else console.log(`${index > 0 ? "\n" : ""}${shown.text}`);
  }
}

/** A suite that cannot be read is listed with its error. */
async function describe(
  name: string,
  load: (name: string) => Promise<Suite>,
): Promise<{ readonly json: object; readonly text: string }> {
  try {
    const suite = await load(name);
    return { json: await facts(suite), text: (await lines(suite)).join("\n") };
  } catch (error) {
    if (!(error instanceof VansError)) throw error;
    return { json: { name, error: error.toJSON() }, text: `${name}: ${error.code}: ${error.message}` };
  }
}

async function facts(suite: Suite): Promise<object> {
  const { name, version, about, licence, answer } = suite.manifest;
  return {
    name,
    version,
    about,
    licence,
    folder: suite.folder,
    weightBytes: await weightBytes(suite),
    missing: await missingFiles(suite),
    answer,
    card: await summary(suite),
  };
}

async function lines(suite: Suite): Promise<string[]> {
  const { name, version, about, licence, answer } = suite.manifest;
  const megabytes = ((await weightBytes(suite)) / 1e6).toFixed(1);
  const missing = await missingFiles(suite);
  const text = await summary(suite);
  return [
    `${name} ${version}  (${licence}, ${megabytes} MB of weights${missing.length > 0 ? " on this machine" : ""})`,
    `  ${about}`,
    `  in:  ${answer.inputFrames} frames, out: ${answer.answerFrames} frames of ${answer.width}x${answer.height} at ${answer.frameRateHz} Hz`,
    `  by default: ${answer.steps} steps, guidance ${answer.guidanceScale}, seed ${answer.seed}`,
    `  ${suite.folder}`,
    ...(missing.length > 0 ? [`  ${missing.length} files are not here yet: vans suites pull ${name}`] : []),
    ...(text === undefined ? [] : [`  card: ${text}`]),
  ];
}

/** Hub files that are not on this machine, `repo/path`. */
async function missingFiles(suite: Suite): Promise<string[]> {
  const missing: string[] = [];
  for (const [name, source] of Object.entries(suite.manifest.sources))
    for (const path of source.files)
      if (!(await stat(suite.at(`${name}:${path}`)).catch(() => undefined)))
        missing.push(`${source.repo}/${path}`);
  return missing;
}

async function weightBytes(suite: Suite): Promise<number> {
  const { vlm, vdm, vae, textEncoder, adapters } = suite;
  const hub = Object.entries(suite.manifest.sources).flatMap(([name, source]) =>
    source.files.map((path) => suite.at(`${name}:${path}`)),
  );
  const paths = new Set([
    ...[vlm, vdm, vae, textEncoder, ...adapters].flatMap((part) => part.weights),
    ...hub,
  ]);
  let total = 0;
  for (const path of paths) total += (await stat(path).catch(() => undefined))?.size ?? 0;
  return total;
}

async function card(suite: Suite): Promise<string | undefined> {
  return readFile(join(suite.folder, suite.manifest.card), "utf8").catch(() => undefined);
}

/** The first paragraph of the card that is no heading and no picture. */
async function summary(suite: Suite): Promise<string | undefined> {
  const paragraphs = (await card(suite))?.split(/\n\s*\n/) ?? [];
  const first = paragraphs
    .map((paragraph) => paragraph.trim())
    .find((text) => text !== "" && !/^(#|!\[|<|---|\|)/.test(text));
  return first?.replaceAll(/\s+/g, " ");
}
