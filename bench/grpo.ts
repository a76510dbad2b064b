/**
 * One update of each Joint-GRPO stage at the embedded suite's size, beside the same computation in plain PyTorch
 * (`peers/grpo.py`): the same weights and adapters, tokens, captions, noise and rewards, the same cores, taking turns.
 * @module
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { loadSuite } from "../src/answer/index.ts";
import { changedRecipe, deepMerge, recipeFile } from "../src/experiment/index.ts";
import type { NdArray } from "../src/tensor/index.ts";
import { adaptersOf } from "../src/train/caption-policy.ts";
import { readRecipe, taskNamed } from "../src/train/index.ts";
import { writeSafetensors } from "../src/weights/index.ts";
import { type Recording, recorded } from "./grpo-recorder.ts";
import { type PeerUpdate, requestContext, stage1Request, stage2Request } from "./grpo-request.ts";
import { findPeerPython, Peer } from "./peer.ts";

const EXIT = { ok: 0, slow: 1, usage: 2, noPeer: 3 } as const;
const STAGES = ["stage-1", "stage-2"] as const;
type StageName = (typeof STAGES)[number];
const RECIPES = { "stage-1": "playroom-joint-grpo-1", "stage-2": "playroom-joint-grpo-2" } as const;
const BAR = 1;
const AIM = 1.3;
/** As in the engine's benchmark: threads of both sides spin for a moment after their work. */
const REST_MS = 60;
/** Updates before the clock counts: graphs are compiled, and adapters leave their zeros. */
const WARM_UPDATES = 1;

/**
 * How far both sides may be apart: log-probabilities of cached decoding, latents, rewards as absolute values, loss and
 * gradient norm relative to the gradient norm (the loss of a policy that has not moved is near 0).
 */
const TOLERANCES = { logProbs: 1e-3, latents: 5e-3, rewards: 5e-3, gradientNorm: 1e-2, loss: 1e-2 } as const;

interface Turn {
  readonly ms: number;
  readonly cpuMs: number;
  readonly parts: Readonly<Record<string, number>>;
}

interface StageResult {
  readonly stage: StageName;
  readonly vans: readonly Turn[];
  readonly peer: readonly Turn[];
  /** Median over the turns of peer / vans. */
  readonly ratio: number | undefined;
  readonly cpuRatio: number | undefined;
  /** Greatest differences, by what was compared. */
  readonly differences: Readonly<Record<string, number>>;
  readonly passed: boolean | undefined;
  /** Videos drawn and tokens written in an update, on average. */
  readonly work: Readonly<Record<string, number>>;
}

interface Settings {
  readonly suite: string;
  readonly repeats: number;
  readonly threads: number;
  /** A smaller update, to see that both sides agree; its times mean little. */
  readonly isSmall: boolean;
}

/** What a smaller update changes. */
const SMALL = {
  "stage-1": { batch: 1, settings: { group: 3, drawSteps: 2 } },
  "stage-2": {
    batch: 1,
    settings: { group: 4, rows: 2, rolloutSteps: 4, anchorRougeL: 0, window: { size: 2, below: 2 } },
  },
} as const;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Where the time of an update went. */
function partsOf(recording: Recording, ms: number): Record<string, number> {
  const { writeMs, rewardMs, rolloutMs } = recording;
  return {
    write: writeMs,
    draw: rolloutMs - writeMs - rewardMs,
    reward: rewardMs,
    learn: ms - rolloutMs,
  };
}

