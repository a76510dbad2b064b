// Checks the house rules on imports: floors point down only, no cycles, and only runtime/ort.ts and its
// worker side may import onnxruntime. Run by `npm run lint`. See ARCHITECTURE.md for the floors.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const FLOORS = [
  ["base"],
  ["tensor"],
  ["runtime"],
  ["nn", "weights", "text", "media"],
  ["models", "world"],
  ["data", "rewards", "metrics"],
  ["answer", "train", "evaluate"],
  ["experiment"],
  ["serve", "cli"],
];
const root = resolve(new URL("..", import.meta.url).pathname);
const source = join(root, "src");
const floorOf = new Map(FLOORS.flatMap((rooms, floor) => rooms.map((room) => [room, floor])));

function walk(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return walk(path);
    return path.endsWith(".ts") ? [path] : [];
  });
}

const problems = [];
const graph = new Map();
for (const file of walk(source)) {
  const name = relative(source, file);
  const isTest = name.endsWith(".test.ts");
  const room = name.includes("/") ? name.split("/")[0] : undefined;
  if (room !== undefined && !floorOf.has(room)) problems.push(`${name}: the folder src/${room} has no floor`);
  const text = readFileSync(file, "utf8");
  const targets = [];
  for (const match of text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"/g,
  )) {
    const [, typeOnly, specifier] = match;
    if (specifier === "onnxruntime-node" || specifier === "onnxruntime-common") {
      if (name !== "runtime/ort.ts") problems.push(`${name}: only runtime/ort.ts imports ${specifier}`);
      continue;
    }
    if (!specifier.startsWith(".")) continue;
    const target = relative(source, resolve(dirname(file), specifier));
    if (target.startsWith("..")) {
      if (!isTest) problems.push(`${name}: imports ${specifier} from outside src/`);
      continue;
    }
    const targetRoom = target.includes("/") ? target.split("/")[0] : undefined;
    if (room !== undefined && targetRoom === undefined && !isTest)
      problems.push(`${name}: imports the package's door ${specifier}`);
    if (room !== undefined && targetRoom !== undefined && room !== targetRoom && !isTest) {
      const from = floorOf.get(room);
      const to = floorOf.get(targetRoom);
      if (to > from)
        problems.push(`${name} (floor ${from}) imports ${target} (floor ${to}): imports point down only`);
    }
    if (!typeOnly) targets.push(target);
  }
  if (!isTest) graph.set(name, targets);
}

// Cycles over value imports (type imports vanish at run time), also between rooms of one floor.
const state = new Map();
function visit(name, trail) {
  if (state.get(name) === "done") return;
  if (state.get(name) === "open") {
    problems.push(`circular imports: ${[...trail.slice(trail.indexOf(name)), name].join(" -> ")}`);
    return;
  }
  state.set(name, "open");
  for (const target of graph.get(name) ?? []) if (graph.has(target)) visit(target, [...trail, name]);
  state.set(name, "done");
}
for (const name of graph.keys()) visit(name, []);

if (problems.length > 0) {
  console.error(problems.map((line) => `floors: ${line}`).join("\n"));
  process.exit(1);
}
console.log(`floors: ${graph.size} files, imports point down, no cycles`);
