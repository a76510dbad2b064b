/**
 * The subcommands of `vans suites` that move files: `pull`, `verify`, `remove`, `quantize`.
 * @module
 */
import { Command, Option } from "@commander-js/extra-typings";
import type { SuiteManifest } from "../answer/suite-manifest.ts";
import { VansError } from "../base/errors.ts";
import type { HubSource, PullProgress } from "../weights/index.ts";
import { interruptible } from "./interrupt.ts";
import { wholeNumber } from "./number-options.ts";

const CACHE = "files lie in the cache of the hub (HF_HUB_CACHE), which other tools share";

async function sourcesOf(name: string): Promise<{ manifest: SuiteManifest; sources: HubSource[] }> {
  const { suiteManifest } = await import("../answer/suite.ts");
  const manifest = await suiteManifest(name);
  return { manifest, sources: Object.values(manifest.sources) };
}

function nothingToFetch(name: string): VansError {
  return new VansError(
    "VANS_SUITE_LOCAL",
    `the files of ${name} lie in its folder; there is nothing to fetch or remove`,
    {
      fix: "vans suites list shows which suites come from the hub",
    },
  );
}

const gigabytes = (bytes: number): string =>
  bytes < 1e8 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;

/** `vans suites pull` */
export function pullCommand() {
  return new Command("pull")
    .description(`fetch the files of a suite; ${CACHE}`)
    .argument("<suite>", "name or path of the suite")
    .option("--parallel <n>", "files at the same time", wholeNumber(1), 4)
    .option("--update", "take what branches mean now instead of the commits noted at the first pull", false)
    .option("--json", "progress as JSON lines", false)
    .addHelpText(
      "after",
      "\nHF_TOKEN: a token, for models whose licence has to be accepted. HF_ENDPOINT: a mirror. HF_HUB_OFFLINE=1: no requests.\nA pull that was stopped continues where it stopped.",
    )
    .action(async (name, options, command) => {
      const json = isJson(command);
      const { sources } = await sourcesOf(name);
      if (sources.length === 0) throw nothingToFetch(name);
      const { pullSources } = await import("../weights/index.ts");
      const progress = json ? jsonProgress() : await barProgress();
      const pulling = interruptible(
        (signal) =>
          pullSources(sources, {
            parallel: options.parallel,
            update: options.update,
            signal,
            onProgress: progress.show,
          }),
        "stopped; the same command continues",
      );
      const commits = await pulling.finally(progress.end);
      for (const [index, { repo }] of sources.entries()) {
        const line = { repo, commit: commits[index]! };
        console.log(json ? JSON.stringify(line) : `${line.repo} at ${line.commit}`);
      }
    });
}

interface Shown {
  readonly show: (progress: PullProgress) => void;
  readonly end: () => void;
}

/** A line a second at most, and one for every finished file. */
function jsonProgress(): Shown {
  let last = 0;
  return {
    show: (progress) => {
      const now = performance.now();
      if (progress.finished === undefined && now - last < 1000) return;
      last = now;
      console.log(JSON.stringify(progress));
    },
    end: () => undefined,
  };
}

async function barProgress(): Promise<Shown> {
  if (!process.stderr.isTTY) {
    return {
      show: ({ finished, doneFiles, totalFiles, doneBytes, totalBytes }) => {
        if (finished !== undefined)
          console.error(
            `${finished}: file ${doneFiles} of ${totalFiles}, ${gigabytes(doneBytes)} of ${gigabytes(totalBytes)}`,
          );
      },
      end: () => undefined,
    };
  }
  const { SingleBar } = (await import("cli-progress")).default;
  const bar = new SingleBar({
    format: "{bar} {percentage}% {done} of {total_} ({files} files)",
    hideCursor: true,
    clearOnComplete: true,
  });
  let isStarted = false;
  return {
    show: ({ doneBytes, totalBytes, doneFiles, totalFiles }) => {
      const shown = {
        done: gigabytes(doneBytes),
        total_: gigabytes(totalBytes),
        files: `${doneFiles}/${totalFiles}`,
      };
      if (isStarted) bar.update(doneBytes, shown);
      else if (totalBytes > 0) bar.start(totalBytes, doneBytes, shown);
      isStarted ||= totalBytes > 0;
    },
    end: () => bar.stop(),
  };
}

