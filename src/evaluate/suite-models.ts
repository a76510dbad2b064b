/**
 * The models of a suite for an evaluation: the very ones that answer.
 * @module
 */
import { captionOf } from "../answer/caption-of.ts";
import { type AnswerSettings, LanguageModel, type Suite, TextEncoder, VideoModel } from "../answer/index.ts";
import { VansError } from "../base/errors.ts";
import type { CompileOptions } from "../runtime/index.ts";
import { ANSWER_FRAMES, INPUT_FRAMES, WORLD_FRAME_RATE_HZ, WORLD_SIZE } from "../world/index.ts";
import { type EvaluatedModels, noiseKey, tokenKey } from "./evaluated-models.ts";

/** Settings that an evaluation may change. */
export type ChangedSettings = Partial<Pick<AnswerSettings, "steps" | "guidanceScale">>;

/** The settings of a suite with changes. @throws `VANS_EVALUATE_REQUEST` */
export function changedSettings(suite: Suite, changes: ChangedSettings): AnswerSettings {
  const { steps, guidanceScale } = changes;
  if (steps !== undefined && !(Number.isInteger(steps) && steps >= 1 && steps <= 1000))
    throw requestError(`steps ${steps}`, "give a whole number from 1 to 1000");
  if (guidanceScale !== undefined && !(Number.isFinite(guidanceScale) && guidanceScale >= 0))
    throw requestError(`guidance ${guidanceScale}`, "give a number from 0 on (1 is none)");
  return {
    ...suite.manifest.answer,
    ...(steps !== undefined && { steps }),
    ...(guidanceScale !== undefined && { guidanceScale }),
  };
}

function requestError(asked: string, fix: string): VansError {
  return new VansError("VANS_EVALUATE_REQUEST", "the evaluation cannot be made with these settings", {
    asked,
    fix,
  });
}

/**
 * Checks that answers of a suite can be compared with the world's own drawings, pixel by pixel.
 *
 * @throws `VANS_EVALUATE_SUITE`
 */
export function checkWorldSized(suite: Suite): void {
  const { height, width, inputFrames, answerFrames, frameRateHz } = suite.manifest.answer;
  const found = [inputFrames, answerFrames, height, width, frameRateHz];
  const wanted = [INPUT_FRAMES, ANSWER_FRAMES, WORLD_SIZE, WORLD_SIZE, WORLD_FRAME_RATE_HZ];
  if (found.join() === wanted.join()) return;
  const words = ([input, answer, rows, columns, rate]: readonly number[]): string =>
    `${input} input and ${answer} answer frames of ${columns}x${rows} at ${rate} Hz`;
  throw new VansError("VANS_EVALUATE_SUITE", `${suite.name} cannot be evaluated on the playroom`, {
    asked: words(wanted),
    found: words(found),
    why: "answers are compared with drawings of the simulated world pixel by pixel",
    fix: "evaluate a suite that answers in the playroom's size",
  });
}

/** How the second and later answers of several are written: as VANS is sampled. */
export const OTHER_ANSWERS = { temperature: 0.7, topP: 0.9 } as const;

/** Models of a suite, with a way to give their graphs back. */
export interface SuiteModels extends Required<EvaluatedModels> {
  release(): Promise<void>;
}

/** Opens the models of a suite. Graphs are compiled when first used, so parts that are not evaluated cost nothing. */
export async function openSuiteModels(
  suite: Suite,
  settings: AnswerSettings,
  run: Pick<CompileOptions, "device" | "threads">,
): Promise<SuiteModels> {
  checkWorldSized(suite);
  const [language, text, video] = await Promise.all([
    LanguageModel.open(suite, run),
    TextEncoder.open(suite, run),
    VideoModel.open(suite, run),
  ]);
  return {
    write: async (frames, question, seed, options) => {
      const sight = await language.see(frames, { signal: options.signal });
      const { answer = 0, ...stop } = options;
      // The suite's own answer is written by its settings; others differ from it only where tokens are drawn.
      const how = answer === 0 ? settings : { ...settings, ...OTHER_ANSWERS };
      const pieces = language.write(sight, question, how, tokenKey(seed, answer), stop);
      for (;;) {
        const next = await pieces.next();
        if (next.done) return captionOf(next.value, question);
      }
    },
    throughAutoencoder: async (clip, options) => {
      const { all } = await video.references(clip, options);
      return video.decode(all, options);
    },
    references: async (frames, options) => (await video.references(frames, options)).references,
    draw: async ({ references, caption, seed }, { answer = 0, ...options }) => {
      const { context } = await text.encode(caption, options);
      const negative =
        settings.guidanceScale === 1 ? undefined : await text.encode(settings.negativePrompt, options);
      const order = { references, context, negativeContext: negative?.context, key: noiseKey(seed, answer) };
      const steps = video.draw(order, settings, { ...options, batchBranches: true });
      for (;;) {
        const next = await steps.next();
        if (next.done) return video.decode(next.value, options);
      }
    },
    release: async () => {
      await Promise.all([language.release(), text.release(), video.release()]);
    },
  };
}
