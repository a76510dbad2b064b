/**
 * The package as a stranger gets it: packed, installed from the tarball into an empty project, used from the command line
 * and as a library. Needs the npm registry.
 * @module
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeRandomSuite } from "../src/answer/testing/random-suite.ts";

const run = promisify(execFile);
const repository = new URL("..", import.meta.url).pathname;
/** What README tells people without a GPU: leave the CUDA libraries of the runtime out. */
const env = {
  ...process.env,
  ONNXRUNTIME_NODE_INSTALL: "skip",
  NODE_OPTIONS: "",
  npm_config_loglevel: "error",
};

let root: string;
let project: string;
let suite: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "vans-package-"));
  suite = await writeRandomSuite(join(root, "suite"));
  // A copy, so that packing (which builds) does not disturb the dist/ of a clone that is in use.
  const copy = join(root, "copy");
  const parts = ["package.json", ".npmrc", "tsconfig.json", "tsconfig.build.json", "README.md", "LICENSE"];
  for (const part of [...parts, "scripts", "src", "recipes", "examples", "suites"])
    if (existsSync(join(repository, part)))
      await cp(join(repository, part), join(copy, part), { recursive: true });
  await symlink(join(repository, "node_modules"), join(copy, "node_modules"));
  const packed = await run("npm", ["pack", "--json", "--pack-destination", root], { cwd: copy, env });
  const [{ filename }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf("["))) as [
    { filename: string },
  ];
  project = join(root, "project");
  await mkdir(project);
  await writeFile(
    join(project, "package.json"),
    JSON.stringify({ name: "empty", private: true, type: "module" }),
  );
  await run("npm", ["install", "--no-audit", "--no-fund", join(root, filename)], { cwd: project, env });
}, 600_000);
afterAll(() => rm(root, { recursive: true, force: true }));

it("carries what it needs and nothing else", async () => {
  const inside = await readdir(join(project, "node_modules/vans"));
  expect(inside).toEqual(
    expect.arrayContaining(["dist", "examples", "package.json", "README.md", "LICENSE"]),
  );
  expect(inside).not.toContain("src");
  const files = await readdir(join(project, "node_modules/vans/dist"), { recursive: true });
  expect(files.filter((file) => file.includes(".test."))).toEqual([]);
});

it("answers a clip from the command line", async () => {
  const clip = join(project, "node_modules/vans/examples/clips/gift.mp4");
  const args = [
    "vans",
    "answer",
    clip,
    "what should i do next?",
    "--suite",
    suite,
    "--out",
    "result",
    "--json",
  ];
  const { stdout } = await run("npx", ["--no-install", ...args], { cwd: project, env });
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string });
  expect(events.at(-1)).toMatchObject({ type: "done" });
  expect((await readdir(join(project, "result"))).sort()).toEqual(["answer.json", "answer.mp4", "sheet.png"]);
});

it("answers a clip as a library", async () => {
  const script = `
    import { answer } from "vans/answer";
    const clip = "node_modules/vans/examples/clips/plant.png";
    for await (const event of answer({ clip, question: "which step follows?", suite: process.argv[2], steps: 1 }))
      if (event.type === "done") console.log(event.report.samples[0].clip.frameCount);
  `;
  await writeFile(join(project, "ask.js"), script);
  const { stdout } = await run(process.execPath, ["ask.js", suite], { cwd: project, env });
  expect(stdout.trim()).toBe("17");
});

it("answers with the suite that comes with it", async (context) => {
  const bundled = join(project, "node_modules/vans/suites/playroom/suite.json");
  if (!existsSync(bundled)) context.skip("this version comes without the playroom suite");
  await run("npx", ["--no-install", "vans", "demo"], { cwd: project, env });
  const report = await readFile(join(project, "out/demo/image/answer.json"), "utf8");
  expect(JSON.parse(report)).toMatchObject({ suite: { name: "playroom" } });
});