async function measureStage(
  stage: StageName,
  peer: Peer | undefined,
  settings: Settings,
): Promise<StageResult> {
  const { threads, repeats } = settings;
  const suite = await loadSuite(settings.suite);
  const file = await readRecipe(recipeFile(RECIPES[stage]));
  // Replays that are checked from time to time are no part of an update.
  const fixed = {
    threads,
    init: { vlm: null },
    settings: { suite: suite.folder, heldOut: 0, replayCheckEvery: 1_000_000 },
  };
  const changes = settings.isSmall ? deepMerge(fixed, SMALL[stage]) : fixed;
  const recipe = changedRecipe(file, changes, RECIPES[stage]);
  const folder = await mkdtemp(join(tmpdir(), "vans-bench-grpo-"));
  const task = await taskNamed(recipe.task)(recipe, {
    runFolder: folder,
    baseFolder: ".",
    resumed: undefined,
  });
  if (!("update" in task)) throw new Error(`${recipe.name} has no updates`);
  const context = await requestContext(suite, recipe);
  const stepSettings = { learningRate: recipe.optimizer.rate.peak, emaDecay: 0.9 };
  const vans: Turn[] = [];
  const theirs: Turn[] = [];
  const differences: Record<string, number> = {};
  const work: Record<string, number> = {};
  const note = (name: string, value: number): void => {
    differences[name] = Math.max(differences[name] ?? 0, value);
  };
  try {
    for (let at = 0; vans.length < repeats; at++) {
      const adapters = adaptersOf((await task.step.state()) as Record<string, NdArray>);
      await sleep(REST_MS);
      const cpu = process.cpuUsage();
      const { recording, result, ms } = await recorded(() =>
        task.update(at, stepSettings, { signal: undefined }),
      );
      const { user, system } = process.cpuUsage(cpu);
      // An update without any group that teaches something has no learning to compare.
      if (at < WARM_UPDATES || result["skipped"] === 1) {
        if (at > 20 * (repeats + WARM_UPDATES)) throw new Error("no update learns anything");
        if (at < WARM_UPDATES && result["skipped"] !== 1 && peer) {
          await peerTurn(peer, stage, request(stage, recording, adapters, context, result), folder);
        }
        continue;
      }
      vans.push({ ms, cpuMs: (user + system) / 1000, parts: partsOf(recording, ms) });
      const own = {
        videos: recording.rollouts.length === 0 ? 0 : (result["videos_drawn"] ?? recording.rollouts.length),
        tokens: recording.responses
          .flatMap(({ responses }) => responses.flat())
          .reduce((sum, one) => sum + one.tokens.length, 0),
      };
      for (const [name, value] of Object.entries(own)) work[name] = (work[name] ?? 0) + value / repeats;
      if (!peer) continue;
      const update = request(stage, recording, adapters, context, result);
      await sleep(REST_MS);
      const answer = await peerTurn(peer, stage, update, folder);
      theirs.push({ ms: answer.ms!, cpuMs: answer.cpuMs!, parts: answer.parts! });
      const checks = answer.checks!;
      const norm = result["grad_norm"]!;
      note("logProbs", checks["logProbs"]!);
      if (checks["latents"] !== undefined) note("latents", checks["latents"]);
      note("rewards", checks["rewards"]!);
      note("gradientNorm", Math.abs(checks["gradientNorm"]! - norm) / norm);
      note("loss", Math.abs(checks["loss"]! - result["loss"]!) / norm);
      note("kl", Math.abs(checks["kl"]! - result["kl"]!) / Math.max(1e-6, result["kl"]!));
    }
  } finally {
    await task.step.release();
    await task.release?.();
    await rm(folder, { recursive: true, force: true });
  }
  const ratio = theirs.length === 0 ? undefined : median(theirs.map(({ ms }, i) => ms / vans[i]!.ms));
  const isSame = Object.entries(TOLERANCES).every(([name, most]) => (differences[name] ?? 0) <= most);
  return {
    stage,
    vans,
    peer: theirs,
    ratio,
    cpuRatio: ratio === undefined ? undefined : median(theirs.map(({ cpuMs }, i) => cpuMs / vans[i]!.cpuMs)),
    differences,
    passed: ratio === undefined ? undefined : ratio >= BAR && isSame,
    work,
  };
}

function request(
  stage: StageName,
  recording: Recording,
  adapters: Readonly<Record<string, NdArray>>,
  context: Awaited<ReturnType<typeof requestContext>>,
  result: Readonly<Record<string, number>>,
): PeerUpdate {
  return stage === "stage-1"
    ? stage1Request(recording, adapters, context)
    : stage2Request(recording, adapters, context, result["window_first"] ?? 0);
}

async function peerTurn(peer: Peer, stage: StageName, { tensors, plan }: PeerUpdate, folder: string) {
  const path = join(folder, "update.safetensors");
  await writeSafetensors(
    path,
    Object.entries(tensors).map(([name, { shape, data }]) => [name, { shape, data: data as Float32Array }]),
  );
  const answer = await peer.ask({ do: stage, tensors: path, plan });
  if (answer.error) throw new Error(`the peer cannot run ${stage}: ${answer.error}`);
  return answer;
}

