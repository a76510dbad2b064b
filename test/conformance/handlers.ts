/** Every kind of golden case that we can judge. @module */
import type { CaseHandler } from "./case.ts";
import { clip } from "./clip.ts";
import { endToEnd } from "./end-to-end.ts";
import { grpoFlow } from "./grpo-flow.ts";
import { grpoRollout } from "./grpo-rollout.ts";
import { grpoTokens } from "./grpo-tokens.ts";
import { grpoVlm } from "./grpo-vlm.ts";
import { metrics } from "./metrics.ts";
import { primitives } from "./primitives.ts";
import { qwen25vl } from "./qwen25vl.ts";
import { sampling } from "./sampling.ts";
import { schedulers } from "./schedulers.ts";
import { tables } from "./tables.ts";
import { trainingDit } from "./training-dit.ts";
import { trainingVae } from "./training-vae.ts";
import { trainingVlm } from "./training-vlm.ts";
import { umt5 } from "./umt5.ts";
import { wanDit } from "./wan-dit.ts";
import { wanVae } from "./wan-vae.ts";

export const handlers: readonly CaseHandler[] = [
  primitives,
  wanDit,
  wanVae,
  umt5,
  qwen25vl,
  clip,
  schedulers,
  sampling,
  trainingDit,
  trainingVae,
  trainingVlm,
  grpoFlow,
  grpoRollout,
  grpoTokens,
  grpoVlm,
  endToEnd,
  metrics,
  ...tables,
];
