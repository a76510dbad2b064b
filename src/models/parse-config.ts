/**
 * Reading of model configurations: a schema in, a typed value or an error that names every wrong field out.
 * @module
 */
import { z } from "zod";
import { VansError } from "../base/errors.ts";

/**
 * A configuration that fits its schema.
 * @param what the model, for the message
 * @throws `VANS_MODEL_CONFIG` with one line a field
 */
export function parseConfig<T>(schema: z.ZodType<T>, raw: unknown, what: string): T {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    (issue) => `${issue.path.map(String).join(".") || "the file"}: ${issue.message}`,
  );
  throw configError(what, problems.join("; "));
}

/** The error for a configuration whose fields contradict each other. */
export function configError(what: string, found: string): VansError {
  return new VansError("VANS_MODEL_CONFIG", `the configuration is not one of ${what}`, {
    found,
    why: "a field is missing or its value does not fit the others",
    fix: "use the config.json that came with the weights",
  });
}

/** A positive whole number. */
export const count = z.int().positive();
