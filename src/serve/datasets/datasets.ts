/**
 * Datasets: looked at, filtered, mended and rejected by hand; decisions go to `overrides.jsonl` beside the table.
 * @module
 */
import { stat } from "node:fs/promises";
import { extname, join, normalize, sep } from "node:path";
import { z } from "zod";
import {
  applyOverrides,
  type Override,
  readOverrides,
  readSamples,
  type SampleRow,
  writeOverrides,
} from "../../data/index.ts";
import { notFound } from "../http-error.ts";
import { folderOfName, foldersWith, type RunFolder } from "../runs/run-folders.ts";
import type { ServerContext } from "../server-context.ts";

/** Samples of a page. */
const PAGE_SAMPLES = 24;
const CLIPS = [".mp4", ".webm", ".mov", ".mkv", ".gif", ".png", ".jpg"];
const MANIFEST = "manifest.parquet";
/** Rows that are kept in memory, over all datasets. */
const MOST_ROWS = 200_000;

/** A decision as it is sent; what is left out stays as it is. */
export const decisionSchema = z.strictObject({
  rejected: z.boolean().optional(),
  note: z.string().max(1000).optional(),
  fields: z
    .strictObject({
      question: z.string().min(1).max(2000).optional(),
      reasoning: z.string().min(1).max(20_000).optional(),
      caption: z.string().min(1).max(5000).optional(),
      split: z.string().min(1).max(60).optional(),
    })
    .optional()
    .describe("Replaced texts; all of them, earlier ones are forgotten"),
});

/** What is looked for. */
export const sampleQuerySchema = z.object({
  text: z.string().max(200).default(""),
  kind: z.string().max(60).default(""),
  split: z.string().max(60).default(""),
  source: z.string().max(100).default(""),
  state: z.enum(["", "untouched", "edited", "rejected"]).default(""),
  page: z.coerce.number().int().min(0).max(1_000_000).default(0),
});
type SampleQuery = z.infer<typeof sampleQuerySchema>;

/** A sample as decided. */
export interface DecidedSample {
  /** As the table has it. */
  readonly row: SampleRow;
  readonly override: Override | null;
}

const FACETS = ["kind", "split", "source"] as const;

/** All datasets of a server. */
export class Datasets {
  readonly #root: string;
  readonly #rows = new Map<string, { readonly tag: string; readonly rows: readonly SampleRow[] }>();
  /** Decisions are written one after the other: two at once would lose one. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor({ config }: ServerContext) {
    this.#root = config.datasets;
  }

  /** Datasets below the folder. */
  list(): Promise<RunFolder[]> {
    return foldersWith(this.#root, MANIFEST);
  }

  /** The folder of a dataset. @throws a 404 */
  async folder(name: string): Promise<string> {
    const path = folderOfName(this.#root, name);
    const found = path === undefined ? undefined : await stat(join(path, MANIFEST)).catch(() => undefined);
    if (path === undefined || !found) throw notFound("dataset", name);
    return path;
  }

  async #rowsOf(folder: string): Promise<readonly SampleRow[]> {
    const { mtimeMs, size } = await stat(join(folder, MANIFEST));
    const tag = `${mtimeMs} ${size}`;
    const known = this.#rows.get(folder);
    if (known?.tag === tag) return known.rows;
    const rows: SampleRow[] = [];
    for await (const row of readSamples(folder)) {
      rows.push(row);
      if (rows.length >= MOST_ROWS) break;
    }
    const held = [...this.#rows.values()].reduce((sum, one) => sum + one.rows.length, 0);
    if (held + rows.length > MOST_ROWS) this.#rows.clear();
    this.#rows.set(folder, { tag, rows });
    return rows;
  }

  /** How much there is, and how much was decided. */
  async counts(
    folder: string,
  ): Promise<{ readonly samples: number; readonly rejected: number; readonly edited: number }> {
    const [rows, overrides] = await Promise.all([this.#rowsOf(folder), readOverrides(folder)]);
    const decided = [...overrides.values()];
    const rejected = decided.filter((one) => one.rejected).length;
    return { samples: rows.length, rejected, edited: decided.length - rejected };
  }

  /** A page of the samples that fit, and what there is to filter by. */
  async find(folder: string, query: SampleQuery) {
    const [rows, overrides] = await Promise.all([this.#rowsOf(folder), readOverrides(folder)]);
    const counts = {
      kind: new Map<string, number>(),
      split: new Map<string, number>(),
      source: new Map<string, number>(),
    };
    const words = query.text.toLowerCase();
    const fitting: DecidedSample[] = [];
    for (const row of rows) {
      const override = overrides.get(row.id) ?? null;
      const shown = { ...row, ...override?.fields };
      for (const name of FACETS) counts[name].set(shown[name], (counts[name].get(shown[name]) ?? 0) + 1);
      if (FACETS.some((name) => query[name] !== "" && shown[name] !== query[name])) continue;
      if (query.state !== "" && query.state !== stateOf(override)) continue;
      const texts = [
        row.id,
        shown.question,
        shown.reasoning,
        shown.caption,
        row.goal ?? "",
        row.family ?? "",
        row.event ?? "",
      ];
      if (words !== "" && !texts.some((text) => text.toLowerCase().includes(words))) continue;
      fitting.push({ row, override });
    }
    const pages = Math.max(1, Math.ceil(fitting.length / PAGE_SAMPLES));
    const page = Math.min(query.page, pages - 1);
    const facet = (name: (typeof FACETS)[number]) =>
      [...counts[name]].map(([value, count]) => ({ value, count })).sort((a, b) => b.count - a.count);
    return {
      total: rows.length,
      fitting: fitting.length,
      page,
      pages,
      facets: { kind: facet("kind"), split: facet("split"), source: facet("source") },
      samples: fitting.slice(page * PAGE_SAMPLES, (page + 1) * PAGE_SAMPLES),
    };
  }

  /** Decides about a sample. @throws a 404 */
  decide(folder: string, id: string, decision: z.infer<typeof decisionSchema>): Promise<DecidedSample> {
    return this.#inTurn(async () => {
      const row = (await this.#rowsOf(folder)).find((one) => one.id === id);
      if (!row) throw notFound("sample", id);
      const overrides = await readOverrides(folder);
      const before = overrides.get(id) ?? { id, rejected: false, note: "", fields: {} };
      const override: Override = {
        id,
        rejected: decision.rejected ?? before.rejected,
        note: decision.note ?? before.note,
        fields: Object.fromEntries(
          Object.entries(decision.fields ?? before.fields).filter(
            ([name, value]) => value !== undefined && value !== row[name as keyof SampleRow],
          ),
        ),
      };
      overrides.set(id, override);
      await writeOverrides(folder, overrides);
      return { row, override: stateOf(override) === "untouched" ? null : override };
    });
  }

  /** Rewrites the table with all decisions. */
  apply(folder: string): Promise<{ readonly samples: number }> {
    return this.#inTurn(() => applyOverrides(folder));
  }

  /** A clip of a dataset. @throws a 404 */
  clipPath(folder: string, file: string): string {
    const path = normalize(join(folder, file));
    if (!CLIPS.includes(extname(path).toLowerCase()) || !path.startsWith(folder + sep) || file.includes("\0"))
      throw notFound("clip", file);
    return path;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#writing.then(work);
    this.#writing = mine.catch(() => undefined);
    return mine;
  }
}

function stateOf(override: Override | null): "untouched" | "edited" | "rejected" {
  if (!override) return "untouched";
  if (override.rejected) return "rejected";
  return override.note === "" && Object.keys(override.fields).length === 0 ? "untouched" : "edited";
}
