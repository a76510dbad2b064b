/**
 * What a report says of the clip that was asked about, and what a reader of the answer should know of it.
 * @module
 */
import type { AnswerReport, AnswerWarning } from "./answer-event.ts";
import type { InputFrames } from "./input-frames.ts";
import type { AnswerSettings } from "./suite-manifest.ts";

/** A clip's facts, and the frames that were seen of it. */
export function inputReport(input: InputFrames): AnswerReport["input"] {
  const { facts, isStill, file, frames } = input;
  return { ...facts, isStill, path: file?.path, sha256: file?.sha256, frames };
}

/** Frames that could not be decoded, and clips longer than the suite expects. */
export function inputWarnings(
  input: InputFrames,
  settings: Pick<AnswerSettings, "frameRateHz" | "inputFrames">,
  suiteName: string,
): AnswerWarning[] {
  const { frameRateHz, inputFrames } = settings;
  const warnings: AnswerWarning[] = [];
  if (input.lostFrames > 0) {
    warnings.push({
      code: "VANS_CLIP_DAMAGED",
      message: `${input.lostFrames} of ${input.timesSecs.length} frames could not be decoded; their neighbours stand in`,
      data: { lostFrames: input.lostFrames },
    });
  }
  if (input.speed > 1) {
    const spanSecs = inputFrames / frameRateHz;
    warnings.push({
      code: "VANS_CLIP_SPED_UP",
      message: `the clip lasts ${input.facts.durationSecs.toFixed(1)} s; its ${inputFrames} frames are spread over all of it, ${input.speed.toFixed(1)} times as fast as ${suiteName} expects`,
      fix: `cut out the ${spanSecs.toFixed(1)} s that matter`,
      data: { durationSecs: input.facts.durationSecs, speed: input.speed },
    });
  }
  return warnings;
}
