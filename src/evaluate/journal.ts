/**
 * The journal of an evaluation: `samples.jsonl`, a line for every finished part of a sample, so that a run that was
 * stopped goes on where it was.
 * @module
 */
import { appendFile, mkdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { VansError } from "../base/errors.ts";
import type { EvaluationPart } from "./metric-table.ts";
import { type PartRow, partRowSchema } from "./part-row.ts";

/** Name of the journal inside a report's folder. */
export const JOURNAL_NAME = "samples.jsonl";

const headerSchema = z.strictObject({
  evaluation: z.literal(1),
  /** Everything that results depend on. */
  of: z.record(z.string(), z.unknown()),
});

/** How a journal is opened. */
export interface JournalOptions {
  /** What the results depend on: suite, settings, data. A journal about something else is refused. */
  readonly of: Readonly<Record<string, unknown>>;
  /** Forget what is there. */
  readonly fresh: boolean;
}

/** An open journal. */
export class Journal {
  /** What the results depend on, as it reads back. */
  readonly of: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #rows = new Map<string, PartRow>();
  #pending: Promise<void> = Promise.resolve();

  private constructor(path: string, of: Readonly<Record<string, unknown>>, rows: readonly PartRow[]) {
    this.of = of;
    this.#path = path;
    for (const row of rows) this.#rows.set(keyOf(row.seed, row.part), row);
  }

  /**
   * Opens the journal of a report's folder, which is made if it does not exist. A last line that was cut off is dropped.
   *
   * @throws `VANS_EVALUATE_OTHER_RUN` where the journal is about another suite, other settings or other data,
   * `VANS_EVALUATE_JOURNAL` where it cannot be read
   */
  static async open(folder: string, options: JournalOptions): Promise<Journal> {
    await mkdir(folder, { recursive: true });
    const path = join(folder, JOURNAL_NAME);
    // As it reads back: what JSON leaves out or changes is no difference.
    const of = JSON.parse(JSON.stringify(options.of)) as Record<string, unknown>;
    if (options.fresh) await rm(path, { force: true });
    const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      throw error;
    });
    const end = text.lastIndexOf("\n") + 1;
    if (end === 0) {
      await writeFile(path, `${JSON.stringify({ evaluation: 1, of })}\n`);
      return new Journal(path, of, []);
    }
    const [header, ...lines] = text.slice(0, end - 1).split("\n");
    checkSame(parseLine(headerSchema, header!, path, 1).of, of, folder);
    const rows = lines.map((line, i) => parseLine(partRowSchema, line, path, i + 2));
    if (end < text.length) await truncate(path, Buffer.byteLength(text.slice(0, end)));
    return new Journal(path, of, rows);
  }

  /**
   * The rows of a finished report's journal, and what they depend on; nothing is written.
   *
   * @throws `VANS_EVALUATE_JOURNAL` where there is none or it cannot be read
   */
  static async read(
    folder: string,
  ): Promise<{ readonly of: Readonly<Record<string, unknown>>; readonly rows: readonly PartRow[] }> {
    const path = join(folder, JOURNAL_NAME);
    const text = await readFile(path, "utf8").catch((cause: unknown) => {
      throw new VansError("VANS_EVALUATE_JOURNAL", `there is no ${JOURNAL_NAME} in ${folder}`, {
        cause,
        fix: "give the folder of a finished report",
      });
    });
    const [header = "", ...lines] = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
    const { of } = parseLine(headerSchema, header, path, 1);
    const rows = new Map<string, PartRow>();
    lines.slice(0, -1).forEach((line, i) => {
      const row = parseLine(partRowSchema, line, path, i + 2);
      rows.set(keyOf(row.seed, row.part), row);
    });
    return { of, rows: [...rows.values()].sort((a, b) => a.seed - b.seed) };
  }

  /** The row of a part of a sample, if it was evaluated. */
  row(seed: number, part: EvaluationPart): PartRow | undefined {
    return this.#rows.get(keyOf(seed, part));
  }

  /** Rows of some samples, in their order. */
  rowsOf(seeds: readonly number[]): PartRow[] {
    const order = new Map(seeds.map((seed, i) => [seed, i]));
    return [...this.#rows.values()]
      .filter((row) => order.has(row.seed))
      .sort((a, b) => order.get(a.seed)! - order.get(b.seed)!);
  }

  /** Adds a row; it is on disk when the promise resolves. */
  async add(row: PartRow): Promise<void> {
    this.#rows.set(keyOf(row.seed, row.part), row);
    this.#pending = this.#pending.then(() => appendFile(this.#path, `${JSON.stringify(row)}\n`));
    await this.#pending;
  }
}

function keyOf(seed: number, part: EvaluationPart): string {
  return `${seed} ${part}`;
}

function parseLine<T>(schema: z.ZodType<T>, line: string, path: string, number: number): T {
  let found: string;
  try {
    const parsed = schema.safeParse(JSON.parse(line));
    if (parsed.success) return parsed.data;
    found = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
  } catch (error) {
    found = error instanceof Error ? error.message : String(error);
  }
  throw new VansError("VANS_EVALUATE_JOURNAL", `line ${number} of ${path} is not from an evaluation`, {
    found,
    fix: "start anew with --fresh, or give another folder with --out",
  });
}

function checkSame(
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
  folder: string,
): void {
  const differing = [...new Set([...Object.keys(before), ...Object.keys(now)])].filter(
    (name) => JSON.stringify(before[name]) !== JSON.stringify(now[name]),
  );
  if (differing.length === 0) return;
  throw new VansError("VANS_EVALUATE_OTHER_RUN", `${folder} holds results of something else`, {
    asked: `an evaluation that goes on there`,
    found: `other ${differing.join(", ")} than before`,
    why: "the suite was built anew, or settings or data have changed",
    fix: "start anew with --fresh, or give another folder with --out",
    data: { differing },
  });
}
