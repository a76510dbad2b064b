/** Suites on disk: what is found, what is refused and in which words. @module */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isVansError, type VansError } from "../base/errors.ts";
import { BUNDLED_SUITES, loadSuite } from "./suite.ts";
import { hashFile, suiteHashes } from "./suite-hashes.ts";
import { openPart } from "./suite-weights.ts";
import { writeRandomSuite } from "./testing/random-suite.ts";

let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "vans-suite-"));
  folder = await writeRandomSuite(join(root, "random"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

type Json = { [name: string]: Json & string };

async function errorOf(work: Promise<unknown>): Promise<VansError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isVansError(error)) throw new Error(`expected a coded error, got ${String(error)}`);
  return error;
}

/** A copy of the suite whose `suite.json` is changed. */
async function changed(name: string, change: (json: Json) => void): Promise<string> {
  const copy = join(root, name);
  await cp(folder, copy, { recursive: true });
  const path = join(copy, "suite.json");
  const json = JSON.parse(await readFile(path, "utf8")) as Json;
  change(json);
  await writeFile(path, JSON.stringify(json));
  return copy;
}

describe("loadSuite", () => {
  it("reads a folder, with defaults for what it leaves open", async () => {
    const suite = await loadSuite(folder);
    expect(suite.name).toBe("random");
    expect(suite.vlm.weights).toEqual([join(folder, "vlm/model.safetensors")]);
    expect(suite.vdm.config.inChannels).toBe(suite.vae.config.z_dim);
    expect(suite.manifest.answer).toMatchObject({ inputPick: "whole", stillFrames: 1, tiled: false });
    expect(suite.manifest.adapters).toEqual([]);
  });

  it("looks for bundled suites beside src/ or dist/", () => {
    expect(BUNDLED_SUITES).toMatch(/[/\\]suites[/\\]$/);
  });

  it("says where it looked for a suite that is not there", async () => {
    const error = await errorOf(loadSuite("no-such-suite"));
    expect(error.code).toBe("VANS_SUITE_NOT_FOUND");
    expect(error.details.asked).toContain(join(BUNDLED_SUITES, "no-such-suite"));
    expect((await errorOf(loadSuite(join(root, "nowhere")))).code).toBe("VANS_SUITE_NOT_FOUND");
  });

  it("names every wrong field of suite.json", async () => {
    const copy = await changed("fields", (json) => {
      Object.assign(json["answer"]!, { steps: 0, scheduler: "magic", colour: "red" });
      Object.assign(json["vae"]!, { weights: "../../etc/passwd" });
      delete json["licence"];
    });
    const error = await errorOf(loadSuite(copy));
    expect(error.code).toBe("VANS_SUITE_INVALID");
    const problems = (error.details.data?.["problems"] ?? []) as { field: string }[];
    const fields = problems.map(({ field }) => field);
    expect(fields).toEqual(expect.arrayContaining(["licence", "answer.steps", "answer.scheduler", "answer"]));
    expect(fields.some((field) => field.startsWith("vae.weights"))).toBe(true);
  });

  it("says what is no JSON, and which file is missing", async () => {
    const broken = join(root, "broken");
    await cp(folder, broken, { recursive: true });
    await writeFile(join(broken, "suite.json"), "{");
    expect((await errorOf(loadSuite(broken))).code).toBe("VANS_SUITE_INVALID");
    const missing = await changed("missing", (json) => {
      Object.assign(json["vdm"]!, { weights: ["vdm/other.safetensors"] });
    });
    const error = await errorOf(loadSuite(missing));
    expect(error.code).toBe("VANS_SUITE_FILE_MISSING");
    expect(error.message).toContain("vdm/other.safetensors");
  });

  it("refuses parts and settings that do not fit together, with the way out", async () => {
    const copy = await changed("unfit", (json) => {
      Object.assign(json["answer"]!, { answerFrames: 18, width: 36 });
    });
    const config = join(copy, "text-encoder/config.json");
    const json = JSON.parse(await readFile(config, "utf8")) as object;
    await writeFile(config, JSON.stringify({ ...json, d_model: 32 }));
    const error = await errorOf(loadSuite(copy));
    expect(error.code).toBe("VANS_SUITE_INVALID");
    expect(error.message).toContain("answer.answerFrames: 18 frames; use 17 or 21 frames");
    expect(error.message).toContain("36x32 pixels; multiples of 16");
    expect(error.message).toContain("text width 24, textEncoder: 32");
  });
});

describe("a suite that extends another", () => {
  const extension = async (name: string, json: object): Promise<string> => {
    const path = join(root, name);
    await mkdir(path, { recursive: true });
    await writeFile(join(path, "suite.json"), JSON.stringify(json));
    return path;
  };

  it("takes parts and settings from it, and says its own", async () => {
    const other = await extension("extension", {
      name: "extension",
      extends: "../random",
      about: "the same with more steps",
      answer: { steps: 3 },
    });
    const [base, suite] = [await loadSuite(folder), await loadSuite(other)];
    expect(suite.name).toBe("extension");
    expect(suite.vlm.weights).toEqual(base.vlm.weights);
    expect(suite.manifest.answer).toEqual({ ...base.manifest.answer, steps: 3 });
    const hashes = await suiteHashes(suite);
    expect(Object.keys(hashes)).toEqual(
      expect.arrayContaining(["suite.json", "../random/suite.json", "../random/vlm/model.safetensors"]),
    );
  });

  it("refuses circles and unknown fields", async () => {
    await extension("circle-a", { name: "a", extends: "../circle-b", about: "a" });
    const b = await extension("circle-b", { name: "b", extends: "../circle-a", about: "b" });
    expect((await errorOf(loadSuite(b))).message).toContain("circle");
    const odd = await extension("odd", { name: "odd", extends: "../random", about: "odd", vdm: {} });
    expect((await errorOf(loadSuite(odd))).details.found).toContain("vdm");
  });
});

describe("weights and hashes", () => {
  it("locates weights in their files and names those that are missing", async () => {
    const suite = await loadSuite(folder);
    const { binding, lora } = await openPart(suite, "vdm");
    const weight = binding.weight("blocks.0.self_attn.q.weight");
    expect(weight).toMatchObject({
      path: join(folder, "vdm/model.safetensors"),
      dtype: "bf16",
      shape: [32, 32],
    });
    expect(lora).toBeUndefined();
    expect(() => binding.weight("blocks.9.ffn.0.weight")).toThrow(/no tensor blocks\.9\.ffn\.0\.weight/);
  });

  it("hashes every file that an answer depends on, and sees a change", async () => {
    const suite = await loadSuite(folder);
    const hashes = await suiteHashes(suite);
    expect(Object.keys(hashes)).toEqual([
      "suite.json",
      "text-encoder/config.json",
      "text-encoder/model.safetensors",
      "text-encoder/tokenizer.json",
      "vae/config.json",
      "vae/model.safetensors",
      "vdm/config.json",
      "vdm/model.safetensors",
      "vlm/config.json",
      "vlm/model.safetensors",
      "vlm/tokenizer.json",
    ]);
    expect(hashes["suite.json"]).toBe(await hashFile(join(folder, "suite.json")));
    const copy = await changed("hashes", (json) => {
      Object.assign(json, { about: "other" });
    });
    const other = await suiteHashes(await loadSuite(copy));
    const different = Object.keys(hashes).filter((name) => hashes[name] !== other[name]);
    expect(different).toEqual(["suite.json"]);
  });
});
