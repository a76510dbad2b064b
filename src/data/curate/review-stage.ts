/**
 * Stage 4: leakage, logic, answerability. Rules look first; a judge keeps, corrects or rejects and says why; what it
 * corrected goes through the rules again. Without a judge the rules decide alone.
 * @module
 */
import * as z from "zod";
import type { Asker } from "../providers/asker.ts";
import { fillPrompt, readPrompt } from "../providers/prompts.ts";
import { findLeaks } from "../review/leakage.ts";
import {
  type AnnotatedSample,
  annotatedSampleSchema,
  annotateSchema,
  clipPictures,
} from "./annotate-stage.ts";
import { type SelectedVideo, selectSchema } from "./select-stage.ts";
import { type Dropped, droppedSchema, readResult, type Stage } from "./stage.ts";
import type { ListedVideo } from "./video-list.ts";

/** Schema of a reviewed video. */
export const reviewSchema = z.object({
  samples: z.array(
    annotatedSampleSchema.extend({ verdict: z.enum(["keep", "correct"]), reasons: z.array(z.string()) }),
  ),
  dropped: z.array(droppedSchema),
  quarantined: z.array(z.object({ item: z.string(), reason: z.string(), answers: z.array(z.string()) })),
  prompt: z.string().nullable(),
  model: z.string().nullable(),
});
export type ReviewedVideo = z.infer<typeof reviewSchema>;

const judgementSchema = z.object({
  verdict: z.enum(["keep", "correct", "reject"]),
  reasons: z.array(z.string()),
  question: z.string().trim().min(3).max(600).optional(),
  reasoning: z.string().trim().min(3).max(3000).optional(),
  caption: z.string().trim().min(3).max(800).optional(),
});

/** Settings of the stage. */
export interface ReviewSettings {
  /** Rules alone where undefined. */
  readonly asker?: Asker | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The stage. */
export function reviewStage(folder: string, settings: ReviewSettings = {}): Stage<ReviewedVideo> {
  const before = { name: "annotate", schema: annotateSchema } as const;
  const { asker } = settings;
  return {
    name: "review",
    schema: reviewSchema,
    async ingredients(video) {
      const annotated = await readResult(folder, before, video.id);
      const judge =
        asker === undefined ? null : [asker.provider.model, (await readPrompt("review", folder)).version];
      return [annotated?.ingredients ?? null, judge];
    },
    async work(video) {
      const annotated = (await readResult(folder, before, video.id))?.value;
      const selected = (await readResult(folder, { name: "select", schema: selectSchema }, video.id))?.value;
      const result: ReviewedVideo = {
        samples: [],
        dropped: [],
        quarantined: [],
        prompt: asker === undefined ? null : (await readPrompt("review", folder)).version,
        model: asker?.provider.model ?? null,
      };
      if (annotated === undefined || selected === undefined) return result;
      for (const sample of annotated.samples)
        await reviewSample(folder, video, selected, sample, settings, result);
      return result;
    },
  };
}

async function reviewSample(
  folder: string,
  video: ListedVideo,
  selected: SelectedVideo,
  sample: AnnotatedSample,
  { asker, signal }: ReviewSettings,
  result: ReviewedVideo,
): Promise<void> {
  const drop = (reason: string): void => {
    const dropped: Dropped = { item: sample.id, reason: `review: ${reason}` };
    result.dropped.push(dropped);
  };
  const input = selected.clips.find((clip) => clip.index === sample.input);
  const output = selected.clips.find((clip) => clip.index === sample.output);
  if (input === undefined || output === undefined) return drop("its clips are gone");
  const leaksOf = (texts: Pick<AnnotatedSample, "question" | "reasoning" | "caption">) =>
    findLeaks({
      ...texts,
      inputLabel: [input.label, input.description].filter((text) => text).join(". ") || null,
      outputLabel: output.label,
      goal: video.goal,
      skippedSteps: sample.skipped,
    });
  const leaks = leaksOf(sample);
  if (asker === undefined) {
    if (leaks.length > 0) return drop(`leakage: ${leaks.map((leak) => leak.reason).join("; ")}`);
    result.samples.push({ ...sample, verdict: "keep", reasons: [] });
    return;
  }
  const prompt = await readPrompt("review", folder);
  const asked = await asker.ask(
    {
      task: "review",
      item: sample.id,
      system: prompt.system,
      text: fillPrompt(prompt, {
        kind: video.kind,
        question: sample.question,
        reasoning: sample.reasoning,
        caption: sample.caption,
        findings: leaks.length === 0 ? "nothing" : leaks.map((leak) => leak.reason).join("; "),
      }),
      pictures: [
        ...(await clipPictures(folder, "input clip", input, signal)),
        ...(await clipPictures(folder, "output clip", output, signal)),
      ],
      facts: {
        question: sample.question,
        reasoning: sample.reasoning,
        caption: sample.caption,
        leaks: leaks.map((leak) => leak.reason),
        inputClip: input.clip,
      },
    },
    judgementSchema,
  );
  if (asked.kind === "refused") return drop(`refused: ${asked.reason}`);
  if (asked.kind === "quarantine") {
    const { reason, answers } = asked;
    result.quarantined.push({ item: sample.id, reason: `review: ${reason}`, answers: [...answers] });
    return;
  }
  const { verdict, reasons, question, reasoning, caption } = asked.value;
  if (verdict === "reject") return drop(`rejected: ${reasons.join("; ") || "no reason given"}`);
  const texts = {
    question: verdict === "correct" ? (question ?? sample.question) : sample.question,
    reasoning: verdict === "correct" ? (reasoning ?? sample.reasoning) : sample.reasoning,
    caption: verdict === "correct" ? (caption ?? sample.caption) : sample.caption,
  };
  const left = leaksOf(texts);
  if (left.length > 0) return drop(`leakage: ${left.map((leak) => leak.reason).join("; ")}`);
  result.samples.push({ ...sample, ...texts, verdict, reasons });
}
