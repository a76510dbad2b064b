/**
 * One question, and the settings that it is answered with.
 * @module
 */
import { VansError } from "../base/errors.ts";
import type { Clip } from "../media/clip.ts";
import type { UsedSettings } from "./answer-event.ts";
import type { AnswerSettings } from "./suite-manifest.ts";

/** One question. Everything but clip and question has the suite's default. */
export interface AnswerRequest {
  /** Path of a video or picture, or frames. */
  readonly clip: string | Clip;
  readonly question: string;
  readonly seed?: number | undefined;
  readonly steps?: number | undefined;
  readonly guidanceScale?: number | undefined;
  /** Of the language model; 0 takes the likeliest token. */
  readonly temperature?: number | undefined;
  /** How many futures; default 1. */
  readonly samples?: number | undefined;
  /** Number of the first future; default 0. Future k is the same whether it is drawn alone or among others. */
  readonly firstSample?: number | undefined;
  /** `linear` adds small pictures to the steps; default `none`. */
  readonly preview?: "none" | "linear" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The suite's settings with those of the request. @throws `VANS_ANSWER_REQUEST` */
export function settingsFor(defaults: AnswerSettings, request: AnswerRequest): UsedSettings {
  const { seed, steps, guidanceScale, temperature, samples = 1, firstSample = 0 } = request;
  const used: UsedSettings = {
    ...defaults,
    ...(seed !== undefined && { seed }),
    ...(steps !== undefined && { steps }),
    ...(guidanceScale !== undefined && { guidanceScale }),
    ...(temperature !== undefined && { temperature }),
    samples,
    firstSample,
  };
  const problems: string[] = [];
  const check = (isFine: boolean, problem: string): void => {
    if (!isFine) problems.push(problem);
  };
  const isCount = (value: number, most: number): boolean =>
    Number.isInteger(value) && value >= 1 && value <= most;
  check(Number.isSafeInteger(used.seed) && used.seed >= 0, `seed ${used.seed}: a whole number from 0 on`);
  check(isCount(used.steps, 1000), `steps ${used.steps}: a whole number from 1 to 1000`);
  check(
    Number.isFinite(used.guidanceScale) && used.guidanceScale >= 0,
    `guidanceScale ${used.guidanceScale}: a number from 0 on (1 is none)`,
  );
  check(
    Number.isFinite(used.temperature) && used.temperature >= 0,
    `temperature ${used.temperature}: a number from 0 on`,
  );
  check(isCount(samples, 1000), `samples ${samples}: a whole number from 1 to 1000`);
  check(
    Number.isSafeInteger(firstSample) && firstSample >= 0,
    `firstSample ${firstSample}: a whole number from 0 on`,
  );
  if (problems.length === 0) return used;
  throw new VansError("VANS_ANSWER_REQUEST", "the answer cannot be made with these settings", {
    found: problems.join("; "),
    data: { problems },
  });
}
