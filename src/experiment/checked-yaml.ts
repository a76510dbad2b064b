/**
 * YAML files checked by a schema, with the line of every problem.
 * @module
 */
import { LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { type ErrorCode, VansError } from "../base/errors.ts";

/** What a file is called and how its refusal is coded. */
export interface CheckedYamlOptions {
  /** Path, for messages. */
  readonly source: string;
  readonly code: ErrorCode;
  /** What the file should be, for example `experiment`. */
  readonly what: string;
  readonly fix?: string | undefined;
}

/**
 * Parses and checks YAML text.
 *
 * @throws the given code, naming line and field of every problem
 */
export function checkedYaml<Schema extends z.ZodType>(
  text: string,
  schema: Schema,
  { source, code, what, fix }: CheckedYamlOptions,
): z.infer<Schema> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  if (document.errors.length > 0)
    throw new VansError(code, `${source} is not valid YAML`, { found: document.errors[0]!.message });
  const checked = schema.safeParse(document.toJS());
  if (checked.success) return checked.data;
  const found = checked.error.issues.map(({ path, message }) => {
    // A field that is missing has no place of its own; that of its nearest parent is told.
    for (let depth = path.length; depth >= 0; depth--) {
      const node = document.getIn(path.slice(0, depth) as (string | number)[], true) as
        | { range?: [number, number, number] }
        | undefined;
      if (node?.range)
        return `line ${lines.linePos(node.range[0]).line}: ${path.join(".") || what}: ${message}`;
    }
    return `${path.join(".") || what}: ${message}`;
  });
  throw new VansError(code, `${source} is not a valid ${what}`, {
    found: found.join("; "),
    ...(fix && { fix }),
  });
}
