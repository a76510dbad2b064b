/**
 * The rows of a made playroom folder: samples of the general format whose simulated facts are all there.
 * @module
 */
import * as z from "zod";
import { VansError } from "../base/errors.ts";
import { MANIFEST_NAME, readRows, writeSamples } from "./format/manifest-file.ts";
import { type SampleRow, sampleRowSchema, wrongEventSchema } from "./format/sample-row.ts";

export { MANIFEST_NAME };

const rowSchema = z.object({
  id: z.string(),
  kind: z.enum(["procedural", "predictive"]),
  family: z.string(),
  seed: z.number().int().nonnegative(),
  world_version: z.number().int(),
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

/** The row in the general format. */
export function sampleRowOf(row: ManifestRow): SampleRow {
  return sampleRowSchema.parse({ ...row, video: row.id });
}

/**
 * Writes the manifest in one piece: a reader sees the old table or the new one, never half of it. It is a table of the
 * general dataset format.
 */
export async function writeManifest(folder: string, rows: readonly ManifestRow[]): Promise<void> {
  await writeSamples(folder, rows.map(sampleRowOf));
}

/**
 * Reads the manifest of a made playroom folder.
 *
 * @throws VansError `VANS_DATA_MANIFEST_NOT_FOUND` where there is none, `VANS_DATA_MANIFEST_INVALID` where it is
 * no parquet table or a row lacks what it must have.
 */
export async function readManifest(folder: string): Promise<ManifestRow[]> {
  const rows: ManifestRow[] = [];
  for await (const read of readRows(folder)) {
    const parsed = read.row === undefined ? undefined : rowSchema.safeParse(read.row);
    if (parsed?.success) {
      rows.push(parsed.data);
      continue;
    }
    const issue = parsed?.error?.issues[0];
    const fault = read.fault ?? `column ${String(issue?.path[0])}: ${issue?.message}`;
    throw new VansError("VANS_DATA_MANIFEST_INVALID", `${folder} lacks what a simulated sample must have`, {
      found: `row ${read.index}, ${fault}`,
      fix: "make the folder again: vans world make",
    });
  }
  return rows;
}
