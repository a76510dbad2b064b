/**
 * Where the time of a compiled graph goes, from the runtime's own profile.
 * @module
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface ProfileEvent {
  readonly name?: string;
  readonly cat?: string;
  readonly dur?: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

/** Time of one kind of node. */
export interface ProfileLine {
  readonly kind: string;
  readonly ms: number;
  /** Nodes of one run. */
  readonly count: number;
}

const shapeText = (types: readonly Readonly<Record<string, readonly number[]>>[] | undefined): string =>
  (types ?? []).map((type) => `[${Object.values(type)[0]!.join(",")}]`).join(" ");

/**
 * Runs `body` with a profile prefix that it passes to the runtime, then sums the profile by op.
 * @param runs profiled runs that `body` makes after `skipped` others
 * @param withShapes tell nodes of different shapes apart
 */
export async function profiled(
  body: (prefix: string) => Promise<void>,
  options: { readonly runs: number; readonly skipped: number; readonly withShapes: boolean },
): Promise<ProfileLine[]> {
  const folder = await mkdtemp(join(tmpdir(), "vans-profile-"));
  try {
    await body(join(folder, "run"));
    const [file] = await readdir(folder);
    const events = JSON.parse(await readFile(join(folder, file!), "utf8")) as ProfileEvent[];
    const nodes = events.filter((event) => event.cat === "Node" && event.name?.endsWith("_kernel_time"));
    const perRun = nodes.length / (options.runs + options.skipped);
    const sums = new Map<string, { ms: number; count: number }>();
    for (const event of nodes.slice(Math.round(perRun * options.skipped))) {
      const { op_name: op = "?", input_type_shape: ins, output_type_shape: outs } = event.args ?? {};
      const kind = options.withShapes ? `${op} ${shapeText(ins)} -> ${shapeText(outs)}` : op;
      const sum = sums.get(kind) ?? { ms: 0, count: 0 };
      sum.ms += (event.dur ?? 0) / 1000 / options.runs;
      sum.count += 1 / options.runs;
      sums.set(kind, sum);
    }
    return [...sums]
      .map(([kind, { ms, count }]) => ({ kind, ms, count: Math.round(count) }))
      .sort((a, b) => b.ms - a.ms);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
