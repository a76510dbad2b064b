/** A made dataset is sound; every planted fault is found. The viewer serves and keeps decisions. @module */
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openViewer } from "../view/viewer.ts";
import { makeWorldDataset } from "../world-dataset.ts";
import { decidedSamples, exportDataset } from "./export.ts";
import { readSamples, writeSamples } from "./manifest-file.ts";
import type { SampleRow } from "./sample-row.ts";
import { datasetStats, statsSvg, statsText } from "./stats.ts";
import { validate } from "./validate.ts";

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

async function faultsOf(change: (rows: SampleRow[]) => void): Promise<string[]> {
  const changed = structuredClone(rows);
  change(changed);
  await writeSamples(folder, changed);
  const found = new Set<string>();
  for await (const event of validate(folder))
    if (event.type === "finding" && event.severity === "fault") found.add(event.check);
  return [...found].sort();
}

describe("validation", () => {
  it("passes what the playroom makes and finds every planted fault", async () => {
    expect(await faultsOf(() => {})).toEqual([]);
    await writeFile(join(folder, "clips", "broken.mp4"), "not a video");
    await copyFile(join(folder, rows[0]!.input), join(folder, "clips", "copy.mp4"));
    const planted: [string, (row: SampleRow, all: SampleRow[]) => void][] = [
      ["text-empty", (row) => Object.assign(row, { reasoning: "  " })],
      ["text-error", (row) => Object.assign(row, { question: "#NAME?" })],
      ["text-tag", (row) => Object.assign(row, { reasoning: "so [/Think] it is" })],
      ["text-characters", (row) => Object.assign(row, { caption: "a\u0000b c d" })],
      ["leakage", (row) => Object.assign(row, { question: `is it that ${row.caption}?` })],
      ["clip-missing", (row) => Object.assign(row, { output: "clips/none.mp4" })],
      ["clip-unreadable", (row) => Object.assign(row, { output: "clips/broken.mp4" })],
      ["clip-path", (row) => Object.assign(row, { input: "../secret.mp4" })],
      ["clip-same", (row) => Object.assign(row, { output: row.input })],
      ["clip-times", (row) => Object.assign(row, { output_start_secs: 1, output_end_secs: 9 })],
      ["times", (row) => Object.assign(row, { input_start_secs: 5, input_end_secs: 2 })],
      ["id-twice", (row, all) => Object.assign(row, { id: all[1]!.id })],
      ["world-split", (row) => Object.assign(row, { split: "evaluation" })],
      [
        "split-clip",
        (row, all) => Object.assign(row, { input: all[1]!.input, seed: null, split: "evaluation" }),
      ],
      ["licence", (row) => Object.assign(row, { licence: "" })],
    ];
    for (const [check, plant] of planted)
      expect(await faultsOf((all) => plant(all[0]!, all)), check).toContain(check);
    expect(await faultsOf((all) => all.splice(0))).toEqual(["empty"]);
    await writeSamples(folder, rows);
  }, 400_000);

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
    await rm(join(folder, "overrides.jsonl"));
  });
});
