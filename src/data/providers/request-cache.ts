/**
 * Every request and its answer, kept by content: the same request is never asked twice, in this run, in the next, or in
 * another process.
 * @module
 */
import { createHash, randomUUID } from "node:crypto";
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import { writeFileAtomically } from "../../weights/atomic-file.ts";
import type { AskRequest, ProviderAnswer } from "./provider.ts";

const entrySchema = z.object({
  provider: z.string(),
  model: z.string(),
  task: z.string(),
  item: z.string(),
  system: z.string(),
  text: z.string(),
  pictures: z.array(z.object({ label: z.string(), sha256: z.string() })),
  repair: z.object({ answer: z.string(), fault: z.string() }).optional(),
  answer: z.object({
    text: z.string(),
    refused: z.boolean(),
    inputTokens: z.number(),
    outputTokens: z.number(),
  }),
});

/** A kept request. Pictures are kept as hashes; the clips that they come from are in the dataset. */
export type CacheEntry = z.infer<typeof entrySchema>;

/** Lists requests that a process left unheard when it died, and that were asked again. */
const LOST_NAME = "lost.asked";

const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

/**
 * The content address of a request to a provider: all that it is sent. Facts (names of videos and clips) count only
 * where the provider reads them, else two copies of a film would be asked about twice.
 */
export function requestHash(
  { model, readsFacts = false }: { readonly model: string; readonly readsFacts?: boolean | undefined },
  request: AskRequest,
): string {
  const { task, system, text, pictures, schema, facts, repair } = request;
  const content = {
    model,
    task,
    system,
    text,
    schema,
    facts: readsFacts ? facts : null,
    pictures: pictures.map(({ label, jpeg }) => [label, sha256(jpeg)]),
    repair: repair ?? null,
  };
  return sha256(JSON.stringify(content));
}

/** The cache of a dataset folder. */
export class RequestCache {
  readonly #folder: string;
  /** Tells this run's marks from those of a run that died. */
  readonly #run = randomUUID();

  /** @param folder for example `DIR/cache` */
  constructor(folder: string) {
    this.#folder = folder;
  }

  #path(hash: string): string {
    return join(this.#folder, hash.slice(0, 2), `${hash}.json`);
  }

  async get(hash: string): Promise<ProviderAnswer | undefined> {
    const text = await readFile(this.#path(hash), "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      return entrySchema.parse(JSON.parse(text)).answer;
    } catch {
      return undefined;
    }
  }

  async has(hash: string): Promise<boolean> {
    return (await this.get(hash)) !== undefined;
  }

  /** Keeps an answer; on disk before this resolves. */
  async put(
    hash: string,
    request: AskRequest,
    of: { readonly provider: string; readonly model: string },
    answer: ProviderAnswer,
  ): Promise<void> {
    const entry: CacheEntry = {
      provider: of.provider,
      model: of.model,
      task: request.task,
      item: request.item,
      system: request.system,
      text: request.text,
      pictures: request.pictures.map(({ label, jpeg }) => ({ label, sha256: sha256(jpeg) })),
      ...(request.repair === undefined ? {} : { repair: { ...request.repair } }),
      answer,
    };
    await writeFileAtomically(this.#path(hash), async (file) => {
      await file.writeFile(`${JSON.stringify(entry, null, 1)}\n`);
    });
    await rm(`${this.#path(hash)}.asked`, { force: true });
  }

  /** Notes that a request is on its way: if the process dies now, it may have been paid for without an answer. */
  async markAsked(hash: string): Promise<void> {
    // A mark that a crash of the whole machine loses is no loss, so it is not forced to disk.
    const mark = `${this.#path(hash)}.asked`;
    await mkdir(dirname(mark), { recursive: true });
    const before = await readFile(mark, "utf8").catch(() => undefined);
    if (before !== undefined && before !== this.#run)
      await appendFile(join(this.#folder, LOST_NAME), `${hash}\n`);
    await writeFile(mark, this.#run);
  }

  /** All kept requests, in the order of their addresses, one by one. */
  async *entries(): AsyncGenerator<CacheEntry> {
    for (const group of (await readdir(this.#folder).catch(() => [])).sort()) {
      for (const name of (await readdir(join(this.#folder, group)).catch(() => [])).sort()) {
        if (!name.endsWith(".json")) continue;
        try {
          yield entrySchema.parse(JSON.parse(await readFile(join(this.#folder, group, name), "utf8")));
        } catch {
          // Written by something else.
        }
      }
    }
  }

  /** Requests that were on their way when a process died, those included that were asked again since. */
  async lostRequests(): Promise<number> {
    const again = await readFile(join(this.#folder, LOST_NAME), "utf8").catch(() => "");
    let count = again.split("\n").length - 1;
    for (const group of await readdir(this.#folder).catch(() => []))
      for (const name of await readdir(join(this.#folder, group)).catch(() => []))
        if (name.endsWith(".asked")) count++;
    return count;
  }
}
