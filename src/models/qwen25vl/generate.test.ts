import { afterAll, describe, expect, it } from "vitest";
import { TINY_PATCH, tinyQwen, tinyQwenWeights, wave } from "../../../test/models/tiny-qwen.ts";
import { keyFromSeed } from "../../base/keys.ts";
import { Params } from "../../nn/index.ts";
import { compile } from "../../runtime/index.ts";
import { input } from "../../tensor/index.ts";
import {
  completionLogProbs,
  completionRows,
  type GeneratedRow,
  type GenerateOptions,
  generate,
  type Prompt,
  QwenRunner,
  qwenLora,
  type VisionGrid,
} from "./index.ts";

const weights = tinyQwenWeights();
const binding = { weight: (name: string) => weights[name] };
const runner = new QwenRunner(tinyQwen, { weights: binding });
afterAll(() => runner.release());

const GRID: VisionGrid = [2, 4, 4];
const patches = wave([32, TINY_PATCH]);
const VIDEO = Array<number>(8).fill(tinyQwen.videoTokenId);

async function videoPrompt(text: readonly number[]): Promise<Prompt> {
  return { ids: [5, ...VIDEO, ...text], features: await runner.features(patches, [GRID]), grids: [GRID] };
}

async function finish(
  prompts: readonly Prompt[],
  options: GenerateOptions,
  on: QwenRunner = runner,
): Promise<GeneratedRow[]> {
  const steps = generate(on, prompts, options);
  for (;;) {
    const step = await steps.next();
    if (step.done) return step.value;
  }
}

const tokens = (rows: readonly GeneratedRow[]) => rows.map((row) => [...row.tokens]);
const sampled = { maxNewTokens: 9, temperature: 0.9, key: keyFromSeed(4), stopTokenIds: [] };

