/**
 * What is kept of one part of one sample.
 * @module
 */
import * as z from "zod";
import { EVALUATION_PARTS } from "./metric-table.ts";

/** A row of the journal. */
export const partRowSchema = z.strictObject({
  seed: z.int().nonnegative(),
  id: z.string(),
  kind: z.enum(["procedural", "predictive"]),
  family: z.string(),
  part: z.enum(EVALUATION_PARTS),
  /** Metrics of this one sample by name; a share is 1 or 0. */
  values: z.record(z.string(), z.number()),
  /** What was written, and names: `event` is the right one, `nearest` the one that the answer is nearest to. */
  texts: z.record(z.string(), z.string()),
  /** What an I3D makes of videos, by what they are (`video`, `truth`): float32, little-endian, base64. */
  features: z.record(z.string(), z.base64()).optional(),
  /** Seconds by stage. */
  secs: z.record(z.string(), z.number()),
  /** Workers that shared the machine while this was computed. */
  workers: z.int().positive(),
});

/** One part of one sample. */
export type PartRow = z.infer<typeof partRowSchema>;

/** Metrics of one sample that is judged by itself, without a journal. */
export type PartOutcome = Omit<PartRow, "workers">;

/** A row's features as text. */
export function packFeatures(values: Float32Array): string {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setFloat32(4 * i, value, true);
  });
  return Buffer.from(bytes).toString("base64");
}

/** {@link packFeatures} undone. */
export function unpackFeatures(text: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(text, "base64"));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length >> 2 }, (_, i) => view.getFloat32(4 * i, true));
}
