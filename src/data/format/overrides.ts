/**
 * What people decided by hand: `overrides.jsonl` beside the table, one decision a line, the last one on a sample counts.
 * @module
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { VansError } from "../../base/errors.ts";
import { writeFileAtomically } from "../../weights/atomic-file.ts";
import type { SampleRow } from "./sample-row.ts";

/** Name of the file inside the folder. */
export const OVERRIDES_NAME = "overrides.jsonl";

/** One decision. */
export const overrideSchema = z.strictObject({
  id: z.string().min(1),
  /** Left out of the dataset. */
  rejected: z.boolean().default(false),
  /** Why; shown in the account of what was left out. */
  note: z.string().default(""),
  /** Replaced texts, and the split (for example `rl`). */
  fields: z
    .strictObject({
      question: z.string().min(1).optional(),
      reasoning: z.string().min(1).optional(),
      caption: z.string().min(1).optional(),
      split: z.string().min(1).optional(),
    })
    .default({}),
});

/** A decision on one sample. */
export type Override = z.infer<typeof overrideSchema>;

/**
 * Decisions by sample; none where the file does not exist.
 *
 * @throws VansError `VANS_DATA_OVERRIDES_INVALID` naming the line
 */
export async function readOverrides(folder: string): Promise<Map<string, Override>> {
  const path = join(folder, OVERRIDES_NAME);
  const text = await readFile(path, "utf8").catch(() => "");
  const found = new Map<string, Override>();
  text.split("\n").forEach((line, index) => {
    if (line.trim() === "") return;
    try {
      const override = overrideSchema.parse(JSON.parse(line));
      found.set(override.id, override);
    } catch (cause) {
      throw new VansError("VANS_DATA_OVERRIDES_INVALID", `${path} has a line that cannot be read`, {
        found: `line ${index + 1}: ${line.slice(0, 120)}`,
        fix: "correct or remove the line",
        cause,
      });
    }
  });
  return found;
}

/** Writes all decisions, sorted by sample; those that change nothing are left out. */
export async function writeOverrides(
  folder: string,
  overrides: ReadonlyMap<string, Override>,
): Promise<void> {
  const kept = [...overrides.values()]
    .filter((one) => one.rejected || one.note !== "" || Object.keys(one.fields).length > 0)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  await writeFileAtomically(join(folder, OVERRIDES_NAME), async (file) => {
    await file.writeFile(kept.map((one) => `${JSON.stringify(one)}\n`).join(""));
  });
}

/** The sample as decided; undefined where it was rejected. */
export function overridden(row: SampleRow, override: Override | undefined): SampleRow | undefined {
  if (override === undefined) return row;
  if (override.rejected) return undefined;
  const fields = Object.fromEntries(
    Object.entries(override.fields).filter(([, value]) => value !== undefined),
  );
  return { ...row, ...fields };
}
