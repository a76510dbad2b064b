/**
 * The table of a made playroom folder: `manifest.parquet`, one row a sample, clips by relative path.
 * @module
 */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import * as z from "zod";
import { VansError } from "../base/errors.ts";

/** Name of the table inside the folder. */
export const MANIFEST_NAME = "manifest.parquet";

const wrongEventSchema = z.object({
  event: z.string(),
  caption: z.string(),
  paraphrases: z.array(z.string()),
});

const rowSchema = z.object({
  id: z.string(),
  kind: z.enum(["procedural", "predictive"]),
  family: z.string(),
  seed: z.coerce.number().int().nonnegative(),
  world_version: z.coerce.number().int(),
  input: z.string(),
  output: z.string(),
  question: z.string(),
  reasoning: z.string(),
  caption: z.string(),
  paraphrases: z.array(z.string()),
  event: z.string(),
  wrong_events: z.array(wrongEventSchema),
  split: z.enum(["train", "evaluation"]),
  source: z.string(),
  licence: z.string(),
});

/** One row of the manifest. `input` and `output` are paths relative to the folder, with forward slashes. */
export type ManifestRow = z.infer<typeof rowSchema>;

/**
 * Writes the manifest in one piece: a reader sees the old table or the new one, never half of it.
 * `paraphrases` and `wrong_events` are JSON columns.
 */
export async function writeManifest(folder: string, rows: readonly ManifestRow[]): Promise<void> {
  const text = (
    name: Exclude<keyof ManifestRow, "seed" | "world_version" | "paraphrases" | "wrong_events">,
  ) => ({
    name,
    data: rows.map((row) => row[name]),
    type: "STRING" as const,
    nullable: false,
  });
  const json = (name: "paraphrases" | "wrong_events") => ({
    name,
    data: rows.map((row) => row[name]),
    type: "JSON" as const,
    nullable: false,
  });
  const bytes = parquetWriteBuffer({
    columnData: [
      text("id"),
      text("kind"),
      text("family"),
      { name: "seed", data: rows.map((row) => BigInt(row.seed)), type: "INT64", nullable: false },
      { name: "world_version", data: rows.map((row) => row.world_version), type: "INT32", nullable: false },
      text("input"),
      text("output"),
      text("question"),
      text("reasoning"),
      text("caption"),
      json("paraphrases"),
      text("event"),
      json("wrong_events"),
      text("split"),
      text("source"),
      text("licence"),
    ],
  });
  const path = join(folder, MANIFEST_NAME);
  const draft = `${path}.part`;
  try {
    await writeFile(draft, new Uint8Array(bytes));
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/**
 * Reads the manifest of a made playroom folder.
 *
 * @throws VansError `VANS_DATA_MANIFEST_NOT_FOUND` where there is none, `VANS_DATA_MANIFEST_INVALID` where it is
 * no parquet table or a row lacks what it must have.
 */
export async function readManifest(folder: string): Promise<ManifestRow[]> {
  const path = join(folder, MANIFEST_NAME);
  let file: ArrayBuffer;
  try {
    const bytes = await readFile(path);
    file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  } catch (cause) {
    throw new VansError("VANS_DATA_MANIFEST_NOT_FOUND", `no ${MANIFEST_NAME} in ${folder}`, {
      fix: `make one: vans world make --seed 900000 --count 400 --out ${folder}`,
      cause,
    });
  }
  let objects: Record<string, unknown>[];
  try {
    objects = await parquetReadObjects({ file });
  } catch (cause) {
    throw new VansError("VANS_DATA_MANIFEST_INVALID", `${path} is not a parquet table that can be read`, {
      found: cause instanceof Error ? cause.message : String(cause),
      fix: "make the folder again",
      cause,
    });
  }
  const parsed = z.array(rowSchema).safeParse(objects);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new VansError("VANS_DATA_MANIFEST_INVALID", `${path} lacks what a manifest must have`, {
    found: `row ${String(issue?.path[0])}, column ${String(issue?.path[1])}: ${issue?.message}`,
    fix: "make the folder again",
  });
}
