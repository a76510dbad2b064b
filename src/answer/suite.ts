/**
 * Suites on disk: finding one by name or path, reading its configurations, checking that its parts fit together.
 * @module
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { isVansError, VansError } from "../base/errors.ts";
import { type QwenConfig, qwenConfig } from "../models/qwen25vl/config.ts";
import { type Umt5Config, umt5Config } from "../models/umt5/config.ts";
import { type DitConfig, ditConfig } from "../models/wan/dit-config.ts";
import { latentFrameCount, type VaeConfig, vaeStride } from "../models/wan/vae-config.ts";
import { cachedFiles, type HubEnvironment, hubCacheFolder } from "../weights/index.ts";
import { parseVaeConfig } from "./parse-vae-config.ts";
import {
  extendedSuite,
  extendManifest,
  hubFileOf,
  parseSuiteManifest,
  type SuiteManifest,
} from "./suite-manifest.ts";

/** Absolute paths of one part's weights, in the order of `suite.json`. */
export type WeightPaths = readonly string[];

/** A low-rank adapter of a suite. */
export interface SuiteAdapter {
  readonly part: "vlm" | "vdm";
  readonly weights: WeightPaths;
  /** Where a configuration says so; else as the file has it. */
  readonly rank: number | undefined;
  readonly alpha: number | undefined;
}

/** A suite whose description has been read; weights are opened when a part is used. */
export interface Suite {
  readonly name: string;
  readonly folder: string;
  /** Its `suite.json`, and those of the suites that it extends. */
  readonly descriptions: readonly string[];
  readonly manifest: SuiteManifest;
  readonly vlm: { readonly config: QwenConfig; readonly weights: WeightPaths; readonly tokenizer: string };
  readonly vdm: { readonly config: DitConfig; readonly weights: WeightPaths };
  readonly vae: { readonly config: VaeConfig; readonly weights: WeightPaths };
  readonly textEncoder: {
    readonly config: Umt5Config;
    readonly weights: WeightPaths;
    readonly tokenizer: string;
    readonly maxLength: number;
  };
  readonly adapters: readonly SuiteAdapter[];
  /** The absolute path of a file that `suite.json` names, in the suite's folder or in the cache of the hub. */
  at(reference: string): string;
}

/** Options of {@link loadSuite}. */
export interface LoadSuiteOptions {
  /** Weights and tokenizers must be there. Default true; a plan needs configurations only. */
  readonly needsFiles?: boolean;
  /** Variables that say where the cache of the hub is; default those of the process. */
  readonly env?: HubEnvironment;
}

/** Name of the description inside a suite's folder. */
export const SUITE_FILE = "suite.json";

/** The suite that is used where none is named. */
export const DEFAULT_SUITE = "playroom";

/** The folder of the suites that come with the package: beside `src/` in a clone, beside `dist/` once installed. */
export const BUNDLED_SUITES = fileURLToPath(new URL("../../suites/", import.meta.url));

const NAME = /^[a-z0-9][a-z0-9._-]*$/;

/**
 * Reads a suite by the name of a bundled one, or by the path of a folder that holds a `suite.json`.
 *
 * @throws `VANS_SUITE_NOT_FOUND`, `VANS_SUITE_INVALID`, `VANS_SUITE_FILE_MISSING`, `VANS_SUITE_NOT_PULLED`,
 *   `VANS_MODEL_CONFIG`
 */
export async function loadSuite(
  nameOrPath: string = DEFAULT_SUITE,
  { needsFiles = true, env = process.env }: LoadSuiteOptions = {},
): Promise<Suite> {
  const folder = await findSuite(nameOrPath);
  const { manifest, files } = await readManifest(folder);
  const hub = await hubPaths(manifest, env);
  const at = (reference: string): string =>
    hubFileOf(reference) ? hub.get(reference)! : join(folder, reference);
  const config = (path: string): Promise<unknown> => readJson(at(path));
  const { vlm, vdm, vae, textEncoder } = manifest;
  const suite: Suite = {
    name: manifest.name,
    folder,
    descriptions: files,
    manifest,
    vlm: {
      config: qwenConfig(await config(vlm.config)),
      weights: vlm.weights.map(at),
      tokenizer: at(vlm.tokenizer),
    },
    vdm: { config: ditConfig(await config(vdm.config)), weights: vdm.weights.map(at) },
    vae: { config: parseVaeConfig(await config(vae.config)), weights: vae.weights.map(at) },
    textEncoder: {
      config: umt5Config(await config(textEncoder.config)),
      weights: textEncoder.weights.map(at),
      tokenizer: at(textEncoder.tokenizer),
      maxLength: textEncoder.maxLength,
    },
    adapters: await Promise.all(
      manifest.adapters.map(async (adapter) => ({
        part: adapter.part,
        weights: adapter.weights.map(at),
        ...(adapter.config === undefined
          ? { rank: undefined, alpha: undefined }
          : adapterSizes(await config(adapter.config), at(adapter.config))),
      })),
    ),
    at,
  };
  checkParts(suite);
  if (needsFiles) await checkFiles(suite);
  return suite;
}

