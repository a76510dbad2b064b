/**
 * Stage 3: questions, reasoning, answers. Procedural: each step with the next one that is usable, the steps skipped in
 * between named as done. Predictive: neighbouring shots, with one or several hypotheses.
 * @module
 */
import { join } from "node:path";
import * as z from "zod";
import { VansError } from "../../base/errors.ts";
import type { Asker } from "../providers/asker.ts";
import { fillPrompt, readPrompt } from "../providers/prompts.ts";
import { cutSelected } from "./cut-selected.ts";
import { picturesAt, spreadTimes } from "./request-pictures.ts";
import { type SelectedClip, type SelectedVideo, selectSchema } from "./select-stage.ts";
import { segmentName } from "./split-stage.ts";
import { type Dropped, droppedSchema, readResult, type Stage } from "./stage.ts";
import type { ListedVideo } from "./video-list.ts";

const textsSchema = z.object({
  question: z.string().trim().min(3).max(600),
  reasoning: z.string().trim().min(3).max(3000),
  caption: z.string().trim().min(3).max(800),
});

/** Schema of a pair of clips, and what was asked about it. */
export const annotatedSampleSchema = textsSchema.extend({
  id: z.string(),
  pair: z.string(),
  /** Indices of the two segments. */
  input: z.number().int(),
  output: z.number().int(),
  skipped: z.array(z.string()),
});
export type AnnotatedSample = z.infer<typeof annotatedSampleSchema>;

/** Schema of an annotated video. */
export const annotateSchema = z.object({
  samples: z.array(annotatedSampleSchema),
  /** Clips without a partner. */
  unpaired: z.array(z.string()),
  dropped: z.array(droppedSchema),
  quarantined: z.array(z.object({ item: z.string(), reason: z.string(), answers: z.array(z.string()) })),
  prompt: z.string().nullable(),
  model: z.string().nullable(),
});
export type AnnotatedVideo = z.infer<typeof annotateSchema>;