describe("generation", () => {
  it("draws the same tokens from the same key, and others from another", async () => {
    const prompt = await videoPrompt([9, 8]);
    const first = tokens(await finish([prompt], sampled));
    expect(tokens(await finish([prompt], sampled))).toEqual(first);
    expect(tokens(await finish([prompt], { ...sampled, key: keyFromSeed(5) }))).not.toEqual(first);
  });

  it("does not depend on the other rows, on padding or on where the cache lives", async () => {
    const long = await videoPrompt([9, 8, 7, 6, 5, 4, 3, 2, 3, 4]);
    const short: Prompt = { ids: [3, 4] };
    const greedy = { maxNewTokens: 7, temperature: 0, stopTokenIds: [] };
    const together = tokens(await finish([long, short], greedy));
    expect(together).toEqual([
      ...tokens(await finish([long], greedy)),
      ...tokens(await finish([short], greedy)),
    ]);
    const onDevice = new QwenRunner(tinyQwen, { weights: binding, appends: "graph" });
    expect(tokens(await finish([long, short], greedy, onDevice))).toEqual(together);
    expect(tokens(await finish([short, long], greedy, onDevice))).toEqual([together[1], together[0]]);
    await onDevice.release();
  });

  it("draws several samples of one prompt, each as its log-probability says", async () => {
    const prompt = await videoPrompt([9, 8]);
    const rows = await finish([prompt], { ...sampled, samples: 3 });
    expect(tokens(rows)[0]).toEqual(tokens(await finish([prompt], sampled))[0]);
    expect(new Set(tokens(rows).map(String)).size).toBeGreaterThan(1);
    const batch = completionRows(
      tinyQwen,
      rows.map(() => prompt.ids),
      rows.map((row) => row.tokens),
      { grids: rows.map(() => GRID), promptLength: 16, completionLength: 12 },
    );
    const logProbs = completionLogProbs(
      new Params(),
      tinyQwen,
      {
        ids: input("ids", batch.ids.shape, "i32"),
        mask: input("mask", batch.mask.shape, "i32"),
        positionIds: input("positionIds", batch.positionIds.shape, "i32"),
        patches: input("patches", patches.shape),
        grids: [GRID],
        rowsPerVideo: 3,
      },
      { completionLength: 12, temperature: 0.9 },
    );
    const graph = await compile({ logProbs }, { weights: binding });
    const { ids, mask, positionIds } = batch;
    const out = (await graph.run({ ids, mask, positionIds, patches }))["logProbs"]!;
    await graph.release();
    rows.forEach((row, r) => {
      row.logProbs.forEach((logProb, i) => {
        expect(out.data[r * 12 + i]).toBeCloseTo(logProb, 4);
      });
    });
  });

  it("reads sampled vision tokens as plain tokens", async () => {
    const prompt = await videoPrompt([9]);
    const completion = [7, tinyQwen.videoTokenId, 8];
    const batch = completionRows(tinyQwen, [prompt.ids], [completion], { grids: [GRID] });
    expect([...batch.positionIds.data].slice(10, 13)).toEqual([5, 6, 7]);
  });

  it("ends rows at a stop token, keeps it, and pads", async () => {
    const prompt: Prompt = { ids: [3, 4, 5] };
    const free = tokens(await finish([prompt], { ...sampled, samples: 2 }));
    const stop = free[0]![3]!;
    const options = { ...sampled, samples: 2, stopTokenIds: [stop] };
    const rows = await finish([prompt], options);
    const end = free[0]!.indexOf(stop) + 1;
    expect([...rows[0]!.tokens]).toEqual(free[0]!.slice(0, end));
    expect(rows[0]!.stop).toBe("token");
    for await (const step of generate(runner, [prompt], options)) {
      if (step.index < end) continue;
      expect(step.tokens[0]).toBe(tinyQwen.padTokenId);
      expect(step.logProbs[0]).toBe(0);
    }
  });

  it("never gives banned tokens, and penalises repetition", async () => {
    const prompt: Prompt = { ids: [3, 4, 5] };
    const options = { maxNewTokens: 12, temperature: 0, stopTokenIds: [] };
    const [first] = tokens(await finish([prompt], options));
    const [banned] = tokens(await finish([prompt], { ...options, bannedTokenIds: first }));
    expect(banned!.filter((id) => first!.includes(id))).toEqual([]);
    const [penalised] = tokens(await finish([prompt], { ...options, repetitionPenalty: 100 }));
    expect(new Set(penalised).size).toBe(12);
  });

  it("stops when it is aborted, and can be used again", async () => {
    const controller = new AbortController();
    const steps = generate(runner, [{ ids: [3] }], { ...sampled, signal: controller.signal });
    await steps.next();
    controller.abort();
    await expect(steps.next()).rejects.toMatchObject({ code: "VANS_RUN_ABORTED" });
    expect((await finish([{ ids: [3] }], sampled))[0]!.tokens.length).toBe(9);
  });

  it("follows parameters that are replaced between runs", async () => {
    const lora = qwenLora({ rank: 2, alpha: 4, targets: ["o_proj"] });
    const factor = (name: string, scale: number) => [
      [`${name}.lora_A.weight`, wave([2, 32])] as const,
      [
        `${name}.lora_B.weight`,
        { ...wave([32, 2], 1), data: wave([32, 2], 1).data.map((x) => x * scale) },
      ] as const,
    ];
    const layers = [0, 1].map((n) => `model.layers.${n}.self_attn.o_proj`);
    const adapters = (scale: number) => Object.fromEntries(layers.flatMap((layer) => factor(layer, scale)));
    const adapted = new QwenRunner(tinyQwen, { weights: binding, lora, parameters: adapters(0) });
    const options = { maxNewTokens: 8, temperature: 0, stopTokenIds: [] };
    const prompt: Prompt = { ids: [3, 4, 5] };
    const plain = tokens(await finish([prompt], options));
    expect(tokens(await finish([prompt], options, adapted))).toEqual(plain);
    adapted.setParameters(adapters(3));
    expect(tokens(await finish([prompt], options, adapted))).not.toEqual(plain);
    await adapted.release();
  });

  it("refuses what cannot be generated", async () => {
    const prompt: Prompt = { ids: [3] };
    await expect(finish([prompt], { maxNewTokens: 3 })).rejects.toThrow(/need a key/);
    await expect(finish([{ ids: [5, ...VIDEO], grids: [GRID] }], sampled)).rejects.toThrow(/8 rows of 32/);
    await expect(finish([prompt], { ...sampled, maxNewTokens: 40_000 })).rejects.toThrow(/at most 32768/);
  });
});
