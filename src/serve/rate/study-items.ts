/**
 * What a study is made of: finished answers, or the videos that evaluations kept.
 * @module
 */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { fold, keyFromSeed, permutation } from "../../base/keys.ts";
import { PICTURES_FOLDER, readPicture } from "../../evaluate/pictures.ts";
import { SYSTEM_NAMES, SYSTEMS } from "../../evaluate/systems.ts";
import { writeMp4 } from "../../media/index.ts";
import { sampleForSeed, WORLD_FRAME_RATE_HZ } from "../../world/index.ts";
import { HttpError, notFound } from "../http-error.ts";
import type { ReportSample, Reports } from "../reports/reports.ts";
import type { ServerContext } from "../server-context.ts";

/** Answers that are rated, at most. */
export const MOST_TRIALS = 400;
/** Questions taken from reports where nothing else is said. */
const USUAL_QUESTIONS = 12;
/** What the rendered truth is called among the systems. */
const TRUTH = "truth";

const answerSchema = z.strictObject({
  name: z.string().trim().min(1).max(100),
  answer: z.string().min(1).max(100),
});

/** Items named one by one. */
export const itemsSchema = z
  .array(
    z.strictObject({
      question: z.string().trim().min(1).max(500),
      clip: z
        .string()
        .max(100)
        .optional()
        .describe("Only told, not used: raters see the input of the first answer"),
      systems: z.array(answerSchema).min(1).max(12),
    }),
  )
  .max(200);

/** Finished answers. */
export const fromAnswersSchema = z
  .strictObject({ group: z.string().max(64).optional() })
  .describe("All finished answers (of a group), those to the same question about the same clip together");

/** Kept videos of evaluations. */
export const fromReportsSchema = z
  .strictObject({
    reports: z
      .array(
        z.strictObject({
          name: z.string().min(1).max(200),
          system: z.enum(SYSTEM_NAMES).default("suite"),
        }),
      )
      .min(1)
      .max(8),
    questions: z.number().int().min(1).max(100).default(USUAL_QUESTIONS),
    truth: z.boolean().default(false).describe("The rendered truth is rated too, as one more system"),
  })
  .describe("Videos that evaluations kept, of samples that all of them have");

/** An answer of a study before it is copied. */
export interface PlannedSystem {
  readonly name: string;
  readonly source: string;
  readonly caption: string;
  readonly frameRateHz?: number;
  /** Puts the answer and its input where the study wants them. */
  place(answerPath: string, inputPath: string): Promise<void>;
}

/** A question of a study before it is copied. */
export interface PlannedItem {
  readonly question: string;
  readonly systems: readonly PlannedSystem[];
}

/** Items of answers that are named one by one. @throws 404, 409 */
export function namedItems(server: ServerContext, items: z.infer<typeof itemsSchema>): PlannedItem[] {
  return items.map(({ question, systems }) => ({
    question,
    systems: systems.map(({ name, answer }) => plannedAnswer(server, name, answer)),
  }));
}

/** Finished answers by question and clip. Of two answers of one system the newer counts. */
export function answeredItems(server: ServerContext, group: string | undefined): PlannedItem[] {
  const items = new Map<string, { question: string; systems: PlannedSystem[] }>();
  const jobs = server.store.list({ kind: "answer", state: "done", group, limit: MOST_TRIALS });
  for (const job of jobs.reverse()) {
    const { question, clip, trim, suite, system } = job.request as {
      question: string;
      clip: string;
      trim?: unknown;
      suite?: string;
      system?: string;
    };
    const key = JSON.stringify([question, clip, trim ?? null]);
    const item = items.get(key) ?? { question, systems: [] };
    items.set(key, item);
    const own = (job.result as { suite?: string } | null)?.suite ?? suite ?? "suite";
    const name = system === undefined || system === "suite" ? own : `${own} · ${system}`;
    const old = item.systems.findIndex((one) => one.name === name);
    if (old >= 0) item.systems.splice(old, 1);
    item.systems.push(plannedAnswer(server, name, job.id));
  }
  return [...items.values()];
}

