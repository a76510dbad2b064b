/**
 * The table of a dataset: `manifest.parquet`, or shards `manifest-00000-of-00004.parquet`. Written and read row group by
 * row group, so that memory does not grow with the dataset.
 * @module
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type AsyncBuffer, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { ByteWriter, parquetWriteRows, schemaFromColumnData } from "hyparquet-writer";
import { VansError } from "../../base/errors.ts";
import { COLUMNS, FORMAT_VERSION, type SampleRow, sampleRowSchema } from "./sample-row.ts";

/** Name of the table inside the folder. */
export const MANIFEST_NAME = "manifest.parquet";

const SHARD_NAME = /^manifest-(\d{5})-of-(\d{5})\.parquet$/;
const ROW_GROUP_ROWS = 1000;

/**
 * Writes the table in one piece: a reader sees the old one or the new one, never half of it. Rows may come one by one.
 *
 * @returns the number of rows
 */
export async function writeSamples(
  folder: string,
  rows: Iterable<SampleRow> | AsyncIterable<SampleRow>,
  options: { readonly name?: string } = {},
): Promise<number> {
  const path = join(folder, options.name ?? MANIFEST_NAME);
  const draft = `${path}.${process.pid}.part`;
  let count = 0;
  async function* cells(): AsyncGenerator<Record<string, unknown>> {
    for await (const row of rows) {
      count++;
      yield { ...row, seed: row.seed === null ? null : BigInt(row.seed) };
    }
  }
  const file = new FileWriter(draft);
  try {
    await parquetWriteRows({
      writer: file,
      rows: cells(),
      columns: COLUMNS.map((column) => ({ ...column })),
      // Given, so that a table without rows has its columns too.
      schema: schemaFromColumnData({ columnData: COLUMNS.map((column) => ({ ...column, data: [] })) }),
      rowGroupSize: ROW_GROUP_ROWS,
      kvMetadata: [{ key: "vans_dataset_format", value: String(FORMAT_VERSION) }],
    });
    file.close();
    await rename(draft, path);
  } catch (error) {
    file.close();
    await rm(draft, { force: true });
    throw error;
  }
  return count;
}

/** A parquet writer that puts every row group into a file. */
class FileWriter extends ByteWriter {
  readonly #file: number;
  #isOpen = true;

  constructor(path: string) {
    super();
    this.#file = openSync(path, "w");
  }

  flush(): void {
    const bytes = new Uint8Array(this.buffer, 0, this.index);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at, bytes.length - at);
    this.index = 0;
  }

  override finish(): void {
    this.flush();
  }

  close(): void {
    if (this.#isOpen) closeSync(this.#file);
    this.#isOpen = false;
  }
}

/**
 * The table files of a folder, in order.
 *
 * @throws VansError `VANS_DATA_MANIFEST_NOT_FOUND`, `VANS_DATA_MANIFEST_INVALID` where a shard is missing
 */
export async function manifestFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw notFound(folder, cause);
  });
  if (names.includes(MANIFEST_NAME)) return [join(folder, MANIFEST_NAME)];
  const shards = names.filter((name) => SHARD_NAME.test(name)).sort();
  if (shards.length === 0) throw notFound(folder);
  const count = Number(SHARD_NAME.exec(shards[0]!)![2]);
  if (shards.length !== count || shards.some((name) => Number(SHARD_NAME.exec(name)![2]) !== count)) {
    throw new VansError("VANS_DATA_MANIFEST_INVALID", `shards of the manifest are missing in ${folder}`, {
      found: `${shards.length} files, their names say ${count}`,
      fix: "copy all shards of the dataset",
    });
  }
  return shards.map((name) => join(folder, name));
}

function notFound(folder: string, cause?: unknown): VansError {
  return new VansError("VANS_DATA_MANIFEST_NOT_FOUND", `no ${MANIFEST_NAME} in ${folder}`, {
    why: "the folder is no dataset, or its curation is not finished",
    fix: `make one: vans world make --seed 900000 --count 400 --out ${folder}; or finish it: vans data curate ${folder}`,
    cause,
  });
}

/** A table's raw rows, row group by row group. */
async function* rawRows(path: string): AsyncGenerator<Record<string, unknown>> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    const file: AsyncBuffer = {
      byteLength: size,
      async slice(start, end = size) {
        const bytes = new Uint8Array(end - start);
        await handle.read(bytes, 0, bytes.length, start);
        return bytes.buffer;
      },
    };
    let rowStart = 0;
    try {
      const metadata = await parquetMetadataAsync(file);
      for (const group of metadata.row_groups) {
        const rowEnd = rowStart + Number(group.num_rows);
        yield* await parquetReadObjects({ file, metadata, rowStart, rowEnd });
        rowStart = rowEnd;
      }
    } catch (cause) {
      throw new VansError("VANS_DATA_MANIFEST_INVALID", `${path} is not a parquet table that can be read`, {
        found: cause instanceof Error ? cause.message : String(cause),
        fix: "make the folder again",
        cause,
      });
    }
  } finally {
    await handle.close();
  }
}

/** A row that was read, or what is wrong with it. */
export type ReadRow =
  | { readonly index: number; readonly row: SampleRow; readonly fault?: undefined }
  | { readonly index: number; readonly row?: undefined; readonly id: string; readonly fault: string };

/** Rows as they are, the bad ones with their fault; for `validate`. */
export async function* readRows(folder: string): AsyncGenerator<ReadRow> {
  let index = 0;
  for (const path of await manifestFiles(folder)) {
    for await (const raw of rawRows(path)) {
      const parsed = sampleRowSchema.safeParse(withoutUndefined(raw));
      if (parsed.success) yield { index, row: parsed.data };
      else {
        const issue = parsed.error.issues[0];
        const id = typeof raw["id"] === "string" ? raw["id"] : `row ${index}`;
        yield { index, id, fault: `column ${issue?.path.join(".")}: ${issue?.message}` };
      }
      index++;
    }
  }
}

function withoutUndefined(raw: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(raw).filter(([, value]) => value !== undefined));
}

/**
 * The samples of a dataset, one by one, as the table holds them.
 *
 * @throws VansError `VANS_DATA_MANIFEST_NOT_FOUND`, `VANS_DATA_MANIFEST_INVALID` naming the row
 */
export async function* readSamples(folder: string): AsyncGenerator<SampleRow> {
  for await (const read of readRows(folder)) {
    if (read.row === undefined) {
      throw new VansError("VANS_DATA_MANIFEST_INVALID", `the manifest of ${folder} lacks what it must have`, {
        found: `row ${read.index}, ${read.fault}`,
        fix: `see all faults: vans data validate ${folder}`,
      });
    }
    yield read.row;
  }
}