/** The description of a suite alone, by name or path; nothing else of it has to be there. */
export async function suiteManifest(nameOrPath: string): Promise<SuiteManifest> {
  return (await readManifest(await findSuite(nameOrPath))).manifest;
}

/** Where the files of all sources lie or would lie, by `<source>:<path>`. */
async function hubPaths(manifest: SuiteManifest, env: HubEnvironment): Promise<Map<string, string>> {
  const paths = new Map<string, string>();
  for (const [name, source] of Object.entries(manifest.sources))
    for (const { path, file } of await cachedFiles(source, hubCacheFolder(env)))
      paths.set(`${name}:${path}`, file);
  return paths;
}

/** The manifest in a folder; one that extends another suite is filled up from it. */
async function readManifest(
  folder: string,
  seen: readonly string[] = [],
): Promise<{ manifest: SuiteManifest; files: readonly string[] }> {
  const path = join(folder, SUITE_FILE);
  const raw = await readJson(path);
  const extended = extendedSuite(raw);
  if (extended === undefined) return { manifest: parseSuiteManifest(raw, path), files: [path] };
  const there = resolve(folder, extended);
  if ([...seen, folder].includes(there))
    throw new VansError("VANS_SUITE_INVALID", "suites extend each other in a circle", {
      found: [...seen, folder, there].join(" extends "),
      fix: "let one of them name its parts itself",
    });
  const base = await readManifest(there, [...seen, folder]);
  const toBase = relative(folder, there).split(sep).join("/");
  return { manifest: extendManifest(base.manifest, raw, { path, toBase }), files: [path, ...base.files] };
}

/** Bytes of the files that a suite's parts are read from. */
export async function weightBytes(suite: Suite): Promise<number> {
  const { vlm, vdm, vae, textEncoder, adapters } = suite;
  let total = 0;
  for (const path of new Set([vlm, vdm, vae, textEncoder, ...adapters].flatMap((part) => part.weights))) {
    const found = await stat(path).catch(() => undefined);
    // Of a sharded checkpoint the index is named; its shards lie beside it.
    const shards = path.endsWith(".index.json") || found?.isDirectory();
    total += shards ? await folderBytes(found?.isDirectory() ? path : dirname(path)) : (found?.size ?? 0);
  }
  return total;
}

async function folderBytes(folder: string): Promise<number> {
  let total = 0;
  for (const name of await readdir(folder))
    if (name.endsWith(".safetensors")) total += (await stat(join(folder, name))).size;
  return total;
}

/** The folder of a suite. */
async function findSuite(nameOrPath: string): Promise<string> {
  const candidates = NAME.test(nameOrPath)
    ? [join(BUNDLED_SUITES, nameOrPath), resolve(nameOrPath)]
    : [resolve(nameOrPath)];
  for (const folder of candidates) if (await isFile(join(folder, SUITE_FILE))) return folder;
  const names = await bundledSuites();
  throw new VansError("VANS_SUITE_NOT_FOUND", `there is no suite "${nameOrPath}"`, {
    asked: candidates.map((folder) => join(folder, SUITE_FILE)).join(" or "),
    found: `suites that come with the package: ${names.join(", ") || "none"}`,
    fix: "give the name of a bundled suite (vans suites lists them) or the path of a folder with a suite.json",
    data: { suite: nameOrPath, known: names },
  });
}

