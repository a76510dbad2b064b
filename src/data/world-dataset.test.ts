/** A made folder reads back as it was simulated. @module */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isVansError } from "../base/errors.ts";
import { readClip } from "../media/decode.ts";
import { sampleForSeed } from "../world/index.ts";
import { makeWorldDataset, manifestRow } from "./world-dataset.ts";
import { MANIFEST_NAME, readManifest } from "./world-manifest.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-world-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a made world folder", () => {
  it("holds the clips and rows of its seeds", async () => {
    const out = join(folder, "made");
    const kinds: string[] = [];
    for await (const event of makeWorldDataset({ seed: 899_998, count: 4, out })) kinds.push(event.type);
    expect(kinds).toEqual(["sample", "sample", "sample", "sample", "manifest"]);
    const rows = await readManifest(out);
    expect(rows).toEqual(
      [899_998, 899_999, 900_000, 900_001].map((seed) => manifestRow(sampleForSeed(seed))),
    );
    expect(rows.map((row) => row.split)).toEqual(["train", "train", "evaluation", "evaluation"]);
    const row = rows[3]!;
    const decoded = await readClip(join(out, row.input));
    const { input } = sampleForSeed(row.seed);
    expect([decoded.frameCount, decoded.height, decoded.width, decoded.frameRateHz]).toEqual([21, 64, 64, 8]);
    let squares = 0;
    for (let i = 0; i < input.rgb.length; i++) squares += (input.rgb[i]! - decoded.rgb[i]!) ** 2;
    const psnrDb = 10 * Math.log10(255 ** 2 / (squares / input.rgb.length));
    expect(psnrDb).toBeGreaterThan(28);
  });

  it("has no manifest when the work was cancelled", async () => {
    const out = join(folder, "cancelled");
    const stop = new AbortController();
    const run = async () => {
      for await (const event of makeWorldDataset({ seed: 0, count: 3, out, signal: stop.signal })) {
        if (event.type === "sample") stop.abort();
      }
    };
    await expect(run()).rejects.toSatisfy((error) => isVansError(error, "VANS_RUN_ABORTED"));
    expect(await readdir(out)).not.toContain(MANIFEST_NAME);
  });

  it("teaches what is wrong", async () => {
    await expect(readManifest(join(folder, "none"))).rejects.toSatisfy((error) =>
      isVansError(error, "VANS_DATA_MANIFEST_NOT_FOUND"),
    );
    await writeFile(join(folder, MANIFEST_NAME), "not a table");
    await expect(readManifest(folder)).rejects.toSatisfy((error) =>
      isVansError(error, "VANS_DATA_MANIFEST_INVALID"),
    );
    await expect(makeWorldDataset({ seed: -1, count: 1, out: folder }).next()).rejects.toSatisfy((error) =>
      isVansError(error, "VANS_WORLD_REQUEST_INVALID"),
    );
  });
});
