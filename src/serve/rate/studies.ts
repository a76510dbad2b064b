/**
 * Studies on disk: a folder each with the plan, the clips as they were when it was made, and the ratings as they come in.
 * @module
 */
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HttpError, notFound } from "../http-error.ts";
import { newId } from "../job-store.ts";
import { Reports } from "../reports/reports.ts";
import type { ServerContext } from "../server-context.ts";
import { type Rating, ratingSchema, type Study, studySchema, trialsOf } from "./study.ts";
import {
  answeredItems,
  fromAnswersSchema,
  fromReportsSchema,
  itemsSchema,
  MOST_TRIALS,
  namedItems,
  reportedItems,
} from "./study-items.ts";

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
  items: itemsSchema.optional(),
  fromAnswers: fromAnswersSchema.optional(),
  fromReports: fromReportsSchema.optional(),
});
type StudyRequest = z.infer<typeof studyRequestSchema>;

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
    const { seed } = request;
    const items = request.items
      ? namedItems(this.#server, request.items)
      : request.fromReports
        ? await reportedItems(new Reports(this.#server), request.fromReports, seed)
        : answeredItems(this.#server, request.fromAnswers?.group);
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
      seed,
      items: items.map(({ question, systems }) => ({
        question,
        systems: systems.map(({ place: _place, ...rest }) => rest),
      })),
    };
    const folder = join(this.#folder, id);
    await mkdir(folder, { recursive: true });
    try {
      for (const { item, system, token } of trialsOf(study)) {
        const paths = [`${token}.mp4`, `${token}-input.mp4`].map((name) => join(folder, name));
        await items[item]!.systems[system]!.place(paths[0]!, paths[1]!);
      }
      await writeFile(join(folder, "study.json"), `${JSON.stringify(study, undefined, 2)}\n`);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    return study;
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
