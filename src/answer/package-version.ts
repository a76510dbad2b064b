/**
 * The version of this package.
 * @module
 */
import { readFileSync } from "node:fs";

/** The version in the package's own `package.json`, which lies two folders above this file in `src/` and in `dist/`. */
export function packageVersion(): string {
  const json: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const version = (json as { readonly version?: unknown }).version;
  return typeof version === "string" ? version : "unknown";
}
