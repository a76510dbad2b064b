/**
 * Benchmarks by name: `npm run bench -- engine [options]`.
 * @module
 */
import { benchEngine } from "./engine.ts";
import { benchGrpo } from "./grpo.ts";

/** Each benchmark takes the arguments behind its name and returns the exit code of the process. */
const BENCHES: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  engine: benchEngine,
  grpo: benchGrpo,
};

const [name, ...args] = process.argv.slice(2);
const bench = name === undefined ? undefined : BENCHES[name];
if (!bench) {
  const names = Object.keys(BENCHES).join(", ");
  console.error(`usage: npm run bench -- NAME [options]; NAME is one of: ${names}`);
  process.exitCode = 2;
} else {
  process.exitCode = await bench(args);
}
