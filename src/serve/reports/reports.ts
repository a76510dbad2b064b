/**
 * Reports of evaluations: those of the command line and those that this server made, with their samples for a gallery.
 * @module
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join, normalize, sep } from "node:path";
import { z } from "zod";
import { type EvaluationReport, reportSchema } from "../../evaluate/index.ts";
import { notFound } from "../http-error.ts";
import { folderOfName, foldersWith } from "../runs/run-folders.ts";
import type { ServerContext } from "../server-context.ts";

/** Samples of a page. */
const PAGE_SAMPLES = 24;
/** What a failure is, by the share that must be 1. */
const FAILURES = {
  caption: "captionEventAccuracy",
  video: "videoEventAccuracy",
  identity: "identityAccuracy",
} as const;

/** What is looked for. */
export const reportQuerySchema = z.object({
  family: z.string().max(60).default(""),
  kind: z.enum(["", "procedural", "predictive"]).default(""),
  part: z
    .string()
    .max(60)
    .default("")
    .describe("Only samples that have this part; failures are those of its video"),
  metric: z.string().max(60).default("").describe("Sort by this metric, the lowest first"),
  order: z.enum(["up", "down"]).default("up"),
  failure: z.enum(["", "any", "none", "caption", "video", "identity"]).default(""),
  page: z.coerce.number().int().min(0).max(1_000_000).default(0),
});

/** A part of a sample. */
export const reportPartSchema = z.object({
  part: z.string(),
  values: z.record(z.string(), z.number()),
  texts: z.record(z.string(), z.string()),
  picture: z.string().optional().describe("All frames below each other"),
});
type ReportPart = z.infer<typeof reportPartSchema>;

/** A sample with all its parts. */
export interface ReportSample {
  readonly id: string;
  readonly seed: number;
  readonly kind: string;
  readonly family: string;
  readonly parts: readonly ReportPart[];
}

const rowSchema = z.object({
  seed: z.number().int(),
  id: z.string(),
  kind: z.string(),
  family: z.string(),
  part: z.string(),
  values: z.record(z.string(), z.number()),
  texts: z.record(z.string(), z.string()),
});

/** All reports of a server. */
export class Reports {
  readonly #roots: readonly string[];
  readonly #samples = new Map<string, { readonly tag: string; readonly samples: readonly ReportSample[] }>();

  constructor({ config }: ServerContext) {
    this.#roots = [join(config.data, "reports"), config.reports];
  }

  /** Names and folders. */
  async list(): Promise<{ readonly name: string; readonly path: string }[]> {
    const all = await Promise.all(this.#roots.map((root) => foldersWith(root, "report.json", 3)));
    const known = new Set<string>();
    return all.flat().filter(({ name }) => !known.has(name) && known.add(name));
  }

  /** The folder of a report. @throws a 404 */
  async folder(name: string): Promise<string> {
    for (const root of this.#roots) {
      const path = folderOfName(root, name);
      if (path !== undefined && (await stat(join(path, "report.json")).catch(() => undefined))?.isFile())
        return path;
    }
    throw notFound("report", name);
  }

  /** `report.json`. @throws a 404 */
  async read(name: string): Promise<EvaluationReport> {
    const path = await this.folder(name);
    const checked = reportSchema.safeParse(JSON.parse(await readFile(join(path, "report.json"), "utf8")));
    if (!checked.success) throw notFound("report of this version", name);
    return checked.data;
  }

  /** All samples. @throws a 404 */
  async samples(name: string): Promise<readonly ReportSample[]> {
    return this.#samplesOf(name, await this.folder(name));
  }

  /** Samples that fit, a page of them. */
  async find(name: string, query: z.infer<typeof reportQuerySchema>) {
    const all = await this.#samplesOf(name, await this.folder(name));
    const fitting = all.filter(
      (sample) =>
        (query.family === "" || sample.family === query.family) &&
        (query.kind === "" || sample.kind === query.kind) &&
        (query.part === "" || sample.parts.some(({ part }) => part === query.part)) &&
        (query.failure === "" || hasFailure(sample, query.failure, query.part === "" ? "video" : query.part)),
    );
    if (query.metric !== "") {
      const sign = query.order === "up" ? 1 : -1;
      const of = (sample: ReportSample): number | undefined => metricOf(sample, query.metric, query.part);
      // Samples without the metric go last, whichever way round.
      fitting.sort((a, b) => {
        const [x, y] = [of(a), of(b)];
        if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined);
        return sign * (x - y);
      });
    }
    const pages = Math.max(1, Math.ceil(fitting.length / PAGE_SAMPLES));
    const page = Math.min(query.page, pages - 1);
    return {
      total: fitting.length,
      pages,
      page,
      families: [...new Set(all.map(({ family }) => family))].sort(),
      metrics: [
        ...new Set(all.flatMap(({ parts }) => parts.flatMap(({ values }) => Object.keys(values)))),
      ].sort(),
      videos: [
        ...new Set(all.flatMap(({ parts }) => parts.flatMap((one) => (one.picture ? [one.part] : [])))),
      ],
      samples: fitting.slice(page * PAGE_SAMPLES, (page + 1) * PAGE_SAMPLES),
    };
  }

