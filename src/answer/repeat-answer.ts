/**
 * Making an answer again from the settings inside its mp4, with the very same inputs.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { AnswerReport } from "./answer-event.ts";
import { type AnswerMetadata, readAnswerMetadata } from "./answer-metadata.ts";
import type { AnswerRequest } from "./answer-request.ts";
import type { DeviceChoice } from "./devices.ts";
import { DEVICE_CHOICES } from "./devices.ts";
import { packageVersion } from "./package-version.ts";
import { loadSuite } from "./suite.ts";
import { hashFile, suiteHashes } from "./suite-hashes.ts";
import { answerSchema } from "./suite-manifest.ts";

/** Where things are now, if they have moved. */
export interface RepeatOptions {
  readonly clip?: string | undefined;
  readonly suite?: string | undefined;
  /** Default: the device of the first time. */
  readonly device?: DeviceChoice | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A repetition that is known to start from the same files. */
export interface PreparedRepeat {
  readonly request: Omit<AnswerRequest, "clip" | "signal"> & {
    readonly clip: string;
    readonly suite: string;
    readonly device: DeviceChoice;
  };
  readonly metadata: AnswerMetadata;
  /** What is different now and may change the last digits. */
  readonly notes: readonly string[];
}

/**
 * Reads the settings of an answer and checks that clip and suite are those of the first time.
 *
 * @throws `VANS_AGAIN_NO_SETTINGS`, `VANS_AGAIN_INPUT_MISSING`, `VANS_AGAIN_INPUT_MISMATCH`,
 * `VANS_AGAIN_SUITE_MISMATCH`, `VANS_SUITE_…`, and what reading a media file throws
 */
export async function prepareAgain(path: string, options: RepeatOptions = {}): Promise<PreparedRepeat> {
  const metadata = await readAnswerMetadata(path, options.signal ? { signal: options.signal } : {});
  const clip = options.clip ?? metadata.input.path;
  if (clip === null || metadata.input.sha256 === null) {
    throw new VansError(
      "VANS_AGAIN_INPUT_MISSING",
      "the answer was made from frames in memory, not from a file",
      {
        fix: "ask the question again",
      },
    );
  }
  await checkClip(clip, metadata.input.sha256);
  const reference = options.suite ?? metadata.suite.reference;
  const suite = await loadSuite(reference);
  checkSuite(metadata, await suiteHashes(suite));
  const { seed, steps, guidanceScale, temperature } = metadata.settings;
  checkSettings(metadata, suite.manifest.answer);
  const device = DEVICE_CHOICES.find((choice) => choice === metadata.device) ?? "auto";
  return {
    metadata,
    notes: differences(metadata),
    request: {
      clip,
      question: metadata.question,
      suite: suite.folder,
      device: options.device ?? device,
      seed,
      steps,
      guidanceScale,
      temperature,
      samples: 1,
      firstSample: metadata.sample,
    },
  };
}

async function checkClip(path: string, expected: string): Promise<void> {
  let found: string;
  try {
    found = await hashFile(path);
  } catch (cause) {
    throw new VansError("VANS_AGAIN_INPUT_MISSING", "the clip that the answer was made from is not there", {
      asked: path,
      fix: "tell where it is now: --clip PATH",
      cause,
      data: { path },
    });
  }
  if (found === expected) return;
  throw new VansError("VANS_AGAIN_INPUT_MISMATCH", "this is not the clip that the answer was made from", {
    asked: `${path} with SHA-256 ${expected}`,
    found: `SHA-256 ${found}`,
    why: "the file was changed or replaced since",
    fix: "give the original file: --clip PATH",
    data: { path, expected, found },
  });
}

function checkSuite(metadata: AnswerMetadata, found: Readonly<Record<string, string>>): void {
  const { hashes, name, version } = metadata.suite;
  const names = [...new Set([...Object.keys(hashes), ...Object.keys(found)])].sort();
  const different = names.filter((file) => hashes[file] !== found[file]);
  if (different.length === 0) return;
  throw new VansError("VANS_AGAIN_SUITE_MISMATCH", `the suite ${name} is not the one that made this answer`, {
    asked: `${name} ${version} with the hashes inside the mp4`,
    found: `other files: ${different.join(", ")}`,
    why: "the suite was trained further, updated or edited since",
    fix: `install vans ${metadata.vans}, or tell where the old suite is: --suite PATH`,
    data: { different },
  });
}

/** Settings that a caller cannot choose come from the suite, whose hash is the same; this guards against other code. */
function checkSettings(metadata: AnswerMetadata, now: unknown): void {
  const chosen = { seed: 0, steps: 1, guidanceScale: 1, temperature: 1 };
  const comparable = (settings: unknown): string =>
    JSON.stringify(Object.entries({ ...answerSchema.parse(settings), ...chosen }).sort());
  if (comparable(metadata.settings) === comparable(now)) return;
  throw new VansError(
    "VANS_AGAIN_SUITE_MISMATCH",
    "this version of vans reads the suite's settings differently",
    {
      fix: `install vans ${metadata.vans}`,
    },
  );
}

function differences(metadata: AnswerMetadata): string[] {
  const { versions, vans } = metadata;
  const pairs: readonly (readonly [what: string, then: string, now: string])[] = [
    ["vans", vans, packageVersion()],
    ["node", versions.node, process.version],
    ["platform", versions.platform, `${process.platform}-${process.arch}`],
  ];
  return pairs
    .filter(([, then, now]) => then !== now)
    .map(([what, then, now]) => `made with ${what} ${then}, now ${now}; the last digits may differ`);
}

/** Whether a repetition gave the same frames and texts. */
export function sameAnswer(metadata: AnswerMetadata, report: AnswerReport): boolean {
  const sample = report.samples[0];
  return (
    sample !== undefined &&
    sample.framesSha256 === metadata.framesSha256 &&
    sample.caption === metadata.caption &&
    sample.reasoning === metadata.reasoning
  );
}