/** Settings of the stage. */
export interface AnnotateSettings {
  readonly asker: Asker | undefined;
  /** Samples for one pair. Default 1. */
  readonly questions?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Times of frames are rounded. */
const SLACK_SECS = 0.05;

/** Frames of each clip that the model sees. */
const FRAMES_PER_CLIP = 6;

/** The stage. */
export function annotateStage(folder: string, settings: AnnotateSettings): Stage<AnnotatedVideo> {
  const { asker, questions = 1 } = settings;
  const before = { name: "select", schema: selectSchema } as const;
  return {
    name: "annotate",
    schema: annotateSchema,
    async ingredients(video) {
      const selected = await readResult(folder, before, video.id);
      const prompt = (await readPrompt(promptNameOf(video), folder)).version;
      return [selected?.ingredients ?? null, questions, asker?.provider.model ?? null, prompt];
    },
    async work(video) {
      const selected = (await readResult(folder, before, video.id))?.value;
      const nothing = { samples: [], unpaired: [], dropped: [], quarantined: [], prompt: null, model: null };
      if (selected === undefined) return nothing;
      return video.given === undefined
        ? annotatePairs(folder, video, selected, settings)
        : reasonGiven(folder, video, selected, settings);
    },
  };
}

function promptNameOf(video: ListedVideo) {
  return video.given !== undefined ? "reason" : (`annotate-${video.kind}` as const);
}

interface Pair {
  readonly name: string;
  readonly input: SelectedClip;
  readonly output: SelectedClip;
  readonly skipped: readonly string[];
}

/** Pairs of a video, and clips that are left without a partner. */
export function pairClips(
  video: ListedVideo,
  clips: readonly SelectedClip[],
): { pairs: Pair[]; unpaired: string[] } {
  const pairs: Pair[] = [];
  for (const [i, input] of clips.entries()) {
    // Annotated steps may overlap; an answer that begins before the input ends would be seen in it.
    const output = clips.slice(i + 1).find((clip) => clip.startSecs >= input.endSecs - SLACK_SECS);
    if (output === undefined) continue;
    // A consequence is seen in the very next shot; a procedure goes on after steps that were left out.
    if (video.kind === "predictive" && video.steps.length === 0 && output.index !== input.index + 1) continue;
    const skipped = video.steps
      .slice(input.index + 1, output.index)
      .filter((step) => step.endSecs <= output.startSecs + SLACK_SECS)
      .map((step) => step.label);
    pairs.push({ name: `${video.id}#${pad(input.index)}-${pad(output.index)}`, input, output, skipped });
  }
  const used = new Set(pairs.flatMap(({ input, output }) => [input.index, output.index]));
  const unpaired = clips
    .filter((clip) => !used.has(clip.index))
    .map((clip) => segmentName(video.id, clip.index));
  return { pairs, unpaired };
}

const pad = (index: number): string => String(index).padStart(3, "0");

async function annotatePairs(
  folder: string,
  video: ListedVideo,
  selected: SelectedVideo,
  settings: AnnotateSettings,
): Promise<AnnotatedVideo> {
  const { questions = 1, signal } = settings;
  const { pairs, unpaired } = pairClips(video, selected.clips);
  const prompt = await readPrompt(promptNameOf(video), folder);
  const asker = pairs.length === 0 ? settings.asker : needed(settings.asker);
  const samples: AnnotatedSample[] = [];
  const dropped: Dropped[] = [];
  const quarantined: AnnotatedVideo["quarantined"] = [];
  const schema = z.object({
    samples: z.array(textsSchema).max(questions),
    reject: z.string().nullable().default(null),
  });
  for (const { name, input, output, skipped } of pairs) {
    await cutSelected(folder, video, selected, [input, output], signal);
    const pictures = [
      ...(await clipPictures(folder, "input clip", input, signal)),
      ...(await clipPictures(folder, "output clip", output, signal)),
    ];
    const asked = await asker!.ask(
      {
        task: "annotate",
        item: name,
        system: prompt.system,
        text: fillPrompt(prompt, {
          goal: video.goal ?? "(not known)",
          input: shownBy(input),
          output: shownBy(output),
          skipped: skipped.length === 0 ? "none" : skipped.join("; "),
          questions: String(questions),
        }),
        pictures,
        facts: {
          kind: video.kind,
          goal: video.goal,
          inputLabel: input.label,
          outputLabel: output.label,
          skipped,
          inputClip: input.clip,
          video: video.id,
          inputIndex: input.index,
          outputIndex: output.index,
        },
      },
      schema,
    );
    if (asked.kind === "refused") dropped.push({ item: name, reason: `annotate: refused: ${asked.reason}` });
    else if (asked.kind === "quarantine")
      quarantined.push({ item: name, reason: `annotate: ${asked.reason}`, answers: [...asked.answers] });
    else if (asked.value.samples.length === 0)
      dropped.push({
        item: name,
        reason: `annotate: rejected: ${asked.value.reject ?? "no sample, no reason"}`,
      });
    else
      asked.value.samples.forEach((texts, n) => {
        samples.push({
          ...texts,
          id: `${video.id}-${pad(input.index)}-${pad(output.index)}-${n}`,
          pair: name,
          input: input.index,
          output: output.index,
          skipped: [...skipped],
        });
      });
  }
  return {
    samples,
    unpaired,
    dropped,
    quarantined,
    prompt: pairs.length === 0 ? null : prompt.version,
    model: pairs.length === 0 ? null : (asker?.provider.model ?? null),
  };
}

/** A pair that comes with question and answer lacks only the reasoning. */
async function reasonGiven(
  folder: string,
  video: ListedVideo,
  selected: SelectedVideo,
  settings: AnnotateSettings,
): Promise<AnnotatedVideo> {
  const { question, caption, reasoning } = video.given!;
  const [input, output] = selected.clips as [SelectedClip, SelectedClip];
  const name = `${video.id}#000-001`;
  const sample = {
    question,
    caption,
    id: video.id,
    pair: name,
    input: input.index,
    output: output.index,
    skipped: [],
  };
  const result = { unpaired: [], dropped: [] as Dropped[], quarantined: [] as AnnotatedVideo["quarantined"] };
  if (reasoning !== "") return { ...result, samples: [{ ...sample, reasoning }], prompt: null, model: null };
  const asker = needed(settings.asker);
  const prompt = await readPrompt("reason", folder);
  const asked = await asker.ask(
    {
      task: "reason",
      item: name,
      system: prompt.system,
      text: fillPrompt(prompt, { question, caption }),
      pictures: await clipPictures(folder, "input clip", input, settings.signal),
      facts: { question, caption, inputClip: input.clip, video: video.id },
    },
    textsSchema.pick({ reasoning: true }),
  );
  const made = { prompt: prompt.version, model: asker.provider.model };
  if (asked.kind === "answer")
    return { ...result, samples: [{ ...sample, reasoning: asked.value.reasoning }], ...made };
  if (asked.kind === "refused")
    result.dropped.push({ item: name, reason: `annotate: refused: ${asked.reason}` });
  else
    result.quarantined.push({ item: name, reason: `annotate: ${asked.reason}`, answers: [...asked.answers] });
  return { ...result, samples: [], ...made };
}

function needed(asker: Asker | undefined): Asker {
  if (asker !== undefined) return asker;
  throw new VansError("VANS_DATA_PROVIDER_NEEDED", "writing questions and answers needs a provider", {
    fix: "choose one: --provider gemini, --provider openai, or --provider local",
  });
}

/** Frames of a selected clip. */
export function clipPictures(
  folder: string,
  name: string,
  clip: SelectedClip,
  signal: AbortSignal | undefined,
) {
  const secs = clip.endSecs - clip.startSecs;
  return picturesAt(join(folder, clip.clip), name, spreadTimes(0, secs, FRAMES_PER_CLIP), signal);
}

function shownBy(clip: SelectedClip): string {
  return [clip.label, clip.description].filter((text) => text).join(": ") || "(see the frames)";
}
