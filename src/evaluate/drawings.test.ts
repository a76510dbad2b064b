/** Drawings in files come back as they were; what is damaged is made again; another autoencoder has another folder. @module */
import { mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadSuite } from "../answer/index.ts";
import { candidates, sampleForSeed } from "../world/index.ts";
import { DrawingFiles, drawingsFolder } from "./drawings.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vans-drawings-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const clips = candidates(sampleForSeed(1)).map((event) => event.render());

it("come back from files as they were", async () => {
  const files = new DrawingFiles(folder);
  expect(await files.read(1, "events")).toBeUndefined();
  await files.write(1, "events", clips);
  await files.write(1, "permuted", clips.slice(0, 3));
  expect(await files.read(1, "events")).toEqual(clips);
  expect(await new DrawingFiles(folder).read(1, "permuted")).toEqual(clips.slice(0, 3));
  expect(await files.read(2, "events")).toBeUndefined();
});

it("count as missing where the file is damaged", async () => {
  const files = new DrawingFiles(folder);
  await files.write(3, "events", clips);
  const name = (await readdir(folder)).find((one) => one.startsWith("3-"))!;
  await truncate(join(folder, name), 1000);
  expect(await files.read(3, "events")).toBeUndefined();
  await writeFile(join(folder, name), "no drawings");
  expect(await files.read(3, "events")).toBeUndefined();
});

it("have a folder for each autoencoder and device", async () => {
  const [sft, joint] = [await loadSuite("playroom-sft"), await loadSuite("playroom")];
  const of = await drawingsFolder("d", sft, "cpu");
  // The default suite extends it with adapters and draws through the same autoencoder.
  expect(await drawingsFolder("d", joint, "cpu")).toBe(of);
  expect(await drawingsFolder("d", sft, "webgpu")).not.toBe(of);
  const other = { ...sft, vae: { ...sft.vae, weights: sft.vdm.weights } };
  expect(await drawingsFolder("d", other, "cpu")).not.toBe(of);
});
