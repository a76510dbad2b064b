/**
 * Training steps of the engine beside PyTorch: same steps, same first values, same cores, taking turns.
 * @module
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { compileTrainStep, type TrainStep } from "../src/nn/index.ts";
import { compile } from "../src/runtime/index.ts";
import { input, matmul, type NdArray, reachableNodes, type Shape } from "../src/tensor/index.ts";
import { writeSafetensors } from "../src/weights/index.ts";
import { findPeerPython, Peer } from "./peer.ts";
import { profiled } from "./profile.ts";
import { type BenchRow, firstValues, normalFeed, type RowGraph } from "./rows/row.ts";
import { TRANSFORMER_ROW } from "./rows/transformer.ts";
import { WAN_DIT_ROW } from "./rows/wan-dit.ts";
import { WAN_VAE_ROW } from "./rows/wan-vae.ts";

const ROWS: readonly BenchRow[] = [TRANSFORMER_ROW, WAN_DIT_ROW, WAN_VAE_ROW];
const LEARNING_RATE = 1e-3;
const GEMM_SIZE = 1536;
/** Steps before the clock counts; their losses are compared with the peer's. */
const WARM_STEPS = 3;
const LOSS_TOLERANCE = 1e-3;
/**
 * A pause before every turn. The threads of both sides spin after a step before they sleep (PyTorch's for some ms),
 * and would take a core from whoever has the next turn.
 */
const REST_MS = 60;
const EXIT = { ok: 0, slow: 1, usage: 2, noPeer: 3 } as const;

interface Settings {
  readonly repeats: number;
  readonly threads: number;
  readonly withCompile: boolean;
}

/** What one row measured; times are medians in milliseconds. */
interface RowResult {
  readonly name: string;
  readonly title: string;
  readonly parameters: number;
  readonly graphNodes: number;
  readonly gflop: number;
  readonly gemmGflops: number;
  readonly vansMs: number;
  readonly eagerMs?: number | undefined;
  readonly compileMs?: number | undefined;
  readonly compileError?: string | undefined;
  /** Median of eager / vans over the turns. */
  readonly ratioToEager?: number | undefined;
  readonly ratioToCompile?: number | undefined;
  /**
   * The same in processor time, which other programs on the machine do not disturb. Waiting threads spin, so only
   * with one thread does it measure work alone.
   */
  readonly cpuMs: number;
  readonly cpuRatioToEager?: number | undefined;
  readonly cpuRatioToCompile?: number | undefined;
  /** Share of the GEMM peak of the same turns. */
  readonly shareOfPeak: number;
  readonly bar: number;
  readonly passed: boolean | undefined;
  /** Largest relative difference of the losses of the first steps. */
  readonly lossDifference?: number | undefined;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const PRODUCT_OPS = new Set(["matmul", "conv", "attention"]);

/** Floating-point operations of products in one step, by the usual count: backward is twice forward. */
function stepFlops(graph: RowGraph): number {
  const forward = reachableNodes([graph.loss]).filter((node) => PRODUCT_OPS.has(node.op.name));
  return 3 * forward.reduce((total, node) => total + node.op.flops(node), 0);
}

async function compileRow(
  row: BenchRow,
  graph: RowGraph,
  threads: number,
  profilePrefix?: string,
): Promise<TrainStep> {
  return compileTrainStep(
    {
      loss: graph.loss,
      params: graph.params,
      ...(row.clipNorm === undefined ? {} : { clipNorm: row.clipNorm }),
    },
    firstValues(graph.params),
    { threads, ...(profilePrefix === undefined ? {} : { profilePrefix }) },
  );
}

async function timeStep(
  step: TrainStep,
  graph: RowGraph,
): Promise<{ ms: number; cpuMs: number; loss: number }> {
  const start = performance.now();
  const cpuStart = process.cpuUsage();
  const { loss } = await step.step(graph.feeds, { learningRate: LEARNING_RATE });
  const ms = performance.now() - start;
  const cpu = process.cpuUsage(cpuStart);
  return { ms, cpuMs: (cpu.user + cpu.system) / 1e3, loss: loss!.data[0]! };
}

/** A large product through our runtime, best of three: what the machine can do at that moment. */
async function gemmMeter(
  threads: number,
): Promise<{ gflops: () => Promise<number>; release: () => Promise<void> }> {
  const shape = [GEMM_SIZE, GEMM_SIZE];
  const exe = await compile({ c: matmul(input("a", shape), input("b", shape)) }, { threads });
  const feeds = { a: normalFeed("a", shape), b: normalFeed("b", shape) };
  const gflops = async (): Promise<number> => {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      await exe.run(feeds);
      best = Math.min(best, performance.now() - start);
    }
    return (2 * GEMM_SIZE ** 3) / best / 1e6;
  };
  return { gflops, release: () => exe.release() };
}

