/**
 * Writes `suites/vans-3b/tensors.json`: names, types and shapes of the released checkpoints, from the models' own code.
 * Run: npx tsx scripts/write-tensor-tables.ts
 */
import { readFile, writeFile } from "node:fs/promises";
import { loadSuite } from "../src/answer/suite.ts";
import { suiteTables } from "../src/answer/suite-tables.ts";
import { storeTensorTable } from "../src/weights/index.ts";

const suite = await loadSuite("vans-3b", { needsFiles: false });
const clip: unknown = JSON.parse(await readFile(suite.at("clip/config.json"), "utf8"));
const found = suiteTables(suite, clip);
const tables = Object.fromEntries([...found].map(([part, table]) => [part, storeTensorTable(table)]));
await writeFile(suite.at("tensors.json"), `${JSON.stringify(tables, undefined, 1)}\n`);
for (const [part, table] of found) console.log(part, table.size);
