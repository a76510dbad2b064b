/** A made dataset is sound; every planted fault is found. The viewer serves and keeps decisions. @module */
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { isVansError } from "../../base/errors.ts";
import { validateCommand } from "../../cli/data-look.ts";
import { writeMp4 } from "../../media/index.ts";
import { openViewer } from "../view/viewer.ts";
import { makeWorldDataset } from "../world-dataset.ts";
import { decidedSamples, exportDataset } from "./export.ts";
import { readSamples, writeSamples } from "./manifest-file.ts";
import type { SampleRow } from "./sample-row.ts";
import { datasetStats, statsSvg, statsText } from "./stats.ts";
import type { ValidateEvent } from "./validate.ts";

/** Node 20 has no `Array.fromAsync`. */
async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

let folder: string;
let rows: SampleRow[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-dataset-"));
  for await (const _ of makeWorldDataset({ seed: 100, count: 3, out: folder }));
  rows = await collect(readSamples(folder));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The faults that `vans data validate` prints of changed rows, and the exit code that it leaves. */
async function validated(change: (rows: SampleRow[]) => void): Promise<{ faults: string[]; code: number }> {
  const changed = structuredClone(rows);
  change(changed);
  await writeSamples(folder, changed);
  const lines: string[] = [];
  const before = process.exitCode;
  const print = vi.spyOn(console, "log").mockImplementation((line) => void lines.push(String(line)));
  process.exitCode = 0;
  try {
    await validateCommand().parseAsync([folder, "--json"], { from: "user" });
    const events = lines.map((line) => JSON.parse(line) as ValidateEvent);
    const found = events.flatMap((event) =>
      event.type === "finding" && event.severity === "fault" ? [event.check] : [],
    );
    return { faults: [...new Set(found)].sort(), code: Number(process.exitCode) };
  } finally {
    process.exitCode = before;
    print.mockRestore();
  }
}

/** A fault of each class, and how to plant it in the first row. */
const PLANTED: readonly [check: string, plant: (row: SampleRow, all: SampleRow[]) => void][] = [
  ["row", (row) => Object.assign(row, { kind: "prophetic" })],
  ["text-empty", (row) => Object.assign(row, { reasoning: "  " })],
  ["text-error", (row) => Object.assign(row, { question: "#NAME?" })],
  ["text-error", (row) => Object.assign(row, { caption: "#error!" })],
  ["text-tag", (row) => Object.assign(row, { reasoning: "so [/Think] it is" })],
  ["text-characters", (row) => Object.assign(row, { caption: "a\u0000b c d" })],
  ["leakage", (row) => Object.assign(row, { question: `is it that ${row.caption}?` })],
  ["licence", (row) => Object.assign(row, { licence: "" })],
  ["source", (row) => Object.assign(row, { source: " " })],
  ["clip-missing", (row) => Object.assign(row, { output: "clips/none.mp4" })],
  ["clip-unreadable", (row) => Object.assign(row, { output: "clips/broken.mp4" })],
  ["clip-damaged", (row) => Object.assign(row, { output: "clips/damaged.mp4" })],
  ["clip-still", (row) => Object.assign(row, { output: "clips/still.mp4" })],
  ["clip-path", (row) => Object.assign(row, { input: "../secret.mp4" })],
  ["clip-same", (row) => Object.assign(row, { output: row.input })],
  ["clip-same", (row) => Object.assign(row, { output: "clips/copy.mp4" })],
  ["clip-times", (row) => Object.assign(row, { output_start_secs: 1, output_end_secs: 9 })],
  ["times", (row) => Object.assign(row, { input_start_secs: 5, input_end_secs: 2 })],
  ["times", (row) => Object.assign(row, { input_start_secs: 5 })],
  ["id-twice", (row, all) => Object.assign(row, { id: all[1]!.id })],
  ["world-split", (row) => Object.assign(row, { split: "evaluation" })],
  ["world-event", (row) => Object.assign(row, { event: row.wrong_events[0]!.event })],
  ["split-video", (row, all) => Object.assign(row, { video: all[1]!.video, seed: null, split: "test" })],
  ["split-clip", (row, all) => Object.assign(row, { input: all[1]!.input, seed: null, split: "evaluation" })],
  ["empty", (_, all) => all.splice(0)],
];

describe("validation", () => {
  beforeAll(async () => {
    const clip = (name: string): string => join(folder, "clips", name);
    await writeFile(clip("broken.mp4"), "not a video");
    await copyFile(join(folder, rows[0]!.input), clip("copy.mp4"));
    const rgb = new Uint8Array(64 * 64 * 3).fill(90);
    await writeMp4(clip("still.mp4"), { frameCount: 1, width: 64, height: 64, frameRateHz: 8, rgb });
    // Pictures that cannot be decoded in a container that is sound: the index comes first.
    const bytes = await readFile(join(folder, rows[0]!.output));
    bytes.fill(0, bytes.indexOf("mdat") + 8);
    await writeFile(clip("damaged.mp4"), bytes);
  });
  afterEach(async () => {
    await rm(join(folder, "overrides.jsonl"), { force: true });
    await writeSamples(folder, rows);
  });

  it("passes what the playroom makes, exit code 0", async () => {
    expect(await validated(() => {})).toEqual({ faults: [], code: 0 });
  });

  it.each(PLANTED)("finds %s, exit code 1", async (check, plant) => {
    const { faults, code } = await validated((all) => plant(all[0]!, all));
    if (check === "clip-damaged") expect(faults.join()).toMatch(/clip-damaged|clip-unreadable/);
    else expect(faults).toContain(check);
    expect(code).toBe(1);
  });

  it("finds decisions that cannot be read, exit code 1", async () => {
    await writeFile(join(folder, "overrides.jsonl"), '{"id":"x","rejected":"maybe"}\n');
    expect(await validated(() => {})).toEqual({ faults: ["overrides"], code: 1 });
  });
});

describe("datasets", () => {
  it("counts and draws", async () => {
    const stats = await datasetStats(rows);
    expect(stats).toMatchObject({
      samples: 3,
      kinds: { procedural: 2, predictive: 1 },
      splits: { train: 3 },
    });
    expect(statsText(stats)).toContain("3 samples from 3 videos");
    expect(statsSvg(stats)).toMatch(/^<svg .*<\/svg>\n$/s);
  });

  it("is looked at and decided on through a page of this machine", async () => {
    const viewer = await openViewer(folder);
    try {
      const page = await (await fetch(viewer.url)).text();
      expect(page).toContain("<title>Samples</title>");
      expect(page).not.toMatch(/https?:\/\//);
      const post = (body: unknown, headers = {}) =>
        fetch(`${viewer.url}api/override`, {
          method: "POST",
          headers: { "content-type": "application/json", ...headers },
          body: JSON.stringify(body),
        });
      const [first, second] = rows as [SampleRow, SampleRow];
      expect((await post({ id: first.id, rejected: true, note: "dull" })).status).toBe(200);
      expect(
        (await post({ id: second.id, fields: { caption: "another caption", split: "rl" } })).status,
      ).toBe(200);
      expect((await post({ id: second.id, fields: { seed: 3 } })).status).toBe(400);
      expect((await post({ id: first.id }, { origin: "https://elsewhere.example" })).status).toBe(403);
      const list = async (query: string) =>
        (await (await fetch(`${viewer.url}api/samples?${query}`)).json()) as {
          fitting: number;
          total: number;
        };
      expect(await list("state=rejected")).toMatchObject({ fitting: 1, total: 3 });
      expect(await list("split=rl&text=another")).toMatchObject({ fitting: 1 });
      const clip = await fetch(`${viewer.url}file/${first.input}`, { headers: { range: "bytes=0-99" } });
      expect([clip.status, (await clip.arrayBuffer()).byteLength]).toEqual([206, 100]);
      expect((await fetch(`${viewer.url}file/..%2f..%2fetc%2fpasswd`)).status).toBe(404);
      expect((await fetch(`${viewer.url}file/manifest.parquet`)).status).toBe(404);
    } finally {
      await viewer.close();
    }
    const decided = await collect(decidedSamples(folder));
    expect(decided.map(({ split, caption }) => [split, caption])).toEqual([
      ["rl", "another caption"],
      ["train", rows[2]!.caption],
    ]);
    expect(await readFile(join(folder, "overrides.jsonl"), "utf8")).toContain("dull");
    const shards = await collect(
      exportDataset({ folder, out: join(folder, "tar"), format: "webdataset", shardSamples: 1 }),
    );
    expect(shards.map(({ samples }) => samples)).toEqual([1, 1]);
    const hub = await collect(exportDataset({ folder, out: join(folder, "hub"), format: "huggingface" }));
    expect(hub.map(({ path }) => path.slice(folder.length + 1))).toEqual([
      "hub/data/rl/00000.parquet",
      "hub/data/train/00000.parquet",
    ]);
    expect(await readFile(join(folder, "hub", "README.md"), "utf8")).toContain("path: data/rl/*.parquet");
    await rm(join(folder, "overrides.jsonl"));
  });

  it("exports ids that differ in a dot apart, and nothing from outside of the folder", async () => {
    const [first] = rows as [SampleRow];
    const named = (id: string, more: Partial<SampleRow> = {}) => ({ ...first, id, ...more });
    await writeSamples(folder, [named("a.b"), named("a_b")]);
    const out = join(folder, "apart");
    await collect(exportDataset({ folder, out, format: "webdataset" }));
    const tarred = (await readFile(join(out, "samples-00000.tar"))).toString("latin1");
    const names = new Set(tarred.match(/a_b[^/\0]*\.json/g));
    expect(names.size).toBe(2);
    for (const format of ["webdataset", "huggingface", "folder"] as const) {
      await writeSamples(folder, [named("x", { input: "../../../etc/hosts" })]);
      await expect(collect(exportDataset({ folder, out: join(folder, "never"), format }))).rejects.toSatisfy(
        (error: unknown) => isVansError(error, "VANS_DATA_CLIP_OUTSIDE"),
      );
    }
    await writeSamples(folder, rows);
  });
});