async function loadPeer(
  peer: Peer,
  row: BenchRow,
  mode: string,
  tensors: string,
): Promise<string | undefined> {
  const answer = await peer.ask({
    do: "load",
    row: row.name,
    mode,
    settings: row.settings,
    clipNorm: row.clipNorm ?? null,
    learningRate: LEARNING_RATE,
    tensors,
  });
  return answer.error;
}

async function measureRow(row: BenchRow, peer: Peer | undefined, settings: Settings): Promise<RowResult> {
  const graph = row.trace();
  const step = await compileRow(row, graph, settings.threads);
  const meter = await gemmMeter(settings.threads);
  const folder = await mkdtemp(join(tmpdir(), "vans-bench-"));
  const modes: string[] = [];
  let compileError: string | undefined;
  let lossDifference: number | undefined;
  try {
    if (peer) {
      const path = join(folder, "row.safetensors");
      const named = (
        prefix: string,
        values: Readonly<Record<string, NdArray>>,
      ): [string, { shape: Shape; data: Float32Array }][] =>
        Object.entries(values).map(([name, { shape, data }]) => [
          prefix + name,
          { shape, data: data as Float32Array },
        ]);
      await writeSafetensors(path, [
        ...named("param:", firstValues(graph.params)),
        ...named("feed:", graph.feeds),
      ]);
      const error = await loadPeer(peer, row, "eager", path);
      if (error) throw new Error(`the peer cannot run ${row.name}: ${error}`);
      modes.push("eager");
      if (settings.withCompile) {
        compileError = await loadPeer(peer, row, "compile", path);
        if (!compileError) modes.push("compile");
      }
    }
    for (let i = 0; i < WARM_STEPS; i++) {
      const ours = await timeStep(step, graph);
      for (const mode of [...modes]) {
        const theirs = await peer!.ask({ do: "step", row: row.name, mode });
        if (theirs.error) {
          if (mode === "eager") throw new Error(`the peer cannot run ${row.name}: ${theirs.error}`);
          compileError = theirs.error;
          modes.splice(modes.indexOf(mode), 1);
        } else if (mode === "eager") {
          const difference = Math.abs(ours.loss - theirs.loss!) / Math.abs(theirs.loss!);
          lossDifference = Math.max(lossDifference ?? 0, difference);
        }
      }
    }
    const times: Record<string, number[]> = { vans: [], eager: [], compile: [], gemm: [] };
    const cpu: Record<string, number[]> = { vans: [], eager: [], compile: [] };
    for (let i = 0; i < settings.repeats; i++) {
      await sleep(REST_MS);
      const ours = await timeStep(step, graph);
      times["vans"]!.push(ours.ms);
      cpu["vans"]!.push(ours.cpuMs);
      for (const mode of modes) {
        await sleep(REST_MS);
        const theirs = await peer!.ask({ do: "step", row: row.name, mode });
        times[mode]!.push(theirs.ms!);
        cpu[mode]!.push(theirs.cpuMs!);
      }
      await sleep(REST_MS);
      times["gemm"]!.push(await meter.gflops());
    }
    const ratio = (
      mode: string,
      of: Readonly<Record<string, readonly number[]>> = times,
    ): number | undefined =>
      modes.includes(mode) ? median(of[mode]!.map((ms, i) => ms / of["vans"]![i]!)) : undefined;
    const gflop = stepFlops(graph) / 1e9;
    const vansMs = median(times["vans"]!);
    const ratioToEager = ratio("eager");
    return {
      name: row.name,
      title: row.title,
      parameters: [...graph.params.values()].reduce((sum, p) => sum + p.shape.reduce((a, b) => a * b, 1), 0),
      graphNodes: step.nodeCount,
      gflop,
      gemmGflops: median(times["gemm"]!),
      vansMs,
      eagerMs: modes.includes("eager") ? median(times["eager"]!) : undefined,
      compileMs: modes.includes("compile") ? median(times["compile"]!) : undefined,
      compileError,
      ratioToEager,
      ratioToCompile: ratio("compile"),
      cpuMs: median(cpu["vans"]!),
      cpuRatioToEager: ratio("eager", cpu),
      cpuRatioToCompile: ratio("compile", cpu),
      shareOfPeak: median(times["vans"]!.map((ms, i) => gflop / (ms / 1e3) / times["gemm"]![i]!)),
      bar: row.bar,
      passed:
        ratioToEager === undefined ? undefined : ratioToEager >= row.bar && lossDifference! < LOSS_TOLERANCE,
      lossDifference,
    };
  } finally {
    for (const mode of ["eager", "compile"]) await peer?.ask({ do: "drop", row: row.name, mode });
    await step.release();
    await meter.release();
    await rm(folder, { recursive: true, force: true });
  }
}

