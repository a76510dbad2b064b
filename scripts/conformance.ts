/**
 * Judges folders of golden cases. Run: npm run conformance -- --dir DIR [--only NAME,...]
 * `--table FILE` also writes the results as a Markdown table. Prints a line a case and at last `N passed, M failed, K unknown`; exits 1 on a failure, an unknown case, an unused
 * tensor or an empty folder.
 */
import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runCase, tightest } from "../test/conformance/run-case.ts";

const { values } = parseArgs({
  options: {
    dir: { type: "string", default: "conformance" },
    only: { type: "string" },
    verbose: { type: "boolean", default: false },
    table: { type: "string" },
  },
});
const wanted = values.only?.split(",");
const entries = await readdir(values.dir, { withFileTypes: true }).catch(() => []);
const names = entries
  .filter(
    (entry) =>
      existsSync(join(values.dir, entry.name, "case.json")) && (wanted?.includes(entry.name) ?? true),
  )
  .map((entry) => entry.name)
  .sort();
const table: string[] = [];
const counts = { passed: 0, failed: 0, unknown: 0 };
for (const name of names) {
  const startedAt = performance.now();
  const result = await runCase(join(values.dir, name)).catch((error: unknown) => ({
    status: "failed" as const,
    title: "unreadable",
    checks: [],
    failures: [error instanceof Error ? error.message.split("\n")[0]! : String(error)],
  }));
  counts[result.status]++;
  const worst = tightest(result.checks);
  const detail = worst
    ? `${result.checks.length} checks, nearest to its tolerance: ${worst.name} ${worst.maxError.toExponential(1)} of ${worst.tolerance}`
    : "no checks";
  console.log(
    `${result.status.padEnd(7)} ${name.padEnd(16)} ${result.title}: ${detail} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`,
  );
  table.push(
    `| ${result.title} | \`${name}\` | ${result.status} | ${result.checks.length} | ${worst ? `${worst.maxError.toExponential(1)} of ${worst.tolerance} (${worst.name})` : ""} |`,
  );
  for (const failure of result.failures.slice(0, values.verbose ? undefined : 12))
    console.log(`        ${failure}`);
  if (!values.verbose && result.failures.length > 12)
    console.log(`        … and ${result.failures.length - 12} more (--verbose)`);
}
if (values.table) {
  const head = [
    "# Conformance",
    "",
    "Golden vectors of the reference implementations (see each `case.json` under `conformance/` for library, version and",
    "commit), f32 on the CPU. The error is that of the check nearest to its tolerance, in the measure the case states: mostly",
    "the largest absolute difference of a tensor over its largest golden element. `npm run conformance -- --table docs/conformance.md`",
    "makes this page; `npm run conformance -- --dir DIR` judges any folder of cases.",
    "",
    "| what | case | result | checks | largest error of its tolerance |",
    "| --- | --- | --- | --: | --- |",
  ];
  await writeFile(values.table, `${[...head, ...table].join("\n")}\n`);
}
const missing = wanted?.filter((name) => !names.includes(name)) ?? [];
for (const name of missing) console.log(`failed  ${name}: no such case in ${values.dir}`);
if (names.length === 0) console.log(`no cases in ${values.dir}`);
console.log(`${counts.passed} passed, ${counts.failed + missing.length} failed, ${counts.unknown} unknown`);
if (counts.failed + counts.unknown + missing.length > 0 || names.length === 0) process.exitCode = 1;
