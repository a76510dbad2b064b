/**
 * Studies on disk: a folder each with the plan, the clips as they were when it was made, and the ratings as they come in.
 * @module
 */
import { appendFile, copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HttpError, notFound } from "../http-error.ts";
import { newId } from "../job-store.ts";
import type { ServerContext } from "../server-context.ts";
import { type Rating, ratingSchema, type Study, studySchema, trialsOf } from "./study.ts";

/** Answers that are rated, at most. */
const MOST_TRIALS = 400;
const ID = /^[A-Za-z0-9]{8,20}$/;

/** What a study is made from. */
export const studyRequestSchema = z.strictObject({
  name: z.string().trim().min(1).max(100),
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(0)
    .describe("Of the random orders"),
  items: z
    .array(
      z.strictObject({
        question: z.string().trim().min(1).max(500),
        clip: z
          .string()
          .max(100)
          .optional()
          .describe("Only told, not used: raters see the input of the first answer"),
        systems: z
          .array(
            z.strictObject({ name: z.string().trim().min(1).max(100), answer: z.string().min(1).max(100) }),
          )
          .min(1)
          .max(12),
      }),
    )
    .max(200)
    .optional(),
  fromAnswers: z
    .strictObject({ group: z.string().max(64).optional() })
    .optional()
    .describe("All finished answers (of a group), those to the same question about the same clip together"),
});
type StudyRequest = z.infer<typeof studyRequestSchema>;

type Item = NonNullable<StudyRequest["items"]>[number];

/** All studies of a server. */
export class Studies {
  readonly #server: ServerContext;
  readonly #folder: string;

  constructor(server: ServerContext) {
    this.#server = server;
    this.#folder = join(server.config.data, "studies");
  }

  /** Makes a study; its videos are copied, so that it outlives the answers. @throws 404, 409, 422 */
  async make(request: StudyRequest): Promise<Study> {
    const items = request.items ?? this.#itemsOfAnswers(request.fromAnswers?.group);
    const count = items.reduce((sum, { systems }) => sum + systems.length, 0);
    if (count === 0 || count > MOST_TRIALS)
      throw new HttpError(422, "VANS_SERVE_STUDY_SIZE", "a study needs some answers, and not too many", {
        found: `${count} answers`,
        fix: `ask some questions first, with two suites or more; at most ${MOST_TRIALS} answers`,
      });
    const id = newId();
    const study: Study = {
      id,
      name: request.name,
      createdAt: new Date().toISOString(),
      seed: request.seed,
      items: items.map(({ question, systems }) => ({
        question,
        systems: systems.map(({ name, answer }) => ({
          name,
          source: `answer:${answer}`,
          caption: this.#captionOf(answer),
        })),
      })),
    };
    const folder = join(this.#folder, id);
    await mkdir(folder, { recursive: true });
    try {
      for (const { item, system, token } of trialsOf(study)) {
        const answer = items[item]!.systems[system]!.answer;
        const from = join(this.#server.config.data, "answers", answer);
        await copyFile(join(from, this.#videoOf(answer)), join(folder, `${token}.mp4`));
        await copyFile(join(from, "input.mp4"), join(folder, `${token}-input.mp4`));
      }
      await writeFile(join(folder, "study.json"), `${JSON.stringify(study, undefined, 2)}\n`);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    return study;
  }

  /** Finished answers by question and clip; two of one suite to the same are told apart by their seeds. */
  #itemsOfAnswers(group: string | undefined): Item[] {
    const groups = new Map<string, { question: string; systems: { name: string; answer: string }[] }>();
    for (const job of this.#server.store
      .list({ kind: "answer", state: "done", group, limit: MOST_TRIALS })
      .reverse()) {
      const { question, clip, trim, suite } = job.request as {
        question: string;
        clip: string;
        trim?: unknown;
        suite?: string;
      };
      const key = JSON.stringify([question, clip, trim ?? null]);
      const item = groups.get(key) ?? { question, systems: [] };
      groups.set(key, item);
      const system = (job.result as { suite?: string } | null)?.suite ?? suite ?? "suite";
      // The newest answer of a system counts.
      const old = item.systems.findIndex(({ name }) => name === system);
      if (old >= 0) item.systems.splice(old, 1);
      item.systems.push({ name: system, answer: job.id });
    }
    return [...groups.values()];
  }

  #captionOf(answer: string): string {
    const job = this.#server.store.get(answer);
    if (job?.kind !== "answer") throw notFound("answer", answer);
    if (job.state !== "done")
      throw new HttpError(409, "VANS_SERVE_NOT_DONE", "only finished answers can be rated", {
        asked: answer,
        found: `it is ${job.state}`,
      });
    return (job.result as { caption?: string } | null)?.caption ?? "";
  }

  #videoOf(answer: string): string {
    const result = this.#server.store.get(answer)?.result as
      | { files?: { answer?: string[] } }
      | null
      | undefined;
    return result?.files?.answer?.[0]?.split("/").at(-1) ?? "answer.mp4";
  }

  /** Studies, the newest first. */
  async list(): Promise<Study[]> {
    const names = await readdir(this.#folder).catch(() => [] as string[]);
    const studies = await Promise.all(
      names.filter((name) => ID.test(name)).map((id) => this.get(id).catch(() => undefined)),
    );
    return studies.filter((one) => one !== undefined).sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
  }

  /** A study. @throws a 404 */
  async get(id: string): Promise<Study> {
    const text = ID.test(id)
      ? await readFile(join(this.#folder, id, "study.json"), "utf8").catch(() => undefined)
      : undefined;
    if (text === undefined) throw notFound("study", id);
    return studySchema.parse(JSON.parse(text));
  }

  /** All ratings in order. A last line that was cut off does not count. */
  async ratings(id: string): Promise<Rating[]> {
    const text = await readFile(join(this.#folder, id, "ratings.jsonl"), "utf8").catch(() => "");
    return text.split("\n").flatMap((line) => {
      try {
        return [ratingSchema.parse(JSON.parse(line))];
      } catch {
        return [];
      }
    });
  }

  /** Adds a rating. */
  async rate(id: string, rating: Rating): Promise<void> {
    await appendFile(join(this.#folder, id, "ratings.jsonl"), `${JSON.stringify(rating)}\n`);
  }

  /** A clip of a trial. @throws a 404 */
  clipPath(study: Study, token: string, which: "input" | "answer"): string {
    if (!trialsOf(study).some((trial) => trial.token === token)) throw notFound("trial", token);
    return join(this.#folder, study.id, `${token}${which === "input" ? "-input" : ""}.mp4`);
  }

  /** Deletes a study with its ratings. @throws a 404 */
  async remove(id: string): Promise<void> {
    await this.get(id);
    await rm(join(this.#folder, id), { recursive: true, force: true });
  }
}
