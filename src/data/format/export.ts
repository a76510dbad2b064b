/**
 * Datasets in other forms: WebDataset shards, Hugging Face parquet with the clips inside, shards of this project's own
 * format. Decisions made by hand are applied on the way.
 * @module
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, extname, join, resolve, sep } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import tar from "tar-stream";
import { throwIfAborted } from "../../base/abort.ts";
import { VansError } from "../../base/errors.ts";
import { writeFileAtomically } from "../../weights/atomic-file.ts";
import { datasetCard } from "./dataset-card.ts";
import { readSamples, writeSamples } from "./manifest-file.ts";
import { overridden, readOverrides } from "./overrides.ts";
import { COLUMNS, type SampleRow } from "./sample-row.ts";
import { datasetStats } from "./stats.ts";

/** Forms that can be written. */
export const EXPORT_FORMATS = ["webdataset", "huggingface", "shards", "folder"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** What to export. */
export interface ExportOptions {
  readonly folder: string;
  readonly out: string;
  readonly format: ExportFormat;
  /** Only samples of this split. */
  readonly split?: string | undefined;
  /** Samples of a shard. Default 1000; 200 for `huggingface`, whose shards hold the clips in memory. */
  readonly shardSamples?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A shard was written. */
export interface ExportEvent {
  readonly path: string;
  readonly samples: number;
}

/** Samples of a dataset with the decisions made by hand applied. */
export async function* decidedSamples(folder: string, split?: string): AsyncGenerator<SampleRow> {
  const overrides = await readOverrides(folder);
  for await (const row of readSamples(folder)) {
    const decided = overridden(row, overrides.get(row.id));
    if (decided !== undefined && (split === undefined || decided.split === split)) yield decided;
  }
}

/** Writes shards one by one. */
export async function* exportDataset(options: ExportOptions): AsyncGenerator<ExportEvent> {
  const { folder, out, format, split, signal } = options;
  await mkdir(out, { recursive: true });
  const perShard = options.shardSamples ?? (format === "huggingface" ? 200 : 1000);
  switch (format) {
    case "webdataset":
      yield* inShards(decidedSamples(folder, split), perShard, signal, async (rows, number) => {
        const path = join(out, `${fileNameOf(split ?? "samples")}-${pad(number)}.tar`);
        await writeTar(path, folder, rows);
        return path;
      });
      return;
    case "huggingface":
      // One split after another: each has its own files.
      for (const name of split === undefined ? await splitsOf(folder) : [split])
        yield* inShards(decidedSamples(folder, name), perShard, signal, async (rows, number) => {
          // A folder a split: as a prefix, "train" would also match the files of "train-rl".
          const path = join(out, "data", fileNameOf(name), `${pad(number)}.parquet`);
          await writeWithClips(path, folder, rows);
          return path;
        });
      await writeHuggingFaceCard(options);
      return;
    case "folder":
    case "shards": {
      if (format === "folder") {
        const samples = await writeSamples(out, decidedSamples(folder, split));
        yield { path: join(out, "manifest.parquet"), samples };
      } else {
        let count = 0;
        for await (const _ of decidedSamples(folder, split)) count++;
        const shards = Math.max(1, Math.ceil(count / perShard));
        yield* inShards(decidedSamples(folder, split), perShard, signal, async (rows, number) => {
          const name = `manifest-${pad(number)}-of-${pad(shards)}.parquet`;
          await writeSamples(out, rows, { name });
          return join(out, name);
        });
      }
      for await (const row of decidedSamples(folder, split)) {
        throwIfAborted(signal);
        for (const path of [row.input, row.output]) {
          const from = clipPath(folder, path);
          await mkdir(dirname(join(out, path)), { recursive: true });
          await copyFile(from, join(out, path));
        }
      }
      const card = datasetCard(await datasetStats(decidedSamples(folder, split)), {
        name: "exported samples",
      }).replace("path: manifest.parquet", "path: manifest*.parquet");
      await writeText(join(out, "README.md"), card);
    }
  }
}

const pad = (number: number): string => String(number).padStart(5, "0");

async function* inShards(
  rows: AsyncIterable<SampleRow>,
  perShard: number,
  signal: AbortSignal | undefined,
  write: (rows: readonly SampleRow[], number: number) => Promise<string>,
): AsyncGenerator<ExportEvent> {
  let shard: SampleRow[] = [];
  let number = 0;
  for await (const row of rows) {
    throwIfAborted(signal);
    shard.push(row);
    if (shard.length < perShard) continue;
    yield { path: await write(shard, number++), samples: shard.length };
    shard = [];
  }
  if (shard.length > 0) yield { path: await write(shard, number), samples: shard.length };
}

/** A name for files, without dots, at which WebDataset cuts; a hash keeps apart what would become the same. */
function fileNameOf(text: string): string {
  const safe = text.replaceAll(/[^A-Za-z0-9_-]/g, "_");
  if (safe === text && text.length <= 120) return text;
  return `${safe.slice(0, 120)}-${createHash("sha256").update(text).digest("hex").slice(0, 8)}`;
}

/**
 * A clip's place in the folder.
 *
 * @throws VansError `VANS_DATA_CLIP_OUTSIDE`: a table from elsewhere must not reach other files
 */
function clipPath(folder: string, path: string): string {
  const whole = resolve(folder, path);
  if (whole.startsWith(resolve(folder) + sep)) return whole;
  throw new VansError("VANS_DATA_CLIP_OUTSIDE", "a clip lies outside of the dataset", {
    found: path,
    fix: `check the table: vans data validate ${folder}`,
  });
}

async function splitsOf(folder: string): Promise<string[]> {
  const names = new Set<string>();
  for await (const row of decidedSamples(folder)) names.add(row.split);
  return [...names].sort();
}

/** WebDataset: files of a sample share the name up to the first dot. */
async function writeTar(path: string, folder: string, rows: readonly SampleRow[]): Promise<void> {
  const draft = `${path}.${process.pid}.part`;
  const pack = tar.pack();
  const file = createWriteStream(draft);
  pack.pipe(file);
  const add = async (name: string, bytes: Uint8Array): Promise<void> => {
    // A fixed time: the same samples give the same bytes.
    await new Promise<void>((resolve, reject) => {
      pack.entry(
        { name, size: bytes.length, mtime: new Date(0), mode: 0o644 },
        Buffer.from(bytes),
        (error) => (error ? reject(error) : resolve()),
      );
    });
  };
  try {
    for (const row of rows) {
      const key = fileNameOf(row.id);
      await add(`${key}.json`, Buffer.from(JSON.stringify(row)));
      await add(`${key}.input${extname(row.input) || ".mp4"}`, await readFile(clipPath(folder, row.input)));
      await add(
        `${key}.output${extname(row.output) || ".mp4"}`,
        await readFile(clipPath(folder, row.output)),
      );
    }
    pack.finalize();
    await once(file, "close");
    await rename(draft, path);
  } catch (error) {
    pack.destroy();
    await rm(draft, { force: true });
    throw error;
  }
}

/** Columns with the clips' bytes, in the form of the `Video` feature: a struct of bytes and path. */
async function writeWithClips(path: string, folder: string, rows: readonly SampleRow[]): Promise<void> {
  const clips = { input: [] as object[], output: [] as object[] };
  for (const row of rows)
    for (const side of ["input", "output"] as const)
      clips[side].push({
        bytes: new Uint8Array(await readFile(clipPath(folder, row[side]))),
        path: row[side],
      });
  const video = (name: string) => [
    { name, num_children: 2, repetition_type: "OPTIONAL" as const },
    { name: "bytes", type: "BYTE_ARRAY" as const, repetition_type: "OPTIONAL" as const },
    {
      name: "path",
      type: "BYTE_ARRAY" as const,
      converted_type: "UTF8" as const,
      repetition_type: "OPTIONAL" as const,
    },
  ];
  const plain = COLUMNS.filter(({ name }) => name !== "input" && name !== "output");
  const { schemaFromColumnData } = await import("hyparquet-writer");
  const columnData = plain.map((column) => ({
    ...column,
    data: rows.map((row) =>
      column.name === "seed" && row.seed !== null ? BigInt(row.seed) : row[column.name],
    ),
  }));
  const [root, ...fields] = schemaFromColumnData({ columnData });
  const schema = [
    { ...root!, num_children: plain.length + 2 },
    ...fields,
    ...video("input"),
    ...video("output"),
  ];
  const features = {
    info: {
      features: Object.fromEntries([
        ...plain.map(({ name, type }) => [name, hubFeature(type)]),
        ["input", { _type: "Video" }],
        ["output", { _type: "Video" }],
      ]),
    },
  };
  const bytes = parquetWriteBuffer({
    // The types are in the schema.
    columnData: [
      ...columnData.map(({ name, data }) => ({ name, data })),
      { name: "input", data: clips.input },
      { name: "output", data: clips.output },
    ],
    schema,
    rowGroupSize: 50,
    kvMetadata: [{ key: "huggingface", value: JSON.stringify(features) }],
  });
  await writeFileAtomically(path, async (file) => {
    await file.writeFile(new Uint8Array(bytes));
  });
}

function hubFeature(type: (typeof COLUMNS)[number]["type"]): object {
  const names = { STRING: "string", DOUBLE: "float64", INT32: "int32", INT64: "int64" } as const;
  return type === "JSON" ? { _type: "Json" } : { dtype: names[type], _type: "Value" };
}

async function writeHuggingFaceCard({ folder, out, split }: ExportOptions): Promise<void> {
  const stats = await datasetStats(decidedSamples(folder, split));
  const files = Object.keys(stats.splits)
    .sort()
    .flatMap((name) => [
      `      - split: ${name.replaceAll(/\W/g, "_")}`,
      `        path: data/${fileNameOf(name)}/*.parquet`,
    ]);
  const card = datasetCard(stats, { name: "exported samples" })
    .replace(/ {6}- split: samples\n {8}path: manifest\.parquet/, files.join("\n"))
    .replace('split="samples"', `split="${Object.keys(stats.splits).sort()[0] ?? "train"}"`);
  await writeText(join(out, "README.md"), card);
}

/** Rewrites a dataset's own table with the decisions made by hand. */
export async function applyOverrides(folder: string): Promise<{ readonly samples: number }> {
  const samples = await writeSamples(folder, decidedSamples(folder));
  const stats = await datasetStats(readSamples(folder));
  const names = Object.keys(stats.sources).sort().join(" and ") || "empty";
  await writeText(join(folder, "README.md"), datasetCard(stats, { name: `${names} samples` }));
  return { samples };
}

async function writeText(path: string, text: string): Promise<void> {
  await writeFileAtomically(path, async (file) => {
    await file.writeFile(text);
  });
}