async function profileRow(row: BenchRow, settings: Settings, withShapes: boolean): Promise<void> {
  const graph = row.trace();
  const runs = settings.repeats;
  const lines = await profiled(
    async (prefix) => {
      const step = await compileRow(row, graph, settings.threads, prefix);
      for (let i = 0; i < runs + WARM_STEPS; i++) await timeStep(step, graph);
      await step.release();
    },
    { runs, skipped: WARM_STEPS, withShapes },
  );
  const total = lines.reduce((sum, { ms }) => sum + ms, 0);
  console.log(`\n${row.title}: ${total.toFixed(1)} ms in kernels`);
  for (const { kind, ms, count } of lines.slice(0, withShapes ? 60 : 30))
    console.log(
      `${ms.toFixed(2).padStart(9)} ms ${((100 * ms) / total).toFixed(1).padStart(5)} % ${String(count).padStart(5)} x ${kind}`,
    );
}

const number = (value: number | undefined, digits: number, unit = ""): string =>
  value === undefined ? "-" : value.toFixed(digits) + unit;

function printTable(results: readonly RowResult[], peerName: string | undefined): void {
  console.log("");
  for (const r of results) {
    console.log(r.title);
    console.log(
      `  ${(r.parameters / 1e6).toFixed(2)} M parameters, ${r.gflop.toFixed(1)} GFLOP of products, ${r.graphNodes} graph nodes`,
    );
    console.log(
      `  vans ${number(r.vansMs, 0, " ms")} · ${number(100 * r.shareOfPeak, 0, " %")} of the GEMM peak (${number(r.gemmGflops, 0, " GFLOP/s")})`,
    );
    if (!peerName) {
      console.log("  peer absent: no python3 with torch (set VANS_PEER_PYTHON); the bar was not judged");
      continue;
    }
    const compiled = r.compileError
      ? `failed (${r.compileError})`
      : `${number(r.compileMs, 0, " ms")} (vans ${number(r.ratioToCompile, 2, " x")})`;
    console.log(`  PyTorch eager ${number(r.eagerMs, 0, " ms")} · torch.compile ${compiled}`);
    const verdict = r.passed ? "ok" : "MISSED";
    console.log(
      `  ${number(r.ratioToEager, 2, " x")} eager (bar ${r.bar.toFixed(1)} x) ${verdict}; losses differ by ${r.lossDifference!.toExponential(1)}`,
    );
    console.log(
      `  processor time: vans ${number(r.cpuMs, 0, " ms")}, ${number(r.cpuRatioToEager, 2, " x")} eager, ${number(r.cpuRatioToCompile, 2, " x")} torch.compile`,
    );
  }
}

/**
 * `engine [--only row,row] [--json FILE] [--repeats N] [--threads N] [--no-compile] [--profile | --profile-shapes]`
 * @returns 0 where every row reaches its bar, 1 where one misses it, 2 for wrong usage, 3 without PyTorch
 */
export async function benchEngine(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      json: { type: "string" },
      repeats: { type: "string", default: "15" },
      threads: { type: "string", default: "2" },
      "no-compile": { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
      "profile-shapes": { type: "boolean", default: false },
    },
  });
  const wanted = values.only?.split(",");
  const unknown = wanted?.filter((name) => !ROWS.some((row) => row.name === name)) ?? [];
  if (unknown.length > 0) {
    console.error(`no such row: ${unknown.join(", ")}; rows: ${ROWS.map((row) => row.name).join(", ")}`);
    return EXIT.usage;
  }
  const rows = ROWS.filter((row) => wanted?.includes(row.name) ?? true);
  const settings = {
    repeats: Number(values.repeats),
    threads: Number(values.threads),
    withCompile: !values["no-compile"],
  };
  if (values.profile || values["profile-shapes"]) {
    for (const row of rows) await profileRow(row, settings, values["profile-shapes"]);
    return EXIT.ok;
  }
  const python = findPeerPython();
  const peer = python === undefined ? undefined : new Peer(python, settings.threads);
  const hello = await peer?.next();
  const peerName = hello && `PyTorch ${hello.torch} with ${hello.threads} threads (${python})`;
  console.log(
    `${cpus()[0]?.model ?? "?"}, ${cpus().length} cores, ${settings.threads} threads used; ${peerName ?? "no peer"}`,
  );
  const results: RowResult[] = [];
  try {
    for (const row of rows) results.push(await measureRow(row, peer, settings));
  } finally {
    peer?.close();
  }
  printTable(results, peerName);
  if (values.json)
    await writeFile(
      values.json,
      `${JSON.stringify({ peer: peerName ?? null, ...settings, rows: results }, null, 2)}\n`,
    );
  if (!peer) return EXIT.noPeer;
  return results.every((result) => result.passed) ? EXIT.ok : EXIT.slow;
}