/** `vans suites verify` */
export function verifyCommand() {
  return new Command("verify")
    .description(
      "read every fetched file of a suite and compare it with its hash; for a folder of your own, compare the tensors of its files with its configurations; makes no requests",
    )
    .argument("<suite>", "name or path of the suite")
    .option("--json", "as JSON lines", false)
    .action(async (name, _, command) => {
      const { sources } = await sourcesOf(name);
      if (sources.length === 0) return verifyLocal(name, isJson(command));
      const { verifySources } = await import("../weights/index.ts");
      const bad: string[] = [];
      let damaged = 0;
      await interruptible(async (signal) => {
        for await (const file of verifySources(sources, { signal })) {
          console.log(
            isJson(command) ? JSON.stringify(file) : `${file.state.padEnd(8)} ${file.repo}/${file.path}`,
          );
          if (file.state === "damaged") damaged++;
          if (file.state === "damaged" || file.state === "missing")
            bad.push(`${file.repo}/${file.path} (${file.state})`);
        }
      });
      if (bad.length > 0)
        throw new VansError(
          "VANS_SUITE_DAMAGED",
          `${bad.length} files of ${name} are not as they should be`,
          {
            found: bad.join(", "),
            fix:
              damaged > 0
                ? `vans suites remove ${name}, then vans suites pull ${name}`
                : `vans suites pull ${name}`,
          },
        );
    });
}

/** A suite whose files lie in its folder has no hashes: headers, ranges, names and shapes of all tensors are checked. */
async function verifyLocal(name: string, json: boolean): Promise<void> {
  const { loadSuite } = await import("../answer/suite.ts");
  const { openPart } = await import("../answer/suite-weights.ts");
  const suite = await loadSuite(name);
  for (const part of ["vlm", "textEncoder", "vdm", "vae"] as const) {
    const { reports } = await openPart(suite, part);
    for (const { path, matched } of reports)
      console.log(
        json
          ? JSON.stringify({ part, path, state: "sound", tensors: matched.length })
          : `sound    ${path} (${part}, ${matched.length} tensors)`,
      );
  }
}

/** `vans suites remove` */
export function removeCommand() {
  return new Command("remove")
    .description(`remove the fetched files of a suite; ${CACHE}`)
    .argument("<suite>", "name or path of the suite")
    .option("--json", "as JSON", false)
    .action(async (name, _, command) => {
      const { sources } = await sourcesOf(name);
      if (sources.length === 0) throw nothingToFetch(name);
      const { removeSources } = await import("../weights/index.ts");
      const freedBytes = await removeSources(sources);
      console.log(
        isJson(command) ? JSON.stringify({ suite: name, freedBytes }) : `${gigabytes(freedBytes)} freed`,
      );
    });
}

/** `vans suites quantize` */
export function quantizeCommand() {
  return new Command("quantize")
    .description("write the linear layers of a part in 4 or 8 bits beside its files")
    .argument("<suite>", "name or path of the suite")
    .addOption(
      new Option("--part <part>", "which model")
        .choices(["vlm", "textEncoder", "vdm"] as const)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option(
        "--to <type>",
        "4bit and 8bit: weights only; 8bit-fast: activations too, for integer matrix units",
      )
        .choices(["4bit", "8bit", "8bit-fast"] as const)
        .makeOptionMandatory(),
    )
    .action(async (name, { part, to }) => {
      const { loadSuite } = await import("../answer/suite.ts");
      const { quantizePart } = await import("../answer/quantized-parts.ts");
      const suite = await loadSuite(name);
      console.log(await interruptible((signal) => quantizePart(suite, part, to, { signal })));
    });
}

/** `--json` may stand before or behind the name of a subcommand. */
function isJson(command: { optsWithGlobals(): { json?: unknown } }): boolean {
  return command.optsWithGlobals().json === true;
}
