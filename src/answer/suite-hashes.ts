/**
 * SHA-256 of the files that an answer depends on, remembered as long as a file keeps its size and time of change.
 * @module
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { blobHash } from "../weights/index.ts";
import type { Suite } from "./suite.ts";
import { hubFileOf } from "./suite-manifest.ts";

/** Hashes by path relative to the suite's folder, with forward slashes. */
export type SuiteHashes = Readonly<Record<string, string>>;

/** Larger files are worth a note on disk; smaller ones are hashed anew by every process. */
const NOTED_BYTES = 64 * 2 ** 20;

const known = new Map<string, Promise<string>>();

/** SHA-256 of a file in hexadecimal. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Hashes of the description, configurations, weights and tokenizers of a suite. */
export async function suiteHashes(suite: Suite): Promise<SuiteHashes> {
  const { manifest, folder, at } = suite;
  const { vlm, vdm, vae, textEncoder, adapters } = manifest;
  const named = [
    ...suite.descriptions.map((path) => relative(folder, path)),
    ...[vlm, vdm, vae, textEncoder, ...adapters].flatMap((part) => [
      ...(part.config === undefined ? [] : [part.config]),
      ...part.weights,
    ]),
    vlm.tokenizer,
    textEncoder.tokenizer,
    ...Object.entries(manifest.sources).flatMap(([name, source]) =>
      source.files.map((path) => `${name}:${path}`),
    ),
  ];
  const hashed = await Promise.all(
    [...new Set(named)].map(async (reference): Promise<[string, string][]> => {
      // What the hub client fetched is called by the hash it was checked against.
      const fetched = hubFileOf(reference) && (await blobHash(at(reference)));
      if (fetched) return [[reference, fetched]];
      const paths = await filesAt(at(reference));
      return Promise.all(
        paths.map(
          async (path): Promise<[string, string]> => [
            hubFileOf(reference) ? reference : relative(folder, path).split(sep).join("/"),
            await remembered(path),
          ],
        ),
      );
    }),
  );
  return Object.fromEntries(hashed.flat().sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

/** A file itself, or all files below a folder. */
async function filesAt(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function remembered(path: string): Promise<string> {
  const { size, mtimeMs } = await stat(path);
  const key = `${path}:${size}:${mtimeMs}`;
  const before = known.get(key);
  if (before) return before;
  const computed = size >= NOTED_BYTES ? noted(path, key) : hashFile(path);
  known.set(key, computed);
  return computed;
}

/** A hash from the note on disk, or computed and noted. */
async function noted(path: string, key: string): Promise<string> {
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  const note = join(cache, "vans", "hashes", createHash("sha256").update(key).digest("hex"));
  const found = await readFile(note, "utf8").catch(() => undefined);
  if (found !== undefined && /^[0-9a-f]{64}$/.test(found)) return found;
  const hash = await hashFile(path);
  // The note only saves time: a folder that cannot be written to is no reason to fail.
  try {
    await mkdir(dirname(note), { recursive: true });
    await writeFile(`${note}.${process.pid}`, hash);
    await rename(`${note}.${process.pid}`, note);
  } catch {}
  return hash;
}
