/**
 * A piece of work that waits, runs and ends: what the queue keeps and what clients see.
 * @module
 */
import { z } from "zod";

/** States of a job; the last three are final. */
export const JOB_STATES = ["queued", "running", "done", "failed", "cancelled"] as const;
export type JobState = (typeof JOB_STATES)[number];

/** Kinds of jobs. */
export const JOB_KINDS = ["answer", "evaluation", "training"] as const;
export type JobKind = (typeof JOB_KINDS)[number];

/** An error as clients see it. */
export const errorSchema = z
  .object({
    code: z.string(),
    message: z.string(),
    asked: z.string().optional(),
    found: z.string().optional(),
    why: z.string().optional(),
    fix: z.string().optional(),
  })
  .describe("What was asked, what was found, the likely cause and the fix, under a stable code");
export type ErrorBody = z.infer<typeof errorSchema>;

/** How far a job is. */
export const progressSchema = z.object({
  stage: z.string(),
  done: z.number(),
  total: z.number(),
  fraction: z.number().min(0).max(1),
});
export type Progress = z.infer<typeof progressSchema>;

/** Fields that all jobs have. */
export const jobSchema = z.object({
  id: z.string(),
  kind: z.enum(JOB_KINDS),
  state: z.enum(JOB_STATES),
  createdAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
  group: z.string().nullable(),
  parent: z.string().nullable(),
  position: z
    .number()
    .int()
    .nullable()
    .describe("Place in the queue, 0 is next; null where it does not wait"),
  progress: progressSchema.nullable(),
  error: errorSchema.nullable(),
});

/** A job as the store keeps it; `request` and `result` belong to its kind. */
export interface Job extends Omit<z.infer<typeof jobSchema>, "position"> {
  /** Order of arrival. */
  readonly sequence: number;
  /** Who asked for it. */
  readonly client: string;
  /** How often it was begun. */
  readonly attempts: number;
  readonly request: unknown;
  readonly result: unknown;
}

/** True for a state that does not change any more. */
export function isFinal(state: JobState): boolean {
  return state !== "queued" && state !== "running";
}