/** Names of the suites that come with the package. */
export async function bundledSuites(): Promise<string[]> {
  const entries = await readdir(BUNDLED_SUITES, { withFileTypes: true }).catch(() => []);
  const names: string[] = [];
  for (const entry of entries)
    if (entry.isDirectory() && (await isFile(join(BUNDLED_SUITES, entry.name, SUITE_FILE))))
      names.push(entry.name);
  return names.sort();
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw fileMissing(path, cause);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new VansError("VANS_SUITE_INVALID", `${path} is not JSON`, {
      found: cause instanceof Error ? cause.message : String(cause),
      fix: "fetch the file again, or correct it",
      cause,
      data: { path },
    });
  }
}

const adapterConfig = z.object({ r: z.int().positive(), lora_alpha: z.number().positive() });

function adapterSizes(raw: unknown, path: string): { rank: number; alpha: number } {
  const parsed = adapterConfig.safeParse(raw);
  if (parsed.success) return { rank: parsed.data.r, alpha: parsed.data.lora_alpha };
  throw new VansError("VANS_SUITE_INVALID", `${path} is not an adapter configuration of PEFT`, {
    found: parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "),
    fix: "use the adapter_config.json that PEFT wrote beside the adapter",
  });
}

function fileMissing(path: string, cause?: unknown): VansError {
  return new VansError("VANS_SUITE_FILE_MISSING", `the suite names a file that is not there: ${path}`, {
    fix: "fetch the suite again, or correct the path in suite.json",
    cause,
    data: { path },
  });
}

async function checkFiles(suite: Suite): Promise<void> {
  const { vlm, vdm, vae, textEncoder, adapters, manifest } = suite;
  const missing: string[] = [];
  for (const [name, source] of Object.entries(manifest.sources))
    for (const path of source.files)
      if (!(await stat(suite.at(`${name}:${path}`)).catch(() => undefined)))
        missing.push(`${source.repo}/${path}`);
  if (missing.length > 0)
    throw new VansError("VANS_SUITE_NOT_PULLED", `${suite.name} is not on this machine yet`, {
      found: `missing: ${missing.slice(0, 6).join(", ")}${missing.length > 6 ? ` and ${missing.length - 6} more` : ""}`,
      fix: `vans suites pull ${suite.name}; vans plan --suite ${suite.name} says what it needs`,
      data: { suite: suite.name, missing },
    });
  const paths = [vlm, vdm, vae, textEncoder, ...adapters].flatMap((one) => one.weights);
  for (const path of [...paths, vlm.tokenizer, textEncoder.tokenizer])
    if (!(await stat(path).catch(() => undefined))) throw fileMissing(path);
}

/** Parts that come from different models, or settings that a model cannot take. */
function checkParts({ manifest, vdm, vae, textEncoder, folder }: Suite): void {
  const { answer } = manifest;
  const { space } = vaeStride(vae.config);
  const [, rows, columns] = vdm.config.patchSize;
  const problems: string[] = [];
  const check = (isFine: boolean, problem: string): void => {
    if (!isFine) problems.push(problem);
  };
  check(
    vdm.config.inChannels === vae.config.z_dim && vdm.config.outChannels === vae.config.z_dim,
    `vdm: ${vdm.config.inChannels} latent channels, vae: ${vae.config.z_dim}`,
  );
  check(
    vdm.config.textWidth === textEncoder.config.width,
    `vdm: text width ${vdm.config.textWidth}, textEncoder: ${textEncoder.config.width}`,
  );
  for (const name of ["inputFrames", "answerFrames", "stillFrames"] as const) {
    try {
      latentFrameCount(vae.config, answer[name]);
    } catch (error) {
      check(
        false,
        `answer.${name}: ${answer[name]} frames; ${isVansError(error) ? error.details.fix : String(error)}`,
      );
    }
  }
  check(
    answer.height % (space * rows) === 0 && answer.width % (space * columns) === 0,
    `answer: ${answer.width}x${answer.height} pixels; multiples of ${space * columns} and ${space * rows} are needed`,
  );
  if (problems.length > 0) {
    throw new VansError("VANS_SUITE_INVALID", `the parts of ${manifest.name} do not fit together`, {
      found: problems.join("; "),
      fix: "correct suite.json, or use the configurations that came with the weights",
      data: { path: join(folder, SUITE_FILE), problems },
    });
  }
}
