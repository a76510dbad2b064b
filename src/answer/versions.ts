/**
 * Versions that results depend on.
 * @module
 */
import { runtimeVersion } from "../runtime/index.ts";
import type { AnswerVersions } from "./answer-event.ts";
import { packageVersion } from "./package-version.ts";

/** See {@link AnswerVersions}. */
export function answerVersions(): AnswerVersions {
  return {
    vans: packageVersion(),
    node: process.version,
    onnxruntime: runtimeVersion(),
    platform: `${process.platform}-${process.arch}`,
  };
}
