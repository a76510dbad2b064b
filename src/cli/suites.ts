/**
 * `vans suites`: the suites that come with the package, or one in detail.
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "@commander-js/extra-typings";
import type { Suite } from "../answer/suite.ts";
import { VansError } from "../base/errors.ts";

/** The command `suites`. */
export function suitesCommand() {
  return new Command("suites")
    .description("list the suites of models that can answer")
    .argument("[suite]", "name or path of one suite, to see its card")
    .option("--json", "as JSON", false)
    .action(async (name, { json }) => {
      const { bundledSuites, loadSuite } = await import("../answer/suite.ts");
      if (name !== undefined) {
        const suite = await loadSuite(name);
        if (json) console.log(JSON.stringify(await facts(suite)));
        else console.log(`${(await lines(suite)).join("\n")}\n\n${(await card(suite)) ?? "(no card)"}`);
        return;
      }
      const names = await bundledSuites();
      if (!json && names.length === 0) console.log("No suites come with this package.");
      for (const [index, one] of names.entries()) {
        const shown = await describe(one, loadSuite);
        if (json) console.log(JSON.stringify(shown.json));
        else console.log(`${index > 0 ? "\n" : ""}${shown.text}`);
      }
    });
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
  const bytes = await weightBytes(suite);
  return {
    name,
    version,
    about,
    licence,
    folder: suite.folder,
    weightBytes: bytes,
    answer,
    card: await summary(suite),
  };
}

async function lines(suite: Suite): Promise<string[]> {
  const { name, version, about, licence, answer } = suite.manifest;
  const megabytes = ((await weightBytes(suite)) / 1e6).toFixed(1);
  const text = await summary(suite);
  return [
    `${name} ${version}  (${licence}, ${megabytes} MB of weights)`,
    `  ${about}`,
    `  in:  ${answer.inputFrames} frames, out: ${answer.answerFrames} frames of ${answer.width}x${answer.height} at ${answer.frameRateHz} Hz`,
    `  by default: ${answer.steps} steps, guidance ${answer.guidanceScale}, seed ${answer.seed}`,
    `  ${suite.folder}`,
    ...(text === undefined ? [] : [`  card: ${text}`]),
  ];
}

async function weightBytes(suite: Suite): Promise<number> {
  const { vlm, vdm, vae, textEncoder, adapters } = suite;
  const paths = [vlm, vdm, vae, textEncoder, ...adapters].flatMap((part) => part.weights);
  let total = 0;
  for (const path of paths) total += (await stat(path)).size;
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
