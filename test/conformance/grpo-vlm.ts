/**
 * Golden case of a policy-gradient step of the vision-language model: log-probabilities with and without adapters,
 * loss, gradients, one optimizer step.
 * @module
 */
import {
  completionLogProbs,
  completionRows,
  patchify,
  type QwenInputs,
} from "../../src/models/qwen25vl/index.ts";
import { Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import { f32, input, type NdArray, type Tensor } from "../../src/tensor/index.ts";
import { groupAdvantages } from "../../src/train/advantages.ts";
import { type TokenLossKind, tokenPolicyLoss } from "../../src/train/token-policy-loss.ts";
import {
  absoluteError,
  type CaseHandler,
  type Check,
  checkExact,
  checkRelative,
  type GoldenCase,
} from "./case.ts";
import { adapterTensors, configBeside, framesOf, loraOf, positionRule } from "./qwen-inputs.ts";
import {
  adapterParams,
  adapterSteps,
  afterChecks,
  gradientChecks,
  type TracedAdapters,
} from "./training-vlm.ts";

export const grpoVlm: CaseHandler = {
  title: "vision-language model, policy gradient",
  recognises: (golden) =>
    golden.hasConfig("weights", "lora", "loss_type") &&
    golden.files.has("gradients.safetensors") &&
    golden.io.has("completions"),
  async run(golden) {
    const { io } = golden;
    const traced = await trace(golden);
    const rewards = io.get("rewards").data;
    const advantages = groupAdvantages(
      rewards,
      Array.from(rewards, () => 0),
    );
    const first = await adapterSteps(golden, traced, 1);
    const gradientTolerance = golden.tolerance("gradient_relative_to_abs_max_per_tensor");
    return [
      checkExact("grid", traced.grid, io.get("grid").data),
      checkRelative("advantages", f32(advantages), io.get("advantages"), golden.tolerance("loss_relative")),
      ...(await logProbChecks(golden, traced)),
      checkRelative("loss", f32(first.losses, []), io.get("loss"), golden.tolerance("loss_relative")),
      checkRelative("grad_norm", f32(first.norms, []), io.get("grad_norm"), gradientTolerance),
      ...(await gradientChecks(golden, traced)),
      ...afterChecks(golden, first.state, golden.tolerance("params_after_absolute", AFTER_TOLERANCE)),
    ];
  },
};

/** As the supervised case states it; the learning rate of one step is ten times that. */
const AFTER_TOLERANCE = 1e-4;

interface Traced extends TracedAdapters {
  readonly grid: readonly number[];
  /** With and without adapters, `[B, T]`. */
  readonly logProb: Tensor;
  readonly referenceLogProb: Tensor;
}

async function trace(golden: GoldenCase): Promise<Traced> {
  const { io } = golden;
  const path = golden.config<string>("weights");
  const config = await configBeside(golden, path);
  const { patches, grid } = patchify(framesOf(io.get("frames")), config.vision);
  const completions = io.get("completions");
  const mask = io.get("mask");
  const [batch, completionLength] = completions.shape as [number, number];
  const prompt = io.get("prompt").data;
  const rows = completionRows(
    config,
    Array.from({ length: batch }, () => prompt),
    Array.from({ length: batch }, (_, row) => {
      const from = row * completionLength;
      const own = mask.data.subarray(from, from + completionLength);
      return completions.data.subarray(from, from + own.filter((bit) => bit === 1).length);
    }),
    { grids: Array.from({ length: batch }, () => grid), rule: positionRule(golden), completionLength },
  );
  const inputs: QwenInputs = {
    ids: input("ids", rows.ids.shape, "i32"),
    mask: input("mask", rows.mask.shape, "i32"),
    positionIds: input("positionIds", rows.positionIds.shape, "i32"),
    patches: input("patches", patches.shape),
    grids: [grid],
    rowsPerVideo: batch,
  };
  const options = { completionLength, temperature: golden.config<number>("temperature") };
  // One set of base weights below both policies.
  const all = new Map<string, Tensor>();
  const adapted = new Params({ lora: loraOf(golden) }, "", all);
  const logProb = completionLogProbs(adapted, config, inputs, options);
  const referenceLogProb = completionLogProbs(new Params({}, "", all), config, inputs, options);
  const { loss } = tokenPolicyLoss(
    {
      logProb,
      oldLogProb: input("oldLogProb", completions.shape),
      referenceLogProb: input("referenceLogProb", completions.shape),
      mask: input("completionMask", mask.shape, "i32"),
      advantages: input("advantages", [batch]),
    },
    {
      kind: golden.config<TokenLossKind>("loss_type"),
      epsilonLow: golden.config("epsilon_low"),
      epsilonHigh: golden.config("epsilon_high"),
      beta: golden.config("beta"),
    },
  );
  return {
    grid,
    loss,
    logProb,
    referenceLogProb,
    params: adapterParams(adapted),
    adapters: adapterTensors(await golden.relative(golden.config("lora"))),
    base: (await golden.relative(path)).binding(),
    feeds: {
      ids: rows.ids,
      mask: rows.mask,
      positionIds: rows.positionIds,
      patches,
      oldLogProb: io.get("old_logp"),
      referenceLogProb: io.get("ref_logp"),
      completionMask: mask,
      advantages: io.get("advantages"),
    },
  };
}

async function logProbChecks(golden: GoldenCase, traced: Traced): Promise<Check[]> {
  const { io } = golden;
  const mask = io.get("mask").data;
  const { logProb, referenceLogProb, base, feeds, adapters } = traced;
  const graph = await compile({ logp: logProb, ref_logp: referenceLogProb }, { weights: base });
  const results = await graph.run({ ...feeds, ...adapters });
  await graph.release();
  const counted = ({ data }: NdArray): number[] => Array.from(data, (value, i) => (mask[i] ? value : 0));
  return Object.entries(results).map(([name, value]) => ({
    name,
    maxError: absoluteError(counted(value), io.get(name).data),
    tolerance: golden.tolerance("logp_absolute"),
  }));
}
