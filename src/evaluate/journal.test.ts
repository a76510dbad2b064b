/** The journal goes on where it was, and only where it may. @module */
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { JOURNAL_NAME, Journal } from "./journal.ts";
import type { PartRow } from "./part-row.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-journal-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const of = { suite: { "a.json": "1" }, settings: { steps: 3, unset: undefined } };
const row = (seed: number, part: PartRow["part"] = "video"): PartRow => ({
  seed,
  id: `s${seed}`,
  kind: "procedural",
  family: "house",
  part,
  values: { videoEventAccuracy: 1 },
  texts: { caption: "é\n" },
  secs: {},
  workers: 1,
});

it("reads back what was added, also after a line that was cut off", async () => {
  const first = await Journal.open(folder, { of, fresh: false });
  await Promise.all([first.add(row(1)), first.add(row(2)), first.add(row(1, "caption"))]);
  await appendFile(join(folder, JOURNAL_NAME), '{"seed":3,"id');
  const again = await Journal.open(folder, { of, fresh: false });
  expect(again.row(1, "video")).toEqual(row(1));
  expect(again.row(3, "video")).toBeUndefined();
  await again.add(row(4));
  const third = await Journal.open(folder, { of, fresh: false });
  expect(third.rowsOf([4, 2, 1]).map(({ seed }) => seed)).toEqual([4, 2, 1, 1]);
  expect(third.rowsOf([2])).toEqual([row(2)]);
});

it("refuses to go on with something else, unless told to start anew", async () => {
  await (await Journal.open(folder, { of, fresh: false })).add(row(1));
  const other = { ...of, settings: { steps: 4 } };
  await expect(Journal.open(folder, { of: other, fresh: false })).rejects.toMatchObject({
    code: "VANS_EVALUATE_OTHER_RUN",
    message: expect.stringContaining("other settings"),
  });
  expect((await Journal.open(folder, { of: other, fresh: true })).row(1, "video")).toBeUndefined();
});

it("names the line that is not its own", async () => {
  await (await Journal.open(folder, { of, fresh: false })).add(row(1));
  const path = join(folder, JOURNAL_NAME);
  await writeFile(path, `${await readFile(path, "utf8")}{"seed":-1}\n`);
  await expect(Journal.open(folder, { of, fresh: false })).rejects.toMatchObject({
    code: "VANS_EVALUATE_JOURNAL",
    message: expect.stringContaining("line 3"),
  });
});
