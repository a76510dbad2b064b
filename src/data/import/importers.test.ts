/** Foreign annotations, good and bad rows. @module */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isVansError } from "../../base/errors.ts";
import { type ListedVideo, readVideoList } from "../curate/video-list.ts";
import { writeImport } from "./import-run.ts";
import { type ImportFormat, importItems } from "./importers.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-import-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function touch(...names: string[]): Promise<void> {
  for (const name of names) {
    const path = join(folder, "videos", name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, "x");
  }
}

async function run(format: ImportFormat, annotations: string) {
  const file = join(folder, `${format}.txt`);
  await writeFile(file, annotations);
  const out = join(folder, format);
  const settings = { annotations: file, videos: join(folder, "videos"), licence: "CC-BY-4.0" };
  const report = await writeImport(out, format, importItems(format, settings));
  const videos: ListedVideo[] = [];
  for await (const video of readVideoList(out)) videos.push(video);
  return { report, videos, out };
}

describe("importers", () => {
  it("read COIN, steps in order of time, and count what they skip", async () => {
    await touch("abc.mp4", "12/deep.mkv");
    const { report, videos, out } = await run(
      "coin",
      JSON.stringify({
        database: {
          abc: {
            class: "MakeTea",
            subset: "testing",
            annotation: [
              { id: "2", label: "pour water", segment: [9, 14.5] },
              { id: "1", label: "boil water", segment: [1, 6] },
              { id: "3", label: "#NAME?", segment: [15, 20] },
              { id: "4", label: "drink", segment: [30, 20] },
              { id: "5", label: "sleep", segment: ["a", 2] },
              { id: "6", label: "wake" },
              null,
            ],
          },
          deep: { recipe_type: 12, annotation: [{ label: "cut", segment: [0, 4] }] },
          gone: { annotation: [{ label: "cut", segment: [0, 4] }] },
          empty: { annotation: [] },
          odd: 7,
          "../../etc/passwd": { annotation: [{ label: "cut", segment: [0, 4] }] },
        },
      }),
    );
    expect(
      videos.map(({ id, kind, goal, split, steps }) => [id, kind, goal, split, steps.map((s) => s.label)]),
    ).toEqual([
      ["abc", "procedural", "Make Tea", "evaluation", ["boil water", "pour water"]],
      ["deep", "procedural", "12", "train", ["cut"]],
    ]);
    expect(report).toMatchObject({ videos: 2, steps: 3, skipped: 9, mended: 0 });
    expect((await readFile(join(out, "import-skipped.jsonl"), "utf8")).trim().split("\n")).toHaveLength(9);
  });

  it("read YouCook2 and ActivityNet Captions", async () => {
    await touch("yc.mp4", "v_an.mp4");
    const cook = await run(
      "youcook2",
      JSON.stringify({
        database: {
          yc: {
            recipe_type: "113",
            subset: "training",
            annotations: [{ id: 0, sentence: "slice the bun", segment: [3, 8] }],
          },
        },
      }),
    );
    expect(cook.videos[0]).toMatchObject({
      id: "yc",
      source: "youcook2",
      split: "train",
      licence: "CC-BY-4.0",
    });
    const activity = await run(
      "activitynet",
      `\uFEFF${JSON.stringify({
        v_an: {
          duration: 50,
          timestamps: [
            [0.3, 12],
            [12, 40.5],
            [41, 50],
          ],
          sentences: ["A man runs.", " He jumps. "],
        },
        v_no: { duration: 5 },
      })}`,
    );
    expect(activity.videos[0]).toMatchObject({ kind: "predictive", source: "activitynet" });
    expect(activity.videos[0]!.steps.map((step) => step.label)).toEqual(["A man runs.", "He jumps."]);
    expect(activity.report).toMatchObject({ skipped: 1, mended: 1 });
  });

  it("read the released VANS-Data tables with all their oddities", async () => {
    await touch("v1/1.mp4", "v1/2.mp4", "v2/1.mp4", "v2/3.mp4");
    const { report, videos } = await run(
      "vans-csv",
      [
        "\uFEFFname,ENG_Instruction,ENG_GT_Caption,input_video_path,output_video_path",
        'a,"What next, please?","She ""pours"" tea",/v1/1.mp4,/v1/2.mp4',
        "#NAME?,What now?,He cuts it,/v2/1.mp4,/v2/3.mp4",
        "b,#NAME?,He cuts it,/v2/1.mp4,/v2/3.mp4",
        "c,What now?,,/v2/1.mp4,/v2/3.mp4",
        "d,What now?,He cuts it,/v2/1.mp4,/v2/9.mp4",
        "e,What now?,He cuts it",
        "f,What now?,He cuts it,/../../etc/passwd,/v2/3.mp4",
        'g,"What" now?,He cuts it,/v1/1.mp4,/v2/3.mp4',
        "",
      ].join("\r\n"),
    );
    expect(videos.map(({ given }) => [given?.question, given?.caption])).toEqual([
      ["What next, please?", 'She "pours" tea'],
      ["What now?", "He cuts it"],
      ['"What" now?', "He cuts it"],
    ]);
    expect(new Set(videos.map(({ id }) => id)).size).toBe(3);
    expect(report).toMatchObject({ videos: 3, skipped: 5, mended: 1 });
  });

  it("take no times, names or texts for what they are not", async () => {
    await touch("nasty.mp4");
    const good = { label: "boil water", segment: ["0", 3] };
    const bad = [
      ...[null, "", [], true, "NaN"].map((start) => ({ label: "pour", segment: [start, 6] })),
      ...["#REF!", "#name?", "caf\uFFFD", "a\u0000b"].map((label) => ({ label, segment: [3, 6] })),
      { label: "boil water", segment: [0, 3] },
    ];
    const annotation = [good, ...bad, { label: "pour\u2028 it", segment: [3, 6] }];
    const { videos, report } = await run("coin", JSON.stringify({ database: { nasty: { annotation } } }));
    expect(videos[0]!.steps.map((step) => step.label)).toEqual(["boil water", "pour it"]);
    expect(report.reasons).toEqual({
      "a step whose times are no numbers": 5,
      "a step without a name": 2,
      "a name with control characters or bytes that are not UTF-8": 2,
      "a step that occurs twice": 1,
    });
  });

  it("lose one line, not the file, to an open quote and to mixed line ends", async () => {
    await touch("v1/1.mp4", "v1/2.mp4");
    const row = (question: string, end: string) => `x,${question},He pours,/v1/1.mp4,/v1/2.mp4${end}`;
    const rows = [
      row('"two', "\n").replace(",He pours", '\nlines, ""quoted""",He pours'),
      row('"never closed', "\n"),
      row("first", "\n"),
      row("second", "\r\n"),
      row("second", "\r\n"),
      row('a "word" inside', "\n"),
      row("same clip", "\n").replace("/2.mp4", "/1.mp4"),
      ...Array.from({ length: 50 }, (_, i) => row(`more ${i}`, "\r\n")),
    ];
    const header = "name,ENG_Instruction,ENG_GT_Caption,input_video_path,output_video_path\r\n";
    const { videos, report } = await run("vans-csv", header + rows.join(""));
    expect(videos.map(({ given }) => given?.question)).toEqual([
      'two\nlines, "quoted"',
      "first",
      "second",
      'a "word" inside',
      ...Array.from({ length: 50 }, (_, i) => `more ${i}`),
    ]);
    expect(report.reasons).toEqual({
      "a quote that is never closed": 1,
      "a row that occurs twice": 1,
      "input and output are the same clip": 1,
    });
  });

  it("teach what is wrong", async () => {
    const settings = { videos: join(folder, "videos"), licence: "unknown" };
    const importing = (format: ImportFormat, more: object) =>
      writeImport(join(folder, "no"), format, importItems(format, { annotations: "", ...settings, ...more }));
    const unreadable = (error: unknown) => isVansError(error, "VANS_DATA_IMPORT_UNREADABLE");
    await expect(importing("vans-csv", { annotations: join(folder, "none.csv") })).rejects.toSatisfy(
      unreadable,
    );
    await expect(importing("videos", { videos: join(folder, "none") })).rejects.toSatisfy(unreadable);
    await expect(run("vans-csv", "name,ENG_Instruction\n")).rejects.toSatisfy(unreadable);
    const code = (name: `VANS_${string}`) => (error: unknown) => isVansError(error, name);
    await expect(run("coin", "not json")).rejects.toSatisfy(code("VANS_DATA_IMPORT_UNREADABLE"));
    await expect(run("coin", "[]")).rejects.toSatisfy(code("VANS_DATA_IMPORT_UNREADABLE"));
    await expect(run("vans-csv", "a,b\n1,2\n")).rejects.toSatisfy(code("VANS_DATA_IMPORT_UNREADABLE"));
    await expect(run("coin", '{"database":{"gone":{"annotation":[]}}}')).rejects.toSatisfy(
      code("VANS_DATA_IMPORT_EMPTY"),
    );
  });
});
