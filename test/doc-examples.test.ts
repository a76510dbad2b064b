/**
 * Runs the examples of the documentation comments. Every ```ts block behind an `@example` in src/ is a program of its
 * own that imports from the package's doors (`vans`, `vans/tensor`, …). `expression; // => value` is an assertion, and so
 * is `expression; // => throws VANS_CODE`. A block that cannot run here is fenced as ```ts no-run.
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SOURCE = join(ROOT, "src");
/** Ignored by git, and inside the project, so that the test runner compiles what lies here. */
const FOLDER = join(ROOT, "test/.cache/examples");

interface Example {
  /** File and line of the block. */
  readonly place: string;
  readonly code: string;
}

/** The runnable blocks behind `@example` tags of one file. */
function examplesOf(text: string, file: string): Example[] {
  const found: Example[] = [];
  for (const comment of text.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    const plain = comment[0].replace(/^[ \t]*\* ?/gm, "");
    for (const block of plain.matchAll(/@example[^@`]*```ts\n([\s\S]*?)```/g)) {
      const line =
        text.slice(0, comment.index).split("\n").length + plain.slice(0, block.index).split("\n").length;
      found.push({ place: `${file}:${line}`, code: block[1]! });
    }
  }
  return found;
}

/** The file behind a door of the package. */
function doorFile(specifier: string): string {
  const door = specifier === "vans" ? "" : specifier.slice("vans/".length);
  return join(SOURCE, door, "index.ts");
}

/** An example as a module: doors become files, `// =>` becomes a call. */
function moduleOf(code: string): string {
  const lines = code
    .replace(/(from\s+|import\s*\(?\s*)"(vans(?:\/[^"]*)?)"/g, (_, lead: string, specifier: string) => {
      return `${lead}${JSON.stringify(pathToFileURL(doorFile(specifier)).href)}`;
    })
    .split("\n");
  const out = [
    `import { check as __check, checkThrows as __checkThrows } from ${JSON.stringify(pathToFileURL(join(ROOT, "test/example-check.ts")).href)};`,
  ];
  // Lines of the statement that is open; it ends with the line that ends in a semicolon or a brace.
  let open: string[] = [];
  for (const line of lines) {
    const asserted = /^(.*?);?\s*\/\/ => (.*)$/.exec(line);
    if (!asserted) {
      open.push(line);
      if (/[;{}]\s*(\/\/.*)?$/.test(line) || line.trim() === "") {
        out.push(...open);
        open = [];
      }
      continue;
    }
    const statement = [...open, asserted[1]!].join("\n").trim();
    open = [];
    const wanted = asserted[2]!.trim();
    const source = JSON.stringify(`${statement} // => ${wanted}`);
    const declared = /^(?:const|let)\s+(\w+)/.exec(statement);
    const throws = /^throws (\w+)$/.exec(wanted);
    if (declared) out.push(`${statement};`, `__check(${declared[1]}, (${wanted}), ${source});`);
    else if (throws)
      out.push(`await __checkThrows(async () => (${statement}), ${JSON.stringify(throws[1])}, ${source});`);
    else out.push(`__check((${statement}), (${wanted}), ${source});`);
  }
  return [...out, ...open, "export {};"].join("\n");
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

const examples = sourceFiles(SOURCE).flatMap((path) =>
  examplesOf(readFileSync(path, "utf8"), relative(ROOT, path)),
);

rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER, { recursive: true });

async function runExample(name: string, code: string): Promise<void> {
  const path = join(FOLDER, `${name}.ts`);
  writeFileSync(path, moduleOf(code));
  await import(/* @vite-ignore */ path);
}

describe("examples of the documentation", () => {
  it("are many", () => {
    expect(examples.length).toBeGreaterThanOrEqual(15);
  });

  it.each(examples.map((example, i) => ({ ...example, i })))("$place", async ({ code, i }) => {
    expect(code, "an example asserts something: `expression; // => value`").toContain("// =>");
    for (const [, specifier] of code.matchAll(/from "(vans[^"]*)"/g))
      expect(existsSync(doorFile(specifier!)), `the door ${specifier}`).toBe(true);
    await runExample(`example-${i}`, code);
  });
});

describe("the runner itself", () => {
  const runs = (name: string, code: string): Promise<void> => runExample(`self-${name}`, code);

  it("fails on a wrong value", async () => {
    await expect(runs("wrong", "1 + 1; // => 3")).rejects.toThrow(/1 \+ 1 \/\/ => 3/);
    await expect(runs("near", "0.1; // => 0.1000001")).rejects.toThrow();
    await expect(runs("quiet", "1; // => throws VANS_X")).rejects.toThrow(/nothing was thrown/);
  });

  it("understands declarations, several lines, awaited values and errors", async () => {
    await runs(
      "forms",
      [
        'import { VansError } from "vans";',
        "const sum = [1, 2]",
        "  .map((x) => x + 1)",
        "  .reduce((a, b) => a + b); // => 5",
        "await Promise.resolve({ a: [sum] }); // => { a: [5] }",
        "0.1 + 0.2; // => 0.3",
        "function fail(): never {",
        '  throw new VansError("VANS_X", "no");',
        "}",
        "fail(); // => throws VANS_X",
      ].join("\n"),
    );
  });

  it("finds the line of an example", () => {
    const text = "const a = 1;\n/**\n * Adds.\n *\n * @example\n * ```ts\n * 1; // => 1\n * ```\n */\n";
    expect(examplesOf(text, "f.ts")).toEqual([{ place: "f.ts:6", code: "1; // => 1\n" }]);
  });
});
