/** Every kind of golden case that we can judge. @module */
import type { CaseHandler } from "./case.ts";
import { grpoFlow } from "./grpo-flow.ts";
import { grpoRollout } from "./grpo-rollout.ts";
import { grpoTokens } from "./grpo-tokens.ts";
import { primitives } from "./primitives.ts";
import { qwen25vl } from "./qwen25vl.ts";
import { sampling } from "./sampling.ts";
import { schedulers } from "./schedulers.ts";
import { tables } from "./tables.ts";
import { trainingDit } from "./training-dit.ts";
import { trainingVae } from "./training-vae.ts";
import { umt5 } from "./umt5.ts";
import { wanDit } from "./wan-dit.ts";
import { wanVae } from "./wan-vae.ts";

export const handlers: readonly CaseHandler[] = [
  primitives,
  wanDit,
  wanVae,
  umt5,
  qwen25vl,
  schedulers,
  sampling,
  trainingDit,
  trainingVae,
  grpoFlow,
  grpoRollout,
  grpoTokens,
  ...tables,
];