function print({ stage, vans, peer, ratio, cpuRatio, differences, passed, work }: StageResult): void {
  const of = (turns: readonly Turn[], pick: (turn: Turn) => number): string =>
    turns.length === 0 ? "-" : `${median(turns.map(pick)).toFixed(0)} ms`;
  console.log(
    `\n${stage}: ${Object.entries(work)
      .map(([name, value]) => `${value.toFixed(0)} ${name}`)
      .join(", ")} an update, ${vans.length} updates`,
  );
  console.log(`  ${"".padEnd(10)}${"vans".padStart(12)}${"PyTorch".padStart(12)}`);
  console.log(
    `  ${"all".padEnd(10)}${of(vans, ({ ms }) => ms).padStart(12)}${of(peer, ({ ms }) => ms).padStart(12)}`,
  );
  for (const part of ["write", "draw", "reward", "learn"])
    console.log(
      `  ${part.padEnd(10)}${of(vans, ({ parts }) => parts[part] ?? 0).padStart(12)}${of(peer, ({ parts }) => parts[part] ?? 0).padStart(12)}`,
    );
  console.log(
    `  ${"processor".padEnd(10)}${of(vans, ({ cpuMs }) => cpuMs).padStart(12)}${of(peer, ({ cpuMs }) => cpuMs).padStart(12)}`,
  );
  if (ratio === undefined) {
    console.log("  peer absent: no python3 with torch (set VANS_PEER_PYTHON); the bar was not judged");
    return;
  }
  console.log(
    `  ${ratio.toFixed(2)} x (bar ${BAR.toFixed(1)} x, aim ${AIM.toFixed(1)} x), ${cpuRatio!.toFixed(2)} x by processor time: ${passed ? "ok" : "MISSED"}`,
  );
  console.log(
    `  differences: ${Object.entries(differences)
      .map(([name, value]) => `${name} ${value.toExponential(1)}`)
      .join(", ")}`,
  );
}

/**
 * `grpo [--only stage-1,stage-2] [--suite NAME] [--json FILE] [--repeats N] [--threads N] [--small]`
 * @returns 0 where every stage reaches its bar, 1 where one misses it or both sides differ, 2 for wrong usage, 3 without
 * PyTorch
 */
export async function benchGrpo(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      suite: { type: "string", default: "playroom-sft" },
      json: { type: "string" },
      repeats: { type: "string", default: "5" },
      threads: { type: "string", default: "2" },
      small: { type: "boolean", default: false },
    },
  });
  const wanted = values.only?.split(",") ?? [...STAGES];
  const unknown = wanted.filter((name) => !STAGES.some((stage) => stage === name));
  if (unknown.length > 0) {
    console.error(`no such stage: ${unknown.join(", ")}; stages: ${STAGES.join(", ")}`);
    return EXIT.usage;
  }
  const settings = {
    suite: values.suite,
    repeats: Number(values.repeats),
    threads: Number(values.threads),
    isSmall: values.small,
  };
  const python = findPeerPython();
  const peer = python === undefined ? undefined : new Peer(python, settings.threads, "grpo.py");
  const hello = await peer?.next();
  const peerName = hello && `PyTorch ${hello.torch} with ${hello.threads} threads (${python})`;
  console.log(
    `${cpus()[0]?.model ?? "?"}, ${cpus().length} cores, ${settings.threads} threads used; ${peerName ?? "no peer"}`,
  );
  const results: StageResult[] = [];
  try {
    if (peer) {
      const { folder } = await loadSuite(settings.suite);
      const loaded = await peer.ask({ do: "load", suite: resolve(folder) });
      if (loaded.error) throw new Error(`the peer cannot load the suite: ${loaded.error}`);
    }
    for (const stage of STAGES)
      if (wanted.includes(stage)) {
        const result = await measureStage(stage, peer, settings);
        print(result);
        results.push(result);
      }
  } finally {
    peer?.close();
  }
  if (values.json)
    await writeFile(
      values.json,
      `${JSON.stringify({ peer: peerName ?? null, ...settings, stages: results }, null, 2)}\n`,
    );
  if (!peer) return EXIT.noPeer;
  return results.every(({ passed }) => passed) ? EXIT.ok : EXIT.slow;
}