  /** A file of a report: sheets and videos as pictures, and the report itself. @throws a 404 */
  async filePath(name: string, file: string): Promise<string> {
    const folder = await this.folder(name);
    const path = normalize(join(folder, file));
    const isAllowed = /^(report\.(json|md)|samples\.jsonl|(sheets|videos)\/[A-Za-z0-9._-]+\.png)$/.test(file);
    if (!isAllowed || !path.startsWith(folder + sep)) throw notFound("file", file);
    return path;
  }

  async #samplesOf(name: string, folder: string): Promise<readonly ReportSample[]> {
    const journal = join(folder, "samples.jsonl");
    const found = await stat(journal).catch(() => undefined);
    if (!found) return [];
    const tag = `${found.mtimeMs} ${found.size}`;
    const known = this.#samples.get(folder);
    if (known?.tag === tag) return known.samples;
    const pictures = new Set(await readdir(join(folder, "videos")).catch(() => [] as string[]));
    const samples = new Map<string, Omit<ReportSample, "parts"> & { parts: ReportPart[] }>();
    for (const line of (await readFile(journal, "utf8")).split("\n").slice(1)) {
      const row = parsedRow(line);
      if (!row) continue;
      const { id, seed, kind, family, part, values, texts } = row;
      const sample = samples.get(id) ?? { id, seed, kind, family, parts: [] };
      samples.set(id, sample);
      const picture = `${id}-${part}.png`;
      sample.parts.push({
        part,
        values,
        texts,
        ...(pictures.has(picture) && { picture: `/api/v1/reports/${name}/files/videos/${picture}` }),
      });
    }
    const list = [...samples.values()].sort((a, b) => a.seed - b.seed);
    this.#samples.set(folder, { tag, samples: list });
    return list;
  }
}

function parsedRow(line: string): z.infer<typeof rowSchema> | undefined {
  try {
    return rowSchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

/** A metric of a sample: of a part, or of the first part that has it. */
function metricOf({ parts }: ReportSample, metric: string, part: string): number | undefined {
  return parts.find((one) => (part === "" || one.part === part) && one.values[metric] !== undefined)?.values[
    metric
  ];
}

/** Whether the caption, or the video of a part, failed. */
function hasFailure(
  sample: ReportSample,
  failure: "any" | "none" | keyof typeof FAILURES,
  video: string,
): boolean {
  const failed = (name: keyof typeof FAILURES): boolean =>
    metricOf(sample, FAILURES[name], name === "caption" ? "caption" : video) === 0;
  if (failure === "any" || failure === "none")
    return (Object.keys(FAILURES) as (keyof typeof FAILURES)[]).some(failed) === (failure === "any");
  return failed(failure);
}