function plannedAnswer(server: ServerContext, name: string, id: string): PlannedSystem {
  const job = server.store.get(id);
  if (job?.kind !== "answer") throw notFound("answer", id);
  if (job.state !== "done")
    throw new HttpError(409, "VANS_SERVE_NOT_DONE", "only finished answers can be rated", {
      asked: id,
      found: `it is ${job.state}`,
    });
  const {
    caption = "",
    files,
    frameRateHz,
  } = (job.result ?? {}) as {
    caption?: string;
    frameRateHz?: number;
    files?: { answer?: readonly string[] };
  };
  const folder = join(server.config.data, "answers", id);
  const video = files?.answer?.[0]?.split("/").at(-1) ?? "answer.mp4";
  return {
    name,
    source: `answer:${id}`,
    caption,
    ...(frameRateHz !== undefined && { frameRateHz }),
    place: async (answerPath, inputPath) => {
      await copyFile(join(folder, video), answerPath);
      await copyFile(join(folder, "input.mp4"), inputPath);
    },
  };
}

/**
 * Samples of which every named report kept the video. Which of them is drawn from the study's seed, so that no family is
 * favoured. Inputs and questions are rendered anew: samples of the simulated world are functions of their seeds.
 *
 * @throws 404; 422 where no sample is in all of them
 */
export async function reportedItems(
  reports: Reports,
  { reports: asked, questions, truth }: z.infer<typeof fromReportsSchema>,
  seed: number,
): Promise<PlannedItem[]> {
  const sources = await Promise.all(
    asked.map(async ({ name, system }) => {
      const { video, caption } = SYSTEMS[system];
      const kept = (await reports.samples(name)).filter(({ parts }) =>
        parts.some(({ part, picture }) => part === video && picture !== undefined),
      );
      return {
        name: system === "suite" ? name : `${name} · ${system}`,
        source: `report:${name}:${system}`,
        folder: join(await reports.folder(name), PICTURES_FOLDER),
        ...{ video, caption },
        samples: new Map(kept.map((sample) => [sample.id, sample])),
      };
    }),
  );
  const shared = [...sources[0]!.samples.values()].filter(
    ({ id, seed: of }) => sources.every(({ samples }) => samples.has(id)) && sampleForSeed(of).id === id,
  );
  if (shared.length === 0)
    throw new HttpError(422, "VANS_SERVE_STUDY_SIZE", "no sample has a kept video in all of these reports", {
      asked: asked.map(({ name, system }) => `${name} (${system})`).join(", "),
      fix: "take reports of evaluations of the same samples of the simulated world",
    });
  const drawn = permutation(fold(keyFromSeed(seed), "study", "samples"), shared.length).slice(0, questions);
  return Array.from(drawn, (at) => {
    const { id, seed: of } = shared[at]!;
    const sample = sampleForSeed(of);
    const placeInput = (path: string): Promise<void> => writeMp4(path, sample.input);
    const systems = sources.map(({ name, source, folder, video, caption, samples }) => ({
      name,
      source: `${source}:${id}`,
      caption: captionOf(samples.get(id)!, caption ?? video),
      frameRateHz: WORLD_FRAME_RATE_HZ,
      place: async (answerPath: string, inputPath: string) => {
        const clip = await readPicture(folder, id, video);
        if (!clip) throw notFound("video", `${id} of ${name}`);
        await writeMp4(answerPath, clip);
        await placeInput(inputPath);
      },
    }));
    const rendered = {
      name: TRUTH,
      source: `world:${id}`,
      caption: sample.caption,
      frameRateHz: WORLD_FRAME_RATE_HZ,
      place: async (answerPath: string, inputPath: string) => {
        await writeMp4(answerPath, sample.output);
        await placeInput(inputPath);
      },
    };
    return { question: sample.question, systems: truth ? [...systems, rendered] : systems };
  });
}

function captionOf({ parts }: ReportSample, wanted: string): string {
  return parts.find(({ part }) => part === wanted)?.texts["caption"] ?? "";
}
