/**
 * Golden case of Qwen2.5-VL: patches, vision tower, positions, decoder, generation, log-probabilities, adapters,
 * sampling filters.
 * @module
 */
import {
  completionLogProbs,
  completionRows,
  generate,
  type Prompt,
  padRows,
  patchify,
  penalizeRepetition,
  positionIds,
  type QwenConfig,
  QwenRunner,
  qwenConfig,
  qwenLogits,
  samplingProbabilities,
  type VisionGrid,
} from "../../src/models/qwen25vl/index.ts";
import { visionPlan } from "../../src/models/qwen25vl/vision-plan.ts";
import { type LoraOptions, Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import { f32, input, type NdArray, type Tensor, type WeightBinding } from "../../src/tensor/index.ts";
import { type CaseHandler, type Check, checkExact, checkRelative, type GoldenCase } from "./case.ts";
import { bindAdapted, framesOf, loraOf, positionRule } from "./qwen-inputs.ts";

export const qwen25vl: CaseHandler = {
  title: "Qwen2.5-VL",
  recognises: (golden) => golden.hasConfig("transformers_Qwen2_5_VLConfig"),
  async run(golden) {
    const model = {
      golden,
      config: qwenConfig(golden.config("transformers_Qwen2_5_VLConfig")),
      tolerance: golden.tolerance("relative_to_abs_max"),
      weights: golden.file("weights.safetensors").binding(),
      lora: undefined,
    };
    const samples = namesOf(golden).map((name) => sampleOf(model, name));
    const checks: Check[] = [];
    for (const sample of samples) {
      checks.push(...patchChecks(model, sample), ...positionChecks(model, sample));
      checks.push(...(await stageChecks(model, sample)));
      checks.push(...(await completionChecks(model, sample, sample.name)));
      checks.push(...(await greedyChecks(model, sample, sample.name)));
    }
    checks.push(...(await batchChecks(model, samples)));
    if (golden.listing.includes("lora.safetensors")) {
      const weights = bindAdapted(golden.file("weights.safetensors"), golden.file("lora.safetensors"));
      const adapted = { ...model, weights, lora: loraOf(golden) };
      for (const sample of samples) checks.push(...(await adapterChecks(adapted, sample)));
    }
    return [...checks, ...filterChecks(model)];
  },
};

interface Model {
  readonly golden: GoldenCase;
  readonly config: QwenConfig;
  readonly tolerance: number;
  readonly weights: WeightBinding;
  readonly lora: LoraOptions | undefined;
}

/** One prompt with its video. */
interface Sample {
  readonly name: string;
  readonly ids: Int32Array;
  readonly patches: NdArray;
  readonly grid: VisionGrid;
}

const namesOf = (golden: GoldenCase): string[] =>
  golden.io.names().flatMap((name) => /^(.+)\.frames$/.exec(name)?.[1] ?? []);

/** A prompt of its own or, where it stands only in the batch, its row there without padding. */
function sampleOf({ golden, config }: Model, name: string): Sample {
  const { io } = golden;
  const { patches, grid } = patchify(framesOf(io.get(`${name}.frames`)), config.vision);
  if (io.has(`${name}.input_ids`))
    return { name, patches, grid, ids: io.get(`${name}.input_ids`).data as Int32Array };
  const row = namesOf(golden).indexOf(name);
  const ids = rowOf(io.get("batch.input_ids"), row);
  const mask = rowOf(io.get("batch.attention_mask"), row);
  return { name, patches, grid, ids: Int32Array.from(ids).filter((_, i) => mask[i] === 1) };
}

function rowOf(array: NdArray, row: number): NdArray["data"] {
  const width = array.shape[array.shape.length - 1]!;
  return array.data.subarray(row * width, (row + 1) * width);
}

/** Compares all named outputs that the case has. */
function compare(
  { golden, tolerance }: Model,
  prefix: string,
  results: Readonly<Record<string, NdArray>>,
): Check[] {
  return Object.entries(results)
    .filter(([name]) => golden.io.has(`${prefix}${name}`))
    .map(([name, value]) =>
      checkRelative(`${prefix}${name}`, value, golden.io.get(`${prefix}${name}`), tolerance),
    );
}

function patchChecks(model: Model, { name, patches, grid }: Sample): Check[] {
  const { io } = model.golden;
  const checks = [checkExact(`${name}.grid`, grid, io.get(`${name}.grid`).data)];
  const part = (suffix: string, cut: (rows: number) => [number, number]): void => {
    const key = `${name}.pixel_values${suffix}`;
    if (!io.has(key)) return;
    const width = patches.shape[1]!;
    const [from, to] = cut(io.get(key).shape[0]!);
    const rows = f32(patches.data.slice(from * width, to * width) as Float32Array, [to - from, width]);
    checks.push(checkRelative(key, rows, io.get(key), model.tolerance));
  };
  const total = patches.shape[0]!;
  part("", () => [0, total]);
  part("_head", (rows) => [0, rows]);
  part("_tail", (rows) => [total - rows, total]);
  if (io.has(`${name}.window_index`)) {
    const { restore } = visionPlan([grid], model.config.vision);
    const index = io.get(`${name}.window_index`).data;
    const back = restore ?? Int32Array.from(index, (_, i) => i);
    checks.push(
      checkExact(
        `${name}.window_index`,
        Array.from(index, (cell) => back[cell]!),
        [...index.keys()],
      ),
    );
  }
  return checks;
}

function positionChecks({ golden, config }: Model, { name, ids, grid }: Sample): Check[] {
  const { io } = golden;
  const rows = padRows([ids], { side: "left", padTokenId: config.padTokenId });
  const rule = positionRule(golden);
  return io
    .names()
    .filter((key) => key.startsWith(`${name}.position_ids`))
    .flatMap((key) => {
      const secondsPerSlice = Number(/_spg([\d.]+)$/.exec(key)?.[1] ?? 1);
      const mine = positionIds(rows, config, { grids: [grid], secondsPerSlice, rule });
      const checks = [checkExact(key, mine.ids.data, io.get(key).data)];
      if (secondsPerSlice === 1 && io.has(`${name}.rope_delta`))
        checks.push(checkExact(`${name}.rope_delta`, mine.deltas, io.get(`${name}.rope_delta`).data));
      return checks;
    });
}

/** Vision stages, decoder stages and logits of a prompt on its own. */
async function stageChecks(model: Model, sample: Sample): Promise<Check[]> {
  const { config, lora, weights } = model;
  const rows = padRows([sample.ids], { side: "left", padTokenId: config.padTokenId });
  const positions = positionIds(rows, config, { grids: [sample.grid], rule: positionRule(model.golden) });
  const outputs: Record<string, Tensor> = {};
  const probe = (stage: string, value: Tensor): void => {
    outputs[stage.startsWith("hidden") ? stage : `vision.${stage}`] = value;
  };
  outputs["logits"] = qwenLogits(
    new Params({ lora }),
    config,
    {
      ids: input("ids", rows.ids.shape, "i32"),
      positionIds: input("positionIds", positions.ids.shape, "i32"),
      patches: input("patches", sample.patches.shape),
      grids: [sample.grid],
    },
    { probe },
  );
  const graph = await compile(outputs, { weights });
  const results = await graph.run({ ids: rows.ids, positionIds: positions.ids, patches: sample.patches });
  await graph.release();
  return compare(model, lora ? `lora.${sample.name}.` : `${sample.name}.`, results);
}

async function completionChecks(model: Model, sample: Sample, prefix: string): Promise<Check[]> {
  const { golden, config, lora, weights } = model;
  if (!golden.io.has(`${sample.name}.completion`)) return [];
  const completion = golden.io.get(`${sample.name}.completion`);
  const rows = completionRows(config, [sample.ids], [completion.data], {
    grids: [sample.grid],
    rule: positionRule(golden),
  });
  const completionLength = completion.data.length;
  const inputs = {
    ids: input("ids", rows.ids.shape, "i32"),
    mask: input("mask", rows.mask.shape, "i32"),
    positionIds: input("positionIds", rows.positionIds.shape, "i32"),
    patches: input("patches", sample.patches.shape),
    grids: [sample.grid],
  };
  const params = new Params({ lora });
  const graph = await compile(
    {
      completion_logps: completionLogProbs(params, config, inputs, { completionLength }),
      completion_logps_t07: completionLogProbs(params, config, inputs, {
        completionLength,
        temperature: 0.7,
      }),
    },
    { weights },
  );
  const { ids, mask, positionIds: places } = rows;
  const results = await graph.run({ ids, mask, positionIds: places, patches: sample.patches });
  await graph.release();
  return compare(model, `${prefix}.`, results);
}

async function promptOf(runner: QwenRunner, { ids, patches, grid }: Sample): Promise<Prompt> {
  return { ids, features: await runner.features(patches, [grid]), grids: [grid] };
}

interface Greedy {
  readonly tokens: readonly Int32Array[];
  /** The logits behind every token, step by step. */
  readonly logits: readonly NdArray[];
}

async function greedy(
  runner: QwenRunner,
  prompts: readonly Prompt[],
  model: Model,
  length: number,
): Promise<Greedy> {
  const steps = generate(runner, prompts, {
    maxNewTokens: length,
    temperature: 0,
    stopTokenIds: [],
    positionRule: positionRule(model.golden),
  });
  const logits: NdArray[] = [];
  for (;;) {
    const step = await steps.next();
    if (step.done) return { tokens: step.value.map((row) => row.tokens), logits };
    logits.push({ ...step.value.logits, data: step.value.logits.data.slice() });
  }
}

async function greedyChecks(model: Model, sample: Sample, prefix: string): Promise<Check[]> {
  const { io } = model.golden;
  if (!io.has(`${prefix}.greedy`)) return [];
  const golden = io.get(`${prefix}.greedy`);
  const runner = new QwenRunner(model.config, { weights: model.weights, lora: model.lora });
  const { tokens, logits } = await greedy(
    runner,
    [await promptOf(runner, sample)],
    model,
    golden.data.length,
  );
  await runner.release();
  const checks = [checkExact(`${prefix}.greedy`, tokens[0]!, golden.data)];
  if (io.has(`${prefix}.greedy_logits`)) {
    const all = Float32Array.from(logits.flatMap((step) => [...step.data]));
    checks.push(
      checkRelative(`${prefix}.greedy_logits`, f32(all), io.get(`${prefix}.greedy_logits`), model.tolerance),
    );
  }
  return checks;
}

/** All prompts in one left-padded batch: through the decoder at once, and greedily. */
async function batchChecks(model: Model, samples: readonly Sample[]): Promise<Check[]> {
  const { golden, config, weights } = model;
  const { io } = golden;
  if (!io.has("batch.input_ids")) return [];
  const rows = padRows(
    samples.map(({ ids }) => ids),
    { side: "left", padTokenId: config.padTokenId },
  );
  const grids = samples.map(({ grid }) => grid);
  const positions = positionIds(rows, config, { grids, rule: positionRule(golden) });
  const patches = f32(Float32Array.from(samples.flatMap((sample) => [...sample.patches.data])), [
    samples.reduce((total, sample) => total + sample.patches.shape[0]!, 0),
    samples[0]!.patches.shape[1]!,
  ]);
  const inputs = {
    ids: input("ids", rows.ids.shape, "i32"),
    mask: input("mask", rows.mask.shape, "i32"),
    positionIds: input("positionIds", positions.ids.shape, "i32"),
    patches: input("patches", patches.shape),
    grids,
  };
  const last = qwenLogits(new Params(), config, inputs, { lastPositions: 1 });
  const graph = await compile({ last_logits: last }, { weights });
  const results = await graph.run({ ids: rows.ids, mask: rows.mask, positionIds: positions.ids, patches });
  await graph.release();
  const runner = new QwenRunner(config, { weights });
  const prompts = await Promise.all(samples.map((sample) => promptOf(runner, sample)));
  const expected = io.get("batch.greedy");
  const { tokens } = await greedy(runner, prompts, model, expected.shape[1]!);
  await runner.release();
  return [
    checkExact("batch.input_ids", rows.ids.data, io.get("batch.input_ids").data),
    checkExact("batch.attention_mask", rows.mask.data, io.get("batch.attention_mask").data),
    ...compare(model, "batch.", results),
    checkExact(
      "batch.greedy",
      tokens.flatMap((row) => [...row]),
      expected.data,
    ),
  ];
}

async function adapterChecks(model: Model, sample: Sample): Promise<Check[]> {
  const prefix = `lora.${sample.name}`;
  if (!model.golden.io.names().some((name) => name.startsWith(`${prefix}.`))) return [];
  return [
    ...(await stageChecks(model, sample)),
    ...(await completionChecks(model, sample, prefix)),
    ...(await greedyChecks(model, sample, prefix)),
  ];
}

// The settings that the case states in the meaning of its tensors.
const FILTERS = { penalty: 1.05, temperature: 0.7, topK: 50, topP: 0.9 } as const;

function filterChecks(model: Model): Check[] {
  const { io } = model.golden;
  if (!io.has("filter.logits")) return [];
  const logits = io.get("filter.logits");
  const seen = io.get("filter.input_ids");
  const rows = Array.from({ length: logits.shape[0]! }, (_, row) => row);
  const join = (parts: readonly ArrayLike<number>[]): NdArray =>
    f32(Float32Array.from(parts.flatMap((part) => Array.from(part))), logits.shape);
  const penalized = rows.map((row) => {
    const own = Float32Array.from(rowOf(logits, row));
    penalizeRepetition(own, rowOf(seen, row), FILTERS.penalty);
    return own;
  });
  const { temperature, topK, topP } = FILTERS;
  return compare(model, "filter.", {
    after_penalty: join(penalized),
    probabilities: join(penalized.map((own) => samplingProbabilities(own, { temperature, topK, topP }))),
    probabilities_plain: join(
      rows.map((row) => samplingProbabilities(Float32Array.from(rowOf(logits, row)), { temperature, topP })),
    ),
  });
}
