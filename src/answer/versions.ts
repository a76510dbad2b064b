/**
 * Versions that results depend on.
 * @module
 */
import { readFileSync } from "node:fs";
import { runtimeVersion } from "../runtime/index.ts";
import type { AnswerVersions } from "./answer-event.ts";

/** The version in the package's own `package.json`, which lies two folders above this file in `src/` and in `dist/`. */
export function packageVersion(): string {
  const json: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const version = (json as { readonly version?: unknown }).version;
  return typeof version === "string" ? version : "unknown";
}

/** See {@link AnswerVersions}. */
export function answerVersions(): AnswerVersions {
  return {
    vans: packageVersion(),
    node: process.version,
    onnxruntime: runtimeVersion(),
    platform: `${process.platform}-${process.arch}`,
  };
}
